"""Messages of FCM, and the OAuth token of its service account."""

import json
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fms.channels.fcm import MOST_BYTES, SHRUNK_BYTES, Access, ServiceAccount, body, message_url, post
from fms.channels.outcomes import Config, Retry
from fms.errors import Fatal, Invalid
from tests.unit.push_tools import NOON, NOTE, Reply, reply

HOUR = 3_600_000
DEVICE = "fQ7-x:APA91b" + "x" * 130


@cache
def rsa_key() -> RSAPrivateKey:
    return generate_private_key(65_537, 2_048)


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def document() -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": "fares-1",
        "private_key_id": "k1",
        "private_key": pem(rsa_key()),
        "client_email": "push@fares-1.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.example/token",
    }


def access() -> Access:
    return Access(ServiceAccount.of(document()))


def content(**how: bool) -> Any:
    return json.loads(body(DEVICE, NOTE, **how))["message"]


def test_a_message_shows_itself_under_its_tag() -> None:
    assert content() == {
        "token": DEVICE,
        "notification": {"title": NOTE.title, "body": NOTE.body},
        "data": {"group": "g1", "tag": NOTE.tag, "url": NOTE.url},
        "android": {"ttl": "3600s", "priority": "NORMAL", "notification": {"tag": NOTE.tag}},
    }


def test_a_message_of_data_leaves_it_to_the_app_to_show_it() -> None:
    assert content(data_only=True) == {
        "token": DEVICE,
        "data": {"group": "g1", "tag": NOTE.tag, "url": NOTE.url, "title": NOTE.title, "body": NOTE.body},
        "android": {"ttl": "3600s", "priority": "NORMAL"},
    }


def test_what_is_urgent_wakes_the_device() -> None:
    assert json.loads(body(DEVICE, replace(NOTE, urgent=True)))["message"]["android"]["priority"] == "HIGH"


@pytest.mark.parametrize("name", ["from", "message_type", "notification", "google.x", "gcm", "gcm.x", "title", "tag"])
def test_data_with_a_name_that_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        body(DEVICE, replace(NOTE, data={name: "x"}))


@pytest.mark.parametrize("data_only", [False, True])
@pytest.mark.parametrize(("shrunk", "most"), [(False, MOST_BYTES), (True, SHRUNK_BYTES)])
def test_a_message_is_as_long_as_it_may_be_whatever_the_token(shrunk: bool, most: int, data_only: bool) -> None:
    long = replace(NOTE, body="\n".join(["é🛫"] * 2_000))
    for device in (DEVICE, "x" * 2_048):
        message = json.loads(body(device, long, shrunk=shrunk, data_only=data_only))["message"]
        del message["token"]
        size = len(json.dumps({"message": message}, ensure_ascii=False, separators=(",", ":")).encode())
        assert most - 8 <= size <= most


def test_a_message_goes_to_its_project_with_the_token_of_access() -> None:
    sent = post(message_url("fares-1"), DEVICE, NOTE, "ya29.x")
    assert sent.url == "https://fcm.googleapis.com/v1/projects/fares-1/messages:send"
    assert sent.headers == {"authorization": "Bearer ya29.x", "content-type": "application/json"}
    assert sent.body == body(DEVICE, NOTE)
    assert message_url("p", "https://127.0.0.1:1") == "https://127.0.0.1:1/v1/projects/p/messages:send"


def test_a_token_is_asked_for_as_google_wants_it() -> None:
    asked = access().request(NOON)
    form = parse_qs(asked.body.decode())
    assert asked.url == "https://oauth2.example/token"
    assert asked.headers == {"content-type": "application/x-www-form-urlencoded"}
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assertion = form["assertion"][0]
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    claims = jwt.decode(
        assertion, rsa_key().public_key(), ["RS256"], options={"verify_exp": False, "verify_iat": False},
        audience="https://oauth2.example/token",
    )  # fmt: skip
    assert claims == {
        "iss": "push@fares-1.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.example/token",
        "iat": NOON // 1_000,
        "exp": NOON // 1_000 + 3_600,
    }


def granted(text: str = "ya29.x", seconds: int = 3_599) -> Reply:
    return reply(200, {"access_token": text, "expires_in": seconds, "token_type": "Bearer"})


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    one = access()
    assert one.token(NOON) is None
    assert one.take(granted(), NOON) is None
    assert one.token(NOON + 3_298_000) == "ya29.x"
    assert one.token(NOON + 3_300_000) is None


def test_a_refused_token_is_given_up_once() -> None:
    one = access()
    one.take(granted("first"), NOON)
    one.refuse("first")
    assert one.token(NOON) is None
    one.take(granted("second"), NOON)
    # The other sends that went with the first are answered later.
    one.refuse("first")
    assert one.token(NOON) == "second"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(400, {"error": "invalid_grant"}), Config("FCM: no token: 400 invalid_grant")),
        (reply(401, {"error": "invalid_client"}), Config("FCM: no token: 401 invalid_client")),
        (reply(404), Config("FCM: no token: 404")),
        (reply(302), Config("FCM: no token: 302")),
        (reply(200), Config("FCM: no token: 200")),
        (reply(200, {"access_token": "x\r\ny", "expires_in": 5}), Config("FCM: no token: 200")),
        (reply(200, {"access_token": "x"}), Config("FCM: no token: 200")),
        (reply(429, retry_after="9"), Retry("no token: 429", 9_000, everyone=True)),
        (reply(503), Retry("no token: 503", everyone=True)),
        (Reply(error="timed out", ambiguous=True), Retry("no token: timed out", everyone=True)),
    ],
)  # fmt: skip
def test_without_a_token_it_is_said_why(answer: Reply, outcome: Config | Retry) -> None:
    one = access()
    assert one.take(answer, NOON) == outcome
    assert one.token(NOON) is None


BROKEN: dict[str, Any] = {
    "project_id": "a/../b", "client_email": "", "private_key_id": None, "private_key": "-----BEGIN PRIVATE KEY-----",
    "token_uri": 5,
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_service_account_that_is_none_is_refused_at_once(name: str) -> None:
    with pytest.raises(Fatal) as refused:
        ServiceAccount.of(document() | {name: BROKEN[name]})
    assert name in str(refused.value)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(Fatal):
        ServiceAccount.of(document() | {"private_key": pem(new_ec_key(SECP256R1()))})


def test_no_secret_is_shown() -> None:
    account = ServiceAccount.of(document())
    assert "PRIVATE" not in repr(account)
    assert "RSA" not in repr(account)
