"""How often may be asked, and what browsers are told: limits, headers and other origins."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from flask import Flask

from tests.services.redis import Redis
from tests.web.conftest import MakeApp
from tests.web.people import ALERT, PASSWORD, Person, Reply
from tests.web.shards import accounts_of, api_of

HERE = "10.0.0.1"


def _from(address: str = HERE) -> dict[str, Any]:
    return {"environ_base": {"REMOTE_ADDR": address}}


def login(app: Flask, email: str, password: str = "not this password", address: str = HERE) -> Reply:  # noqa: S107
    return Person(app).ask("POST", "/api/auth/login", {"email": email, "password": password}, **_from(address))


def check_refused(reply: Reply, least: int = 1, most: int = 120) -> None:
    assert (reply.status, reply.headers["Content-Type"]) == (429, "application/problem+json")
    assert reply.json["type"] == "urn:fms:problem:too-many"
    assert least <= int(reply.headers["Retry-After"]) <= most


def test_a_user_may_ask_so_often_from_wherever(make_app: MakeApp) -> None:
    app = make_app(rate_limit="3/minute")
    anna, ben = (Person(app) for _ in range(2))
    for number, person in enumerate((anna, ben)):
        accounts_of(app).add(person.email, PASSWORD)
        tokens = login(app, person.email, PASSWORD, f"10.0.1.{number}").checked()
        person.access = tokens["access_token"]
    found = [anna.ask("GET", "/api/account", **_from(f"10.0.2.{number}")) for number in range(4)]
    assert [one.status for one in found[:3]] == [200] * 3
    check_refused(found[3])
    assert ben.ask("GET", "/api/account", **_from()).status == 200


@pytest.mark.parametrize("access", ["", "nonsense"])
def test_an_address_without_a_user_may_ask_so_often(make_app: MakeApp, access: str) -> None:
    """Also one that tries tokens."""
    app = make_app(rate_limit="3/minute")
    found = [Person(app, access=access).ask("GET", "/api/account", **_from()) for _ in range(4)]
    assert [one.status for one in found[:3]] == [401] * 3
    check_refused(found[3])
    assert Person(app, access=access).ask("GET", "/api/account", **_from("10.0.0.2")).status == 401


def test_health_is_told_however_often_it_is_asked_for(make_app: MakeApp) -> None:
    app = make_app(rate_limit="1/minute")
    for path in ("/livez", "/readyz", "/metrics"):
        asked = [Person(app).ask("GET", path, **_from("127.0.0.1")).status for _ in range(5)]
        assert asked == [200] * 5


TRIES: dict[str, Callable[[Person], Reply]] = {
    "login": lambda one: one.ask("POST", "/api/auth/login", {"email": one.email, "password": "x"}, **_from()),
    "register": lambda one: one.ask(
        "POST", "/api/auth/register", {"email": one.email, "password": PASSWORD}, **_from()
    ),
    "password": lambda one: one.ask(
        "POST", "/api/account/password", {"password": "x", "new_password": PASSWORD}, **_from()
    ),
    "delete": lambda one: one.ask("DELETE", "/api/account", {"password": "x"}, **_from()),
}


@pytest.mark.parametrize("name", TRIES)
def test_passwords_are_tried_so_often_from_an_address(make_app: MakeApp, name: str) -> None:
    app = make_app(login_rate_limit="2/minute")
    anna = _joined(app)
    assert {TRIES["login"](Person(app)).status for _ in range(2)} == {401}
    # Whichever view it is, and whichever account.
    check_refused(TRIES[name](anna))
    assert anna.ask("GET", "/api/account", **_from()).status == 200


def _joined(app: Flask, address: str = "10.9.9.9") -> Person:
    person = Person(app)
    accounts_of(app).add(person.email, PASSWORD)
    person.access = login(app, person.email, PASSWORD, address).checked()["access_token"]
    return person


@pytest.mark.parametrize("known", [True, False])
def test_passwords_are_tried_so_often_for_an_account_from_wherever(make_app: MakeApp, known: bool) -> None:
    app = make_app(login_rate_limit="3/minute")
    email = Person(app).email
    if known:
        accounts_of(app).add(email, PASSWORD)
    spelled = (email, email.upper(), f" {email} ", email)
    found = [login(app, one, address=f"10.0.0.{number}") for number, one in enumerate(spelled)]
    assert [one.status for one in found[:3]] == [401] * 3
    check_refused(found[3])
    check_refused(login(app, email, PASSWORD, "10.0.0.99"))
    assert login(app, Person(app).email, address="10.0.0.99").status == 401


def test_others_who_try_an_e_mail_keep_nobody_from_their_account(make_app: MakeApp) -> None:
    app = make_app(login_rate_limit="2/minute")
    anna = _joined(app)
    for number in range(3):
        login(app, anna.email, address=f"10.0.0.{number}")
    new = {"password": PASSWORD, "new_password": "another horse battery"}
    assert anna.ask("POST", "/api/account/password", new, **_from("10.0.0.50")).status == 204


def test_people_who_change_their_passwords_share_no_limit(make_app: MakeApp) -> None:
    app = make_app(login_rate_limit="2/minute")
    people = [_joined(app, f"10.1.0.{number}") for number in range(4)]
    wrong = {"password": "not this one", "new_password": "another horse battery"}
    tried = [
        one.ask("POST", "/api/account/password", wrong, **_from(f"10.2.0.{number}")).status
        for number, one in enumerate(people)
    ]
    assert tried == [401] * 4


def test_what_is_refused_by_its_limit_costs_no_hash(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(login_rate_limit="1/minute")
    hashed: list[object] = []

    def check(*given: object) -> bool:
        hashed.append(given)
        return False

    monkeypatch.setattr(accounts_of(app)._passwords, "check", check)
    assert [login(app, "a@example.org").status for _ in range(3)] == [401, 429, 429]
    assert len(hashed) == 1


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b'{"email": [' + b"[" * 5_000, b"\xff", b"x" * 40_000])
def test_no_body_lets_anybody_past_the_limit(make_app: MakeApp, body: bytes) -> None:
    app = make_app(login_rate_limit="3/minute")

    def ask() -> int:
        more = {"data": body, "content_type": "application/json", **_from()}
        return Person(app).ask("POST", "/api/auth/login", **more).status

    statuses = [ask() for _ in range(4)]
    assert statuses[3] == 429
    assert {status in (400, 413, 422) for status in statuses[:3]} == {True}


def test_the_word_of_a_proxy_is_taken_only_if_it_is_trusted(make_app: MakeApp) -> None:
    def ask(app: Flask, said: str) -> int:
        return Person(app).ask("GET", "/api/account", headers={"X-Forwarded-For": said}, **_from()).status

    alone = make_app(rate_limit="2/minute")
    assert [ask(alone, f"10.1.1.{number}") for number in range(3)] == [401, 401, 429]
    behind = make_app(rate_limit="2/minute", trusted_proxies=1)
    assert [ask(behind, f"10.1.1.{number}") for number in range(3)] == [401] * 3
    # What the client itself said stands before what the proxy added.
    assert [ask(behind, f"10.2.2.{number}, 10.3.3.3") for number in range(3)] == [401, 401, 429]


def test_processes_count_together_in_redis(tmp_path: Path, redis_url: str) -> None:
    settings: dict[str, Any] = {"price_book_url": redis_url, "rate_limit": "4/minute", "login_rate_limit": "3/minute"}
    with api_of(tmp_path, **settings) as one, api_of(tmp_path, **settings) as other:
        asked = [Person(app).ask("GET", "/api/account", **_from()).status for app in (one, other, one, other, one)]
        assert asked == [401, 401, 401, 401, 429]
        tried = [login(app, "a@example.org", address=f"10.0.1.{n}") for n, app in enumerate((one, other, one, other))]
        assert [reply.status for reply in tried] == [401, 401, 401, 429]
        check_refused(tried[3])


def test_limits_go_on_in_memory_while_redis_is_away(tmp_path: Path, own_redis: Redis) -> None:
    with api_of(tmp_path, price_book_url=own_redis.url, rate_limit="1000/minute", login_rate_limit="50/minute") as app:
        anna = _joined(app)
        own_redis.kill()
        with ThreadPoolExecutor(8) as threads:
            read = list(threads.map(lambda _: anna.ask("GET", "/api/account", **_from()).status, range(40)))
            tried = list(threads.map(lambda _: login(app, "a@example.org").status, range(60)))
        assert set(read) == {200}
        assert (tried.count(401), tried.count(429)) == (50, 10)
        # Prices cannot be read, and are not needed for it.
        assert anna.ask("POST", "/api/alerts", ALERT, **_from()).status == 201


def test_of_many_who_wait_for_redis_in_vain_none_is_refused_for_it(tmp_path: Path, own_redis: Redis) -> None:
    with api_of(tmp_path, price_book_url=own_redis.url) as app:
        anna = _joined(app)
        own_redis.pause()
        together = Barrier(8)

        def ask(_: int) -> int:
            together.wait(60)
            return anna.ask("GET", "/api/account", **_from()).status

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(ask, range(8))) == [200] * 8
        own_redis.resume()


def test_a_limit_is_told_also_if_redis_dies_as_it_is_met(
    tmp_path: Path, own_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_of(tmp_path, price_book_url=own_redis.url, rate_limit="1/minute") as app:
        assert Person(app).ask("GET", "/api/account", **_from()).status == 401
        own_redis.pause()
        found = [Person(app).ask("GET", "/api/account", **_from()) for _ in range(2)]
        own_redis.resume()
    # In memory the counting begins again.
    assert [one.status for one in found] == [401, 429]
    check_refused(found[1])


SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/account", 401),
        ("GET", "/livez", 200),
        ("GET", "/nothing", 404),
        ("PATCH", "/api/alerts", 405),
        ("POST", "/api/auth/login", 422),
        ("GET", "/api/docs", 200),
        ("GET", "/api/docs/swagger-ui.css", 200),
        ("GET", "/api/openapi.json", 200),
        ("OPTIONS", "/api/alerts", 200),
    ],
)
def test_every_answer_keeps_browsers_safe(app: Flask, method: str, path: str, status: int) -> None:
    reply = Person(app).ask(method, path)
    assert reply.status == status
    assert {name: reply.headers.get(name) for name in SAFE} == SAFE
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Request-Id"]
    assert "Server" not in reply.headers
    assert "Set-Cookie" not in reply.headers


def test_a_fault_keeps_browsers_safe_too(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    anna = Person(app).joined()
    monkeypatch.setattr(accounts_of(app), "sessions", lambda *_: 1 / 0)
    reply = anna.ask("GET", "/api/account/sessions")
    assert (reply.status, reply.json["type"]) == (500, "urn:fms:problem:fault")
    assert {name: reply.headers.get(name) for name in SAFE} == SAFE
    assert "ZeroDivision" not in reply.text


def test_what_is_somebodys_is_kept_by_no_cache(app: Flask) -> None:
    anna = Person(app).joined()
    for path in ("/api/account", "/api/alerts", "/api/account/export"):
        assert anna.ask("GET", path).headers["Cache-Control"] == "no-store"


ORIGIN = "https://app.example.org"


def _allowed(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.startswith("Access-Control-")}


def _preflight(app: Flask, origin: str) -> Reply:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization",
    }
    return Person(app).ask("OPTIONS", "/api/alerts", headers=asked)


def test_no_other_origin_may_ask_unless_it_is_named(app: Flask) -> None:
    assert _allowed(Person(app).ask("GET", "/api/account", headers={"Origin": ORIGIN})) == {}
    assert _allowed(_preflight(app, ORIGIN)) == {}


def test_an_origin_that_is_named_may_ask(make_app: MakeApp) -> None:
    app = make_app(cors_origins=f" {ORIGIN}, http://localhost:3000,*,null")
    for origin in (ORIGIN, "http://localhost:3000"):
        preflight = _preflight(app, origin)
        allowed = _allowed(preflight)
        assert (preflight.status, allowed["Access-Control-Allow-Origin"]) == (200, origin)
        assert {"Authorization", "If-Match", "Idempotency-Key", "Content-Type"} <= set(
            allowed["Access-Control-Allow-Headers"].split(", ")
        )
        assert {"PUT", "DELETE"} <= set(allowed["Access-Control-Allow-Methods"].split(", "))
        assert "Access-Control-Allow-Credentials" not in allowed
        assert "Origin" in preflight.headers["Vary"]
    refused = Person(app).ask("GET", "/api/account", headers={"Origin": ORIGIN})
    assert (refused.status, _allowed(refused)["Access-Control-Allow-Origin"]) == (401, ORIGIN)
    assert "ETag" in _allowed(refused)["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.org.evil.example",
        "https://evil-app.example.org",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://APP.example.org",
        "https://app.example.org/",
        "null",
        "*",
        "",
        f"{ORIGIN}, https://evil.example",
    ],
)
def test_an_origin_that_only_looks_like_it_may_not(make_app: MakeApp, origin: str) -> None:
    app = make_app(cors_origins=f"{ORIGIN},*,null")
    for reply in (Person(app).ask("GET", "/livez", headers={"Origin": origin}), _preflight(app, origin)):
        assert _allowed(reply) == {}
        # A cache must not hand it to those who may.
        assert "Origin" in reply.headers["Vary"]
