"""Web Push: the standard's own example, what an independent library reads, and who signs."""

import base64
import json
from dataclasses import replace
from functools import cache
from typing import Any

import http_ece
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fms.channels.webpush import (
    KEPT_MS,
    MOST_BYTES,
    MOST_ORIGINS,
    SHRUNK_BYTES,
    SIGNED_MS,
    KeyPair,
    Subscription,
    Vapid,
    checked_point,
    encrypted,
    post,
    text,
    topic,
)
from fms.errors import Fatal, Invalid
from tests.unit.push_tools import NOON, NOTE

ENDPOINT = "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV"
CONTACT = "mailto:ops@fares.example.org"
DAY_MS = 86_400_000


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(key: EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def key_of(text: str) -> EllipticCurvePrivateKey:
    return derive_private_key(int.from_bytes(decoded(text)), SECP256R1())


def subscription(p256dh: str, auth: str) -> Subscription:
    return Subscription.of(json.dumps({"endpoint": ENDPOINT, "keys": {"p256dh": p256dh, "auth": auth}}))


# RFC 8291, section 5 and appendix A.
RFC_BROWSER = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
RFC_POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
RFC_AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
RFC_SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
RFC_SALT = "DGv6ra1nlYgDCS1FRnbzlw"
RFC_TEXT = b"When I grow up, I want to be a watermelon"
RFC_BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
    "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_rfc_8291_comes_out() -> None:
    to = subscription(RFC_POINT, RFC_AUTH)
    body = encrypted(RFC_TEXT, to, key_of(RFC_SENDER), lambda size: decoded(RFC_SALT)[:size])
    assert encoded(body) == RFC_BODY


@cache
def browser() -> tuple[EllipticCurvePrivateKey, bytes, Subscription]:
    key, auth = generate_private_key(SECP256R1()), bytes(range(16))
    return key, auth, subscription(encoded(raw(key.public_key())), encoded(auth))


def read(body: bytes) -> bytes:
    """As a browser does, by a library that is not ours."""
    key, auth, _ = browser()
    return bytes(http_ece.decrypt(body, private_key=key, auth_secret=auth, version="aes128gcm"))


@pytest.mark.parametrize("size", [0, 1, 41, 1_000, MOST_BYTES])
def test_an_independent_library_reads_what_was_encrypted(size: int) -> None:
    content = bytes(n % 251 for n in range(size))
    body = encrypted(content, browser()[2])
    assert read(body) == content
    assert len(body) == size + 103 <= 4_096


def test_no_key_and_no_salt_is_used_twice() -> None:
    one, other = (encrypted(RFC_TEXT, browser()[2]) for _ in range(2))
    assert one[:16] != other[:16]
    assert one[21:86] != other[21:86]
    assert read(one) == read(other) == RFC_TEXT


def test_another_browser_cannot_read_it() -> None:
    to = subscription(RFC_POINT, RFC_AUTH)
    with pytest.raises(http_ece.ECEException):
        read(encrypted(RFC_TEXT, to))


def off_curve() -> str:
    point = bytearray(decoded(RFC_POINT))
    point[-1] ^= 1
    return encoded(bytes(point))


@pytest.mark.parametrize(
    "p256dh",
    [
        off_curve(), "", "x", encoded(b"\x04" + b"\0" * 64), encoded(b"\x04" + b"\xff" * 64), encoded(b"\0"),
        encoded(b"\x02" + decoded(RFC_POINT)[1:33]), RFC_POINT + "AA", RFC_POINT[:-2], "é" + RFC_POINT[1:],
    ],
    ids=["off the curve", "nothing", "no base64", "zero", "too large", "infinity", "compressed", "long", "short", "é"],
)  # fmt: skip
def test_what_is_no_point_of_the_curve_is_refused(p256dh: str) -> None:
    with pytest.raises(Invalid):
        checked_point(p256dh)


@pytest.mark.parametrize("auth", ["", "AAAA", RFC_AUTH + "AA", "*" * 22])
def test_a_secret_of_another_length_is_refused(auth: str) -> None:
    with pytest.raises(Invalid):
        subscription(RFC_POINT, auth)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"endpoint": 1, "keys": {"p256dh": "", "auth": ""}}', "[" * 100_000])
def test_what_is_no_subscription_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Subscription.of(text)


def test_nothing_secret_of_a_subscription_is_shown() -> None:
    assert "auth" not in repr(subscription(RFC_POINT, RFC_AUTH))


def vapid() -> tuple[Vapid, KeyPair]:
    pair = KeyPair.new()
    return Vapid(pair.private, CONTACT), pair


def claims(header: str, audience: str) -> dict[str, Any]:
    """What a push service finds in the header, by the key that it is given with."""
    scheme, _, rest = header.partition(" ")
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert scheme == "vapid"
    key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), decoded(fields["k"]))
    options: Any = {"verify_exp": False}
    return dict(jwt.decode(fields["t"], key, ["ES256"], audience=audience, options=options))


def test_a_push_service_finds_who_sends() -> None:
    signer, pair = vapid()
    header = signer.authorization(ENDPOINT, NOON)
    assert header.endswith(f", k={pair.public}")
    assert claims(header, "https://push.example.net") == {
        "aud": "https://push.example.net",
        "exp": (NOON + SIGNED_MS) // 1_000,
        "sub": CONTACT,
    }
    assert signer.public == pair.public


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://Push.Example.net:443/a?b=c", "https://push.example.net"),
        ("https://push.example.net:8443/a", "https://push.example.net:8443"),
        ("https://127.0.0.1:9/a", "https://127.0.0.1:9"),
    ],
)
def test_it_is_signed_for_the_origin_of_the_endpoint(endpoint: str, origin: str) -> None:
    assert claims(vapid()[0].authorization(endpoint, NOON), origin)["aud"] == origin


def test_one_signature_serves_an_origin_for_hours_and_never_to_its_end() -> None:
    signer, _ = vapid()
    first = signer.authorization(ENDPOINT, NOON)
    assert signer.authorization("https://push.example.net/another", NOON + KEPT_MS - 1) == first
    assert signer.authorization("https://elsewhere.example.net/", NOON) != first
    second = signer.authorization(ENDPOINT, NOON + KEPT_MS)
    assert second != first
    assert claims(second, "https://push.example.net")["exp"] * 1_000 - NOON - KEPT_MS <= DAY_MS
    # A clock that was ahead and is set back: that one would count for too long.
    assert signer.authorization(ENDPOINT, NOON - DAY_MS) != second


def test_signatures_are_kept_for_so_many_origins_and_those_in_use() -> None:
    signer, _ = vapid()
    first = signer.authorization(ENDPOINT, NOON)
    for n in range(MOST_ORIGINS + 5):
        signer.authorization(f"https://push{n}.example.net/", NOON)
        if n % 100 == 0:
            assert signer.authorization(ENDPOINT, NOON) == first
    assert len(signer._signed) == MOST_ORIGINS


@pytest.mark.parametrize(
    "contact", ["", "ops@fares.example.org", "mailto:", "http://x", "mailto:a@b\r\nX: y", "https://"]
)
def test_a_contact_that_nobody_can_write_to_is_refused(contact: str) -> None:
    with pytest.raises(Fatal):
        Vapid(KeyPair.new().private, contact)


@pytest.mark.parametrize(
    "private", ["", "x", encoded(b"\1" * 31), encoded(b"\0" * 32), encoded(b"\xff" * 32), RFC_POINT]
)
def test_a_key_that_is_none_is_refused(private: str) -> None:
    with pytest.raises(Fatal):
        Vapid(private, CONTACT)


def test_every_pair_of_keys_is_new_and_shows_no_secret() -> None:
    one, other = KeyPair.new(), KeyPair.new()
    assert one.private != other.private
    assert one.private not in repr(one)
    assert len(decoded(one.private)) == 32
    assert raw(key_of(one.private).public_key()) == decoded(one.public)


def test_a_push_goes_with_all_that_the_service_asks_for() -> None:
    signer, _ = vapid()
    sent = post(browser()[2], NOTE, signer, NOON)
    assert sent.url == ENDPOINT
    assert sent.headers == {
        "authorization": signer.authorization(ENDPOINT, NOON),
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "ttl": "3600",
        "urgency": "normal",
        "topic": topic(NOTE.tag),
    }
    assert post(browser()[2], replace(NOTE, urgent=True), signer, NOON).headers["urgency"] == "high"


def test_the_browser_reads_the_declarative_form() -> None:
    assert json.loads(read(post(browser()[2], NOTE, vapid()[0], NOON).body)) == {
        "web_push": 8030,
        "notification": {
            "title": NOTE.title,
            "body": NOTE.body,
            "navigate": NOTE.url,
            "tag": NOTE.tag,
            "data": {"group": "g1"},
        },
    }


@pytest.mark.parametrize("tag", ["", "x", NOTE.tag, "é" * 100, "\ud800"])
def test_a_topic_is_32_characters_that_any_url_may_hold(tag: str) -> None:
    assert len(topic(tag)) == 32
    assert set(topic(tag)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert topic(tag) == topic(tag) != topic(tag + "z")


@pytest.mark.parametrize(("shrunk", "most"), [(False, MOST_BYTES), (True, SHRUNK_BYTES)])
def test_a_text_is_as_long_as_it_may_be(shrunk: bool, most: int) -> None:
    size = len(text(replace(NOTE, body="\n".join(["é🛫"] * 2_000)), shrunk=shrunk))
    assert most - 8 <= size <= most
