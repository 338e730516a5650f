"""Secrets are in no log and in no answer, whatever goes wrong; and nobody writes lines of their own into a log."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fms.accounts.keys import KEY_FILE
from fms.errors import Fatal, Transient
from fms.runtime.logs import log_to_stderr
from fms.runtime.watching import Log
from tests.contracts.making import made
from tests.services.postgres import Postgres
from tests.web.matrix import MATRIX, PREFERENCES
from tests.web.people import ALERT, Person, Reply
from tests.web.shards import accounts_of, api_of, parts_of, site_of

CANARY = "canary-"
PASSWORD, NEW_PASSWORD = f"{CANARY}password one", f"{CANARY}password two"
PUSH_TOKEN = f"{CANARY}push-token" * 6
KEY = f"{CANARY}secret-key" * 3
IDEMPOTENCY = f"{CANARY}idempotency"
METRICS = f"{CANARY}metrics-key"


class Told:
    """What a site's log was told, in each form that a log has."""

    def __init__(self) -> None:
        self.streams = {form: io.StringIO() for form in ("text", "json")}

    def log(self, form: str) -> Log:
        """A log as ``fms serve`` has it, but into memory."""
        with structlog_kept():
            found: Any = log_to_stderr(form)
            processors = structlog.get_config()["processors"]
        logger = structlog.wrap_logger(structlog.PrintLogger(self.streams[form]), processors=processors)
        return cast("Log", logger.bind(**structlog.get_context(found)))

    @property
    def text(self) -> str:
        return "".join(stream.getvalue() for stream in self.streams.values())


@contextmanager
def structlog_kept() -> Iterator[None]:
    """structlog is configured for the whole process: put back what other tests expect."""
    import logging

    root = logging.getLogger()
    before, handlers, level = structlog.get_config(), root.handlers[:], root.level
    pika = logging.getLogger("pika").level
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers[:], root.level = handlers, level
        logging.getLogger("pika").setLevel(pika)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture(params=["text", "json"])
def app(request: pytest.FixtureRequest, tmp_path: Path, told: Told) -> Iterator[Flask]:
    """An API with a log of each form."""
    with api_of(tmp_path / "site", told.log(request.param), secret_key=KEY, metrics_key=METRICS) as found:
        yield found


def device() -> dict[str, Any]:
    return {"provider": "fcm", "token": PUSH_TOKEN, "name": "mobile"}


def _everything(person: Person) -> list[Reply]:
    """Requests that bring every secret that there is, well and badly formed."""
    new = {"password": person.password, "new_password": NEW_PASSWORD}
    return [
        person.ask("POST", "/api/auth/login", {"email": person.email, "password": person.password}),
        person.ask("POST", "/api/auth/login", {"email": person.email, "password": f"{CANARY}wrong"}),
        person.ask("POST", "/api/auth/login", {"email": f"{CANARY}e@example.org", "password": f"{CANARY}unknown"}),
        person.ask("POST", "/api/auth/login", {"email": person.email, "password": [f"{CANARY}list"]}),
        person.ask("POST", "/api/auth/login", {"email": person.email, f"{CANARY}field": person.password}),
        person.ask("POST", "/api/auth/register", {"email": "x", "password": person.password}),
        person.ask("POST", "/api/auth/register", {"email": person.email, "password": CANARY}),
        person.ask("POST", "/api/auth/login", data=f'{{"password": "{CANARY}half', content_type="application/json"),
        person.ask("POST", "/api/auth/login", data={"password": f"{CANARY}form"}),
        person.ask("POST", "/api/devices", device()),
        person.ask("POST", "/api/devices", device() | {"provider": f"{CANARY}provider"}),
        person.ask("POST", "/api/devices", device() | {"provider": "webpush"}),
        person.ask("GET", "/api/devices"),
        person.ask("POST", "/api/alerts", ALERT, {"Idempotency-Key": IDEMPOTENCY}),
        person.ask("POST", "/api/alerts", ALERT | {"ref": "other"}, {"Idempotency-Key": IDEMPOTENCY}),
        person.ask("PUT", "/api/preferences", PREFERENCES),
        person.ask("GET", f"/api/account?token={CANARY}query", headers={"Cookie": f"token={CANARY}cookie"}),
        person.ask("GET", "/api/account", headers={"Authorization": f"Bearer {CANARY}token"}),
        person.ask("GET", "/api/account", headers={"Authorization": f"Basic {CANARY}basic"}),
        person.ask("GET", "/metrics", headers={"Authorization": f"Bearer {METRICS}"}),
        person.ask("GET", f"/api/{CANARY}path/{person.access}"),
        person.ask("GET", "/api/account/sessions"),
        person.ask("GET", "/api/account/export"),
        person.ask("GET", "/api/notifications"),
        person.ask("DELETE", "/api/account", {"password": f"{CANARY}wrong"}),
        person.ask("POST", "/api/auth/refresh", {"refresh_token": person.refresh}),
        person.ask("POST", "/api/account/password", new),
        person.ask("POST", "/api/auth/refresh", {"refresh_token": person.refresh}),
    ]


def _person(app: Flask) -> Person:
    return Person(app, password=PASSWORD).joined()


def _secrets(person: Person) -> list[str]:
    """What must not be told, the parts of tokens one by one; their first parts are of all tokens alike."""
    parts = [part for token in (person.access, person.refresh) for part in token.split(".")[1:]]
    keys = parts_of(person.app).keys
    made_of_them = [base64.urlsafe_b64encode(key).decode().rstrip("=") for key in keys.signing.values()]
    return [CANARY, *parts, *made_of_them, "$argon2id", "gAAAA"]


def check_silent(said: str, secrets: list[str]) -> None:
    for secret in secrets:
        assert secret not in said, said[max(0, said.index(secret) - 300) :][:600]


def test_a_log_of_all_that_people_do_has_no_secret(app: Flask, told: Told) -> None:
    anna = _person(app)
    replies = _everything(anna)
    assert {200, 201, 204, 400, 401, 404, 415, 422} <= {one.status for one in replies}
    assert told.text.count("request_id") >= len(replies)
    check_silent(told.text, _secrets(anna))


def test_no_answer_has_a_secret_of_those_that_were_sent(app: Flask) -> None:
    """But for new tokens, which are what was asked for, and what stands in a path or a field's name."""
    anna = _person(app)
    secrets = [PASSWORD, NEW_PASSWORD, PUSH_TOKEN, KEY, METRICS, IDEMPOTENCY, "$argon2id", "gAAAA"]
    secrets += [f"{CANARY}{name}" for name in ("wrong", "unknown", "list", "half", "form", "token", "basic", "cookie")]
    for reply in _everything(anna):
        check_silent(reply.text + str(reply.headers), secrets)


def _raises(error: Exception) -> Callable[..., Any]:
    def fail(*_args: object, **_options: object) -> Any:
        raise error

    return fail


FAULTS = (
    ValueError(f"{CANARY}in an error"),
    KeyError(PASSWORD),
    Transient("a shard is away"),
    Fatal("a shard is lost"),
)


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_a_fault_is_told_to_the_log_without_what_was_asked(
    app: Flask, told: Told, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    anna = _person(app)
    rows = accounts_of(app)._rows
    for name in ("find", "add", "of_session", "renew"):
        monkeypatch.setattr(rows, name, _raises(error))
    replies = _everything(anna)
    wanted = 503 if isinstance(error, Transient) else 500
    assert sum(one.status == wanted for one in replies) > 15
    check_silent(told.text, _secrets(anna))
    for reply in replies:
        if reply.status == wanted:
            check_silent(reply.text, [*_secrets(anna), "shard", "Traceback", "File "])
    # Whoever runs it learns where it was.
    if wanted == 500:
        assert type(error).__name__ in told.text
        assert "service.py:" in told.text


def test_an_error_of_a_database_quotes_nothing_that_was_to_be_written(app: Flask, told: Told) -> None:
    anna = _person(app)
    for shard in site_of(app).router.all():
        shard.engine.dispose()
        for file in site_of(app).settings.data.glob(f"{shard.name}.sqlite*"):
            file.write_bytes(b"no database any more")
    replies = _everything(anna)
    assert sum(one.status >= 500 for one in replies) > 15
    check_silent(told.text, _secrets(anna))
    for reply in replies:
        check_silent(reply.text, ["sqlite", "SELECT", "INSERT", "no database", str(site_of(app).settings.data)])


def test_an_error_of_sql_quotes_no_parameter(app: Flask) -> None:
    """Whoever prints it, as a command that breaks does."""
    engine = site_of(app).router.of(0).engine
    with pytest.raises(DBAPIError) as raised, engine.connect() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:password)"), {"password": PASSWORD})
    assert CANARY not in str(raised.value)


def test_nor_does_one_of_postgresql(own_postgres: Postgres, tmp_path: Path, told: Told) -> None:
    catalog = own_postgres.new_database()
    made(tmp_path, catalog, {name: own_postgres.new_database() for name in "ab"})
    with api_of(tmp_path, told.log("json"), catalog_url=catalog, secret_key=KEY) as app:
        anna = _person(app)
        for shard in site_of(app).router.all():
            with shard.engine.begin() as connection:
                for table in ("session", "device", "user_account", "idempotency_key"):
                    connection.exec_driver_sql(f"ALTER TABLE {table} RENAME COLUMN version TO canary_was_here")
        replies = _everything(anna)
        own_postgres.stop()
        replies += _everything(anna)
    assert {500, 503} <= {one.status for one in replies}
    check_silent(told.text.replace("canary_was_here", ""), _secrets(anna))
    for reply in replies:
        check_silent(reply.text, ["psycopg2", "SELECT", "INSERT", "127.0.0.1", own_postgres.folder.name])


LINE_BREAKS = ("\r\n", "\n", "\r", "\x0b", "\x0c", "\x1b[2K", "\x85", "\u2028")
FORGED = 'level=error event="all is lost"'


@pytest.mark.parametrize("line_break", LINE_BREAKS, ids=repr)
def test_nobody_writes_lines_of_their_own_into_the_log(app: Flask, told: Told, line_break: str) -> None:
    anna = _person(app)
    before = len(told.text.splitlines())
    evil = f"x{line_break}{FORGED}"
    # As a server hands headers over: in Latin-1.
    latin = evil.encode().decode("latin-1")
    headers = {
        "HTTP_X_REQUEST_ID": latin,
        "HTTP_USER_AGENT": latin,
        "HTTP_AUTHORIZATION": latin,
        "HTTP_IF_MATCH": latin,
    }
    replies = [
        anna.ask("GET", "/api/account", environ_overrides=headers),
        anna.ask("GET", f"/api/{evil}"),
        anna.ask("GET", "/api/alerts", query_string={"ref": evil, "cursor": evil}),
        anna.ask("POST", "/api/alerts", ALERT | {"ref": evil}),
        anna.ask("POST", "/api/auth/login", {"email": evil, "password": evil}),
        anna.ask("POST", "/api/alerts", ALERT, environ_overrides={"HTTP_IDEMPOTENCY_KEY": latin}),
        anna.ask("GET", "/api/account", environ_overrides={"REQUEST_METHOD": "GET", "REMOTE_ADDR": "10.0.0.1"}),
    ]
    lines = told.text.splitlines()[before:]
    assert len(lines) == len(replies)
    assert FORGED not in "\n".join(lines)
    for reply in replies:
        assert FORGED not in reply.headers["X-Request-Id"]


def test_an_id_of_a_request_is_taken_if_it_is_a_plain_one(app: Flask, told: Told) -> None:
    for given, taken in (
        ("Abc-1_2.3", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("é", False),
        ("", False),
    ):
        reply = Person(app).ask("GET", "/api/account", headers={"X-Request-Id": given})
        assert (reply.headers["X-Request-Id"] == given) is taken
        assert reply.json["request_id"] == reply.headers["X-Request-Id"]
        assert reply.headers["X-Request-Id"] in told.text


def test_a_line_of_the_log_says_who_asked_for_what_and_how_it_ended(tmp_path: Path, told: Told) -> None:
    with api_of(tmp_path, told.log("json")) as app:
        anna = _person(app)
        reply = anna.ask("GET", "/api/alerts?ref=private")
        user_id = anna.ask("GET", "/api/account").json["id"]
    line = [json.loads(line) for line in told.text.splitlines()][-2]
    assert {name: line[name] for name in ("event", "method", "route", "status", "user", "request_id")} == {
        "event": "request",
        "method": "GET",
        "route": "/api/alerts",
        "status": 200,
        "user": user_id,
        "request_id": reply.headers["X-Request-Id"],
    }
    assert anna.email not in told.text
    assert "private" not in told.text


def test_metrics_of_others_machines_need_the_key(app: Flask) -> None:
    def ask(address: str, **headers: str) -> int:
        return Person(app).ask("GET", "/metrics", headers=headers, environ_base={"REMOTE_ADDR": address}).status

    assert [ask("127.0.0.1"), ask("::1"), ask("10.0.0.1")] == [200, 200, 401]
    assert ask("10.0.0.1", Authorization=f"Bearer {METRICS}") == 200
    assert [ask("10.0.0.1", Authorization=f"Bearer {wrong}") for wrong in ("", "x", METRICS[:-1], f"{METRICS}x")] == [
        401
    ] * 4
    # What came through a proxy on this machine is not of this machine.
    assert ask("127.0.0.1", **{"X-Forwarded-For": "10.0.0.1"}) == 401


def test_metrics_name_nobody(app: Flask) -> None:
    anna = _person(app)
    _everything(anna)
    exposed = Person(app).ask("GET", "/metrics", environ_base={"REMOTE_ADDR": "127.0.0.1"}).text
    check_silent(exposed, [*_secrets(anna), anna.email, "canary"])
    # Whoever asks for paths of their own makes no series of their own.
    assert 'route="none"' in exposed


def test_the_key_of_a_site_is_its_owners(tmp_path: Path) -> None:
    with api_of(tmp_path) as app:
        anna = Person(app).joined()
        path = tmp_path / KEY_FILE
        key = path.read_text().strip()
        assert path.stat().st_mode & 0o777 == 0o600
        for row in MATRIX:
            if row.method == "GET" and "<" not in row.path:
                assert key not in anna.ask("GET", row.path).text
    path.chmod(0o640)
    with pytest.raises(Fatal, match="others may read it"), api_of(tmp_path):
        pass
