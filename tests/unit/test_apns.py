"""Messages of APNs, and the token that all messages of a team go with."""

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fms.channels.apns import MOST_BYTES, SHRUNK_BYTES, ProviderToken, TeamKey, body, collapse_id, post
from fms.errors import Fatal, Invalid
from tests.unit.push_tools import NOON, NOTE

MINUTE = 60_000
DEVICE = "0a" * 32
ID = UUID("0190b3c2-7b1e-7c4e-9b1e-3f1f0e6f2a22")


def pem(key: EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def key() -> EllipticCurvePrivateKey:
    return new_key(SECP256R1())


def team() -> TeamKey:
    return TeamKey.of("TEAM000001", "KEY0000001", pem(key()))


def issued_at(token: str) -> int:
    """When a token says to be of, UTC ms; its signature must be good."""
    options: Any = {"verify_iat": False}
    return int(jwt.decode(token, key().public_key(), ["ES256"], options=options)["iat"]) * 1_000


def test_a_token_says_whose_it_is_and_is_signed() -> None:
    token = ProviderToken(team()).token(NOON)
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "KEY0000001", "typ": "JWT"}
    claims = jwt.decode(token, key().public_key(), ["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM000001", "iat": issued_at(token) // 1_000}


def test_many_processes_have_one_token() -> None:
    """Started at any times, they agree at any later one."""
    holders = [ProviderToken(team()) for _ in range(8)]
    for begun, holder in enumerate(holders):
        holder.token(NOON + begun * 17 * MINUTE)
    for later in range(120, 400, 7):
        assert len({holder.token(NOON + later * MINUTE) for holder in holders}) == 1


def lived(holder: ProviderToken, refused_at: set[int]) -> list[tuple[int, int]]:
    """(minute, when the token is of) of a life of ten hours; at some minutes it is called expired."""
    seen = []
    for minute in range(600):
        now = NOON + minute * MINUTE
        token = holder.token(now)
        if minute in refused_at:
            holder.refuse(token, now)
            token = holder.token(now)
        seen.append((now, issued_at(token)))
    return seen


@pytest.mark.parametrize("refused_at", [set(), {130}, {45}, {64}, {66}, {75}, {89}, {0, 1, 2, 3}, set(range(600))])
def test_a_token_is_never_too_old_and_never_renewed_too_soon(refused_at: set[int]) -> None:
    seen = lived(ProviderToken(team()), refused_at)
    assert all(0 <= now - made <= 50 * MINUTE for now, made in seen)
    made = sorted({made for _, made in seen})
    assert all(after - before >= 20 * MINUTE for before, after in pairwise(made))
    changed = [now for (now, this), (_, last) in zip(seen[1:], seen, strict=False) if this != last]
    assert all(after - before >= 20 * MINUTE for before, after in pairwise(changed))


def test_a_token_is_no_more_of_the_future_for_a_clock_that_is_minutes_behind() -> None:
    begun = NOON - NOON % (45 * MINUTE)
    assert begun - issued_at(ProviderToken(team()).token(begun)) == 5 * MINUTE


def test_an_undisturbed_token_is_renewed_every_45_minutes() -> None:
    assert len({made for _, made in lived(ProviderToken(team()), set())}) in (600 // 45 + 1, 600 // 45 + 2)


def test_a_refused_token_is_made_anew_once_and_only_if_it_may_be() -> None:
    holder = ProviderToken(team())
    begun = NOON - NOON % (45 * MINUTE)
    first = holder.token(begun)
    assert not holder.refuse(first, begun + 19 * MINUTE)
    assert holder.token(begun + 19 * MINUTE) == first
    assert holder.refuse(first, begun + 20 * MINUTE)
    second = holder.token(begun + 20 * MINUTE)
    assert second != first
    # The other messages that went with the first are answered later: there is another one already.
    assert holder.refuse(first, begun + 44 * MINUTE)
    assert holder.token(begun + 44 * MINUTE) == second


def test_processes_that_hear_one_after_the_other_that_it_is_refused_make_the_same() -> None:
    begun = NOON - NOON % (45 * MINUTE)
    tokens = set()
    for late in range(8):
        holder, now = ProviderToken(team()), begun + 30 * MINUTE + late * 1_000
        assert holder.refuse(holder.token(now), now)
        tokens.add(holder.token(now))
    assert len(tokens) == 1


def test_a_clock_that_is_set_back_does_not_change_the_token() -> None:
    holder = ProviderToken(team())
    assert holder.token(NOON) == holder.token(NOON - 90 * MINUTE)


def test_a_message_goes_with_all_that_apple_asks_for() -> None:
    sent = post("https://api.push.apple.com", "org.example.fares", DEVICE, NOTE, "t", id_=ID, now=NOON)
    assert sent.url == f"https://api.push.apple.com/3/device/{DEVICE}"
    assert sent.headers == {
        "authorization": "bearer t",
        "apns-topic": "org.example.fares",
        "apns-push-type": "alert",
        "apns-priority": "5",
        "apns-expiration": str(NOON // 1_000 + 3_600),
        "apns-collapse-id": NOTE.tag,
        "apns-id": "0190b3c2-7b1e-7c4e-9b1e-3f1f0e6f2a22",
    }
    assert json.loads(sent.body) == {
        "aps": {"alert": {"title": NOTE.title, "body": NOTE.body}, "sound": "default"},
        "tag": NOTE.tag,
        "url": NOTE.url,
        "group": "g1",
    }


def test_an_urgent_message_for_who_is_there_now_says_so() -> None:
    note = replace(NOTE, urgent=True, ttl_seconds=0)
    headers = post("https://h", "t", DEVICE, note, "t", id_=ID, now=NOON).headers
    assert (headers["apns-priority"], headers["apns-expiration"]) == ("10", "0")


@pytest.mark.parametrize("device", ["", "xyz", "0A" * 32, "../" + DEVICE, DEVICE + "\r\n", DEVICE + "/x"])
def test_what_is_no_token_of_a_device_goes_into_no_url(device: str) -> None:
    with pytest.raises(Invalid):
        post("https://h", "t", device, NOTE, "t", id_=ID, now=NOON)


@pytest.mark.parametrize("tag", ["", "x" * 65, "x" * 64 + "y", "é", "a\nb", " a", "\ud800"])
def test_a_tag_that_is_no_header_has_something_stand_for_it(tag: str) -> None:
    assert len(collapse_id(tag).encode()) == 64
    assert collapse_id(tag) == collapse_id(tag) != collapse_id(tag + "z")


def test_a_short_tag_stands_for_itself() -> None:
    assert collapse_id("x" * 64) == "x" * 64


@pytest.mark.parametrize(("shrunk", "most"), [(False, MOST_BYTES), (True, SHRUNK_BYTES)])
def test_a_payload_is_as_long_as_it_may_be(shrunk: bool, most: int) -> None:
    size = len(body(replace(NOTE, body="\n".join(["é🛫"] * 2_000)), shrunk=shrunk))
    assert most - 8 <= size <= most


@pytest.mark.parametrize("name", ["aps", "tag", "url"])
def test_data_with_a_name_that_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        body(replace(NOTE, data={name: "x"}))


@pytest.mark.parametrize(
    ("team_name", "key_name", "text"),
    [("", "KEY0000001", ""), ("TEAM000001", "key", ""), ("TEAM000001", "KEY0000001", "no key")],
)
def test_a_key_that_is_none_is_refused_at_once(team_name: str, key_name: str, text: str) -> None:
    with pytest.raises(Fatal):
        TeamKey.of(team_name, key_name, text or pem(key()))


def test_a_key_of_another_curve_is_refused() -> None:
    with pytest.raises(Fatal):
        TeamKey.of("TEAM000001", "KEY0000001", pem(new_key(SECP384R1())))
