"""Tokens that somebody made up, changed, took from elsewhere or kept for too long: none is good for anything."""

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from flask import Flask
from sqlalchemy import update

from fms.db.tables import session, user_account
from fms.model.ids import slot_of_id
from tests.web.conftest import MakeApp
from tests.web.people import PASSWORD, Person, Reply
from tests.web.shards import accounts_of, api_of, dump, parts_of, site_of

Json = dict[str, Any]
Request = Json
"""What else is handed to the test client."""

OTHER_KEY = b"k" * 32
RSA = generate_private_key(65_537, 2_048)
RSA_PRIVATE = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
RSA_PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
GONE = object()
"""Stands for what a token does not have."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The API of one site for all tests; each is about new people."""
    with api_of(tmp_path_factory.mktemp("site")) as found:
        yield found


@dataclass
class Forger:
    """Somebody who even has the key, and makes a token of hers into others."""

    anna: Person
    ben: Person

    @property
    def key(self) -> bytes:
        keys = parts_of(self.anna.app).keys
        return keys.signing[keys.current]

    def access(self, header: Json | None = None, key: bytes | None = None, **claims: Any) -> Request:
        """Her access token with another header or other claims, signed as it should be or with another key."""
        return bearer(self._signed(self.anna.access, header or {}, key, claims))

    def refresh(self, header: Json | None = None, **claims: Any) -> str:
        """Her refresh token, changed so."""
        return self._signed(self.anna.refresh, header or {}, None, claims)

    def _signed(self, token: str, header: Json, key: bytes | None, claims: Json) -> str:
        return signed(_changed(read(token, 0), header), _changed(read(token, 1), claims), key or self.key)


def _changed(before: Json, changes: Json) -> Json:
    return {name: value for name, value in (before | changes).items() if value is not GONE}


def read(token: str, part: int) -> Json:
    """The header (0) or the claims (1) of a token."""
    text = token.split(".")[part]
    found: Json = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def signed(header: Json, claims: Json, key: bytes) -> str:
    """A token with HMAC-SHA256, whatever it says: the libraries would refuse to make some of these."""
    said = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{said}.{_encoded(hmac.digest(key, said.encode(), 'sha256'))}"


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def bearer(token: str) -> Request:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def plain(text: str) -> Request:
    return {"headers": {"Authorization": text}}


def _unsigned(forger: Forger, alg: Any) -> Request:
    head, claims, _ = forger.access({"alg": alg})["headers"]["Authorization"].removeprefix("Bearer ").split(".")
    return bearer(f"{head}.{claims}.")


def _with_rsa(forger: Forger) -> Request:
    header = {name: value for name, value in read(forger.anna.access, 0).items() if name != "alg"}
    return bearer(jwt.encode(read(forger.anna.access, 1), RSA_PRIVATE, "RS256", headers=header))


def _altered(forger: Forger, part: int, at: int = 5) -> Request:
    parts = forger.anna.access.split(".")
    letter = "A" if parts[part][at] != "A" else "B"
    parts[part] = parts[part][:at] + letter + parts[part][at + 1 :]
    return bearer(".".join(parts))


def _of_two(forger: Forger, part: int) -> Request:
    """The token of one with a part of another's."""
    parts, others = forger.anna.access.split("."), forger.ben.access.split(".")
    parts[part] = others[part]
    return bearer(".".join(parts))


def _sid(person: Person) -> str:
    found: str = read(person.access, 1)["sid"]
    return found


def _sub(person: Person) -> str:
    found: str = read(person.access, 1)["sub"]
    return found


def _own(forger: Forger) -> str:
    return forger.anna.access


FORGED: dict[str, Callable[[Forger], Request]] = {
    "alg none": lambda one: _unsigned(one, "none"),
    "alg None": lambda one: _unsigned(one, "None"),
    "alg NONE": lambda one: _unsigned(one, "NONE"),
    "alg nOnE": lambda one: _unsigned(one, "nOnE"),
    "alg null": lambda one: _unsigned(one, None),
    "alg empty": lambda one: _unsigned(one, ""),
    "alg a list": lambda one: _unsigned(one, ["HS256", "none"]),
    "alg none, signed": lambda one: one.access({"alg": "none"}),
    "alg missing, signed": lambda one: one.access({"alg": GONE}),
    "alg HS512": lambda one: one.access({"alg": "HS512"}),
    "alg RS256 with a key pair of one's own": _with_rsa,
    "alg RS256, signed with HMAC": lambda one: one.access({"alg": "RS256"}),
    "a public key as secret": lambda one: one.access(key=RSA_PUBLIC),
    "another key": lambda one: one.access(key=OTHER_KEY),
    "an empty key": lambda one: one.access(key=b"\0"),
    "the name of the key as key": lambda one: one.access(key=read(_own(one), 0)["kid"].encode()),
    "kid a path": lambda one: one.access({"kid": "../../../../dev/null"}, b"\0"),
    "kid a file": lambda one: one.access({"kid": "/proc/self/environ"}, OTHER_KEY),
    "kid SQL": lambda one: one.access({"kid": "x' UNION SELECT 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"}, OTHER_KEY),
    "kid a list": lambda one: one.access({"kid": [read(_own(one), 0)["kid"]]}),
    "kid an object": lambda one: one.access({"kid": {"kty": "oct"}}),
    "kid null": lambda one: one.access({"kid": None}),
    "kid missing": lambda one: one.access({"kid": GONE}),
    "kid unknown": lambda one: one.access({"kid": "0" * 16}),
    "kid empty": lambda one: one.access({"kid": ""}),
    "jwk of one's own": lambda one: one.access({"jwk": {"kty": "oct", "k": _encoded(OTHER_KEY)}}, OTHER_KEY),
    "jku of one's own": lambda one: one.access({"jku": "http://127.0.0.1:1/keys"}, OTHER_KEY),
    "x5u of one's own": lambda one: one.access({"x5u": "http://127.0.0.1:1/certificate"}, OTHER_KEY),
    "x5c of one's own": lambda one: one.access({"x5c": [_encoded(RSA_PUBLIC)]}, OTHER_KEY),
    "crit unknown": lambda one: one.access({"crit": ["fms"], "fms": 1}),
    "expired": lambda one: one.access(exp=int(time()) - 1),
    "exp missing": lambda one: one.access(exp=GONE),
    "exp null": lambda one: one.access(exp=None),
    "exp words": lambda one: one.access(exp="never"),
    "exp infinite": lambda one: one.access(exp=float("inf")),
    "nbf in the future": lambda one: one.access(nbf=int(time()) + 3_600),
    "iat in the future": lambda one: one.access(iat=int(time()) + 3_600),
    "iss wrong": lambda one: one.access(iss="fmz"),
    "iss missing": lambda one: one.access(iss=GONE),
    "iss a list": lambda one: one.access(iss=["fms"]),
    "aud wrong": lambda one: one.access(aud="another-api"),
    "aud missing": lambda one: one.access(aud=GONE),
    "aud empty": lambda one: one.access(aud=[]),
    "sub missing": lambda one: one.access(sub=GONE),
    "sub a number": lambda one: one.access(sub=1),
    "sub no id": lambda one: one.access(sub="admin"),
    "sub another's": lambda one: one.access(sub=_sub(one.ben)),
    "sid missing": lambda one: one.access(sid=GONE),
    "sid a list": lambda one: one.access(sid=[_sid(one.anna)]),
    "sid no id": lambda one: one.access(sid="1' OR '1'='1"),
    "sid of nothing": lambda one: one.access(sid="0" * 32),
    "sid another's": lambda one: one.access(sid=_sid(one.ben)),
    "sid the user's": lambda one: one.access(sid=_sub(one.anna)),
    "typ of a refresh token": lambda one: one.access({"typ": "rt+jwt"}),
    "typ JWT": lambda one: one.access({"typ": "JWT"}),
    "typ missing": lambda one: one.access({"typ": GONE}),
    "typ in capitals": lambda one: one.access({"typ": "AT+JWT"}),
    "type of a refresh token": lambda one: one.access(type="refresh"),
    "a refresh token": lambda one: bearer(one.anna.refresh),
    "a refresh token made to look like one": lambda one: bearer(one.refresh({"typ": "at+jwt"})),
    "header altered": lambda one: _altered(one, 0),
    "claims altered": lambda one: _altered(one, 1),
    "signature altered": lambda one: _altered(one, 2),
    "header of another's": lambda one: _altered(one, 0, 1),
    "claims of another's": lambda one: _of_two(one, 1),
    "signature of another's": lambda one: _of_two(one, 2),
    "signature cut": lambda one: bearer(_own(one)[:-4]),
    "signature missing": lambda one: bearer(_own(one).rpartition(".")[0]),
    "signature empty": lambda one: bearer(_own(one).rpartition(".")[0] + "."),
    "a part too many": lambda one: bearer(_own(one) + "." + _own(one).rpartition(".")[2]),
    "padded": lambda one: bearer(_own(one) + "=="),
    "claims a bomb": lambda one: bearer(f"{_own(one).split('.')[0]}.{_encoded(b'[' * 5_000)}.AAAA"),
    "header a bomb": lambda one: bearer(f"{_encoded(b'[' * 5_000)}.{_own(one).split('.')[1]}.AAAA"),
    "claims a list": lambda one: bearer(signed(read(_own(one), 0), [], one.key)),  # type: ignore[arg-type]  # as it says
    "no JSON": lambda _: bearer("AAAA.BBBB.CCCC"),
    "a space before": lambda one: plain(f" Bearer {_own(one)}"),
    "a space behind": lambda one: plain(f"Bearer {_own(one)} "),
    "two spaces": lambda one: plain(f"Bearer  {_own(one)}"),
    "a space within": lambda one: plain(f"Bearer {_own(one)[:40]} {_own(one)[40:]}"),
    "a tab": lambda one: plain(f"Bearer\t{_own(one)}"),
    "no scheme": lambda one: plain(_own(one)),
    "scheme only": lambda _: plain("Bearer "),
    "scheme Basic": lambda one: plain(f"Basic {_own(one)}"),
    "scheme Token": lambda one: plain(f"Token {_own(one)}"),
    "name and password": lambda one: plain(
        "Basic " + base64.b64encode(f"{one.anna.email}:{PASSWORD}".encode()).decode()
    ),
    "two tokens": lambda one: plain(f"Bearer {_own(one)}, Bearer {one.ben.access}"),
    "a token behind something else": lambda one: plain(f"Basic eDp5, Bearer {_own(one)}"),
    "two headers, as servers join them": lambda one: plain(f"Bearer {_own(one)},Bearer {_own(one)}"),
    "in the query": lambda one: {"query_string": {"access_token": _own(one), "jwt": _own(one), "token": _own(one)}},
    "in a cookie": lambda one: {"headers": {"Cookie": f"access_token_cookie={_own(one)}; jwt={_own(one)}"}},
    "in the body": lambda one: {"json": {"access_token": _own(one)}},
    "in another header": lambda one: {"headers": {"X-Access-Token": _own(one), "Proxy-Authorization": _own(one)}},
    "nothing": lambda _: {},
}


def _account(app: Flask, **request: Any) -> Reply:
    return Person(app).ask("GET", "/api/account", **request)


@pytest.fixture(scope="module")
def forger(app: Flask) -> Forger:
    return Forger(Person(app).joined(), Person(app).joined())


def test_what_is_forged_below_would_be_good_unchanged(app: Flask, forger: Forger) -> None:
    assert _account(app, **forger.access()).checked()["email"] == forger.anna.email
    assert _account(app, **bearer(forger.anna.access)).status == 200
    assert len(FORGED) >= 40


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused(app: Flask, forger: Forger, name: str) -> None:
    reply = _account(app, **FORGED[name](forger))
    assert (reply.status, reply.json["type"]) == (401, "urn:fms:problem:unauthenticated")
    assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert forger.anna.email not in reply.text


def _logged_out(one: Person) -> None:
    one.ask("POST", "/api/auth/logout").checked(204)


def _logged_out_everywhere(one: Person) -> None:
    # From another login.
    Person(one.app, one.email).logged_in().ask("POST", "/api/auth/logout-everywhere").checked(204)


def _ended_from_elsewhere(one: Person) -> None:
    other = Person(one.app, one.email).logged_in()
    assert other.ask("DELETE", f"/api/account/sessions/{_sid(one)}").status == 204


def _password_changed(one: Person) -> None:
    body = {"password": PASSWORD, "new_password": "another horse battery"}
    Person(one.app, one.email).logged_in().ask("POST", "/api/account/password", body).checked(204)


def _password_set_by_an_operator(one: Person) -> None:
    accounts_of(one.app).set_password(accounts_of(one.app).find(one.email), "another horse battery")


def _deleted(one: Person) -> None:
    one.ask("DELETE", "/api/account", {"password": PASSWORD}).checked(204)


def _deleted_and_registered_again(one: Person) -> None:
    _deleted(one)
    Person(one.app, one.email).joined()


def _being_deleted(one: Person) -> None:
    accounts = accounts_of(one.app)
    accounts._rows.close(accounts.find(one.email).user.id)


def _being_deleted_whatever_its_sessions_say(one: Person) -> None:
    user_id = UUID(_sub(one))
    close = update(user_account).where(user_account.c.id == user_id).values(closed_at=1)
    site_of(one.app).router.write(slot_of_id(user_id), lambda connection: connection.execute(close))


def _renewed_twice(one: Person) -> None:
    statuses = [one.ask("POST", "/api/auth/refresh", {"refresh_token": one.refresh}).status for _ in range(2)]
    assert statuses == [200, 401]


def _not_used_for_long(one: Person) -> None:
    # Its time is that of the refresh token, whatever the access token says.
    sid = UUID(_sid(one))
    end = update(session).where(session.c.id == sid).values(expires_at=site_of(one.app).clock())
    site_of(one.app).router.write(slot_of_id(sid), lambda connection: connection.execute(end))


ENDINGS = (
    _logged_out, _logged_out_everywhere, _ended_from_elsewhere, _password_changed, _password_set_by_an_operator,
    _deleted, _deleted_and_registered_again, _being_deleted, _renewed_twice,
)  # fmt: skip


@pytest.mark.parametrize("end", ENDINGS)
def test_tokens_are_refused_at_once_after_their_login_has_ended(app: Flask, end: Callable[[Person], None]) -> None:
    check_ended(app, end)


@pytest.mark.parametrize("end", [_being_deleted_whatever_its_sessions_say, _not_used_for_long])
def test_what_ends_a_login_elsewhere_ends_it_here(make_app: MakeApp, end: Callable[[Person], None]) -> None:
    check_ended(make_app(session_check_seconds=0), end)


def test_a_login_that_ends_elsewhere_is_believed_for_a_moment_only(make_app: MakeApp) -> None:
    here, elsewhere = make_app(session_check_seconds=30), make_app()
    soon = make_app(session_check_seconds=0.05)
    anna = Person(here).joined()
    there, later = (Person(app, anna.email, anna.password, anna.access) for app in (elsewhere, soon))
    assert [one.ask("GET", "/api/account").status for one in (anna, later)] == [200, 200]
    assert there.ask("POST", "/api/auth/logout").status == 204
    assert anna.ask("GET", "/api/account").status == 200
    deadline = monotonic() + 10
    while later.ask("GET", "/api/account").status == 200:
        assert monotonic() < deadline
    # Whatever ends a login here has all others asked about again.
    Person(here).joined().ask("POST", "/api/auth/logout")
    assert anna.ask("GET", "/api/account").status == 401


def check_ended(app: Flask, end: Callable[[Person], None]) -> None:
    anna = Person(app).joined()
    assert anna.ask("GET", "/api/account").status == 200
    end(anna)
    before = dump(app)
    assert anna.ask("GET", "/api/account").status == 401
    refused = anna.ask("POST", "/api/auth/refresh", {"refresh_token": anna.refresh})
    assert (refused.status, refused.json["type"]) == (401, "urn:fms:problem:unauthenticated")
    assert {row for row in dump(app) - before if "session" not in row[1]} == set()


def test_a_token_that_was_good_expires(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = Person(app).joined()
    assert anna.ask("GET", "/api/account").status == 200
    end = read(anna.access, 1)["exp"]
    for now, status in ((end - 1, 200), (end, 401), (end + 1, 401)):
        with monkeypatch.context() as later:
            later.setattr("fms.web.tokens.time.time", lambda now=now: now)
            assert anna.ask("GET", "/api/account").status == status


def test_one_login_may_end_and_another_go_on(app: Flask) -> None:
    anna = Person(app).joined()
    other = Person(app, anna.email).logged_in()
    _logged_out(anna)
    assert (anna.ask("GET", "/api/account").status, other.ask("GET", "/api/account").status) == (401, 200)


def test_another_role_takes_effect_at_once(app: Flask) -> None:
    anna, accounts = Person(app).joined(), accounts_of(app)
    statuses = [anna.ask("GET", "/api/operator/status").status]
    for role in ("operator", "user"):
        accounts.set_role(accounts.find(anna.email), role)
        statuses.append(anna.ask("GET", "/api/operator/status").status)
    assert statuses == [403, 200, 403]


def test_no_role_is_taken_from_a_token(app: Flask, forger: Forger) -> None:
    forged = forger.access(role="operator", roles=["operator"], admin=True)
    assert Person(app).ask("GET", "/api/operator/status", **forged).status == 403


REFUSED_REFRESHES: dict[str, Callable[[Forger], str]] = {
    "an access token": lambda one: one.anna.access,
    "an access token made to look like one": lambda one: one.access({"typ": "rt+jwt"}, type="refresh")["headers"][
        "Authorization"
    ].removeprefix("Bearer "),
    "typ of an access token": lambda one: one.refresh({"typ": "at+jwt"}),
    "gen a number": lambda one: one.refresh(gen=1),
    "gen no number": lambda one: one.refresh(gen="one"),
    "gen of other digits": lambda one: one.refresh(gen="\u0661"),
    "gen too large": lambda one: one.refresh(gen="9" * 40),
    "gen negative": lambda one: one.refresh(gen="-1"),
    "sid of nothing": lambda one: one.refresh(sid="0" * 32),
    "alg none": lambda one: one.refresh({"alg": "none"}).rpartition(".")[0] + ".",
    "another key": lambda one: signed(read(one.anna.refresh, 0), read(one.anna.refresh, 1), OTHER_KEY),
    "expired": lambda one: one.refresh(exp=int(time()) - 1),
    "with spaces": lambda one: f" {one.anna.refresh} ",
    "a bomb": lambda _: f"{_encoded(b'[' * 2_000)}.AAAA.AAAA",
    "nothing": lambda _: "x",
}


@pytest.mark.parametrize("name", REFUSED_REFRESHES)
def test_a_forged_refresh_token_is_refused_and_ends_nothing(app: Flask, forger: Forger, name: str) -> None:
    token = REFUSED_REFRESHES[name](forger)
    for request in ({"json": {"refresh_token": token}}, {"json": {}, **bearer(token)}):
        reply = Person(app).ask("POST", "/api/auth/refresh", **request)
        assert (reply.status, reply.json["type"]) == (401, "urn:fms:problem:unauthenticated")
    assert forger.anna.ask("GET", "/api/account").status == 200


def test_a_refresh_token_comes_in_the_body_or_in_the_header(app: Flask) -> None:
    anna = Person(app).joined()
    # Also where a client sends its access token with every request.
    first = anna.ask("POST", "/api/auth/refresh", {"refresh_token": anna.refresh}).checked()
    second = Person(app).ask("POST", "/api/auth/refresh", **bearer(first["refresh_token"])).checked()
    assert _account(app, **bearer(second["access_token"])).checked()["email"] == anna.email


def test_a_token_of_another_site_is_refused(app: Flask, forger: Forger, tmp_path: Path) -> None:
    with api_of(tmp_path / "elsewhere") as elsewhere:
        assert _account(elsewhere, **bearer(forger.anna.access)).status == 401
        assert _account(app, **bearer(Person(elsewhere).joined().access)).status == 401


OLD, NEW = "old" * 12, "new" * 12


def test_a_key_that_was_replaced_is_good_as_long_as_it_is_listed(tmp_path: Path) -> None:
    with api_of(tmp_path, secret_key=OLD) as app:
        anna = Person(app).joined()
    with api_of(tmp_path, secret_key=f"{NEW}, {OLD}") as app:
        assert _account(app, **bearer(anna.access)).status == 200
        fresh = Person(app).ask("POST", "/api/auth/refresh", {"refresh_token": anna.refresh}).checked()
    with api_of(tmp_path, secret_key=NEW) as app:
        assert _account(app, **bearer(anna.access)).status == 401
        assert _account(app, **bearer(fresh["access_token"])).status == 200
    with api_of(tmp_path, secret_key=OLD) as app:
        assert _account(app, **bearer(fresh["access_token"])).status == 401


def test_what_signs_tokens_is_not_the_secret_itself(tmp_path: Path) -> None:
    with api_of(tmp_path, secret_key=OLD) as app:
        anna = Person(app).joined()
        forged = signed(read(anna.access, 0), read(anna.access, 1), OLD.encode())
        assert _account(app, **bearer(forged)).status == 401


def test_a_token_says_nothing_that_is_nobodys_business(forger: Forger) -> None:
    for token in (forger.anna.access, forger.anna.refresh):
        said = json.dumps(read(token, 0) | read(token, 1))
        assert forger.anna.email not in said
        assert "role" not in said
