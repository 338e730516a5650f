"""The end of an account: all that was somebody's is gone from every shard, also what was being made at that moment."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import insert, select, text

from fms.accounts.devices import proof_of
from fms.db.tables import alert, alert_window
from fms.model.ids import slot_of_id
from fms.shards.engine import reading, writing
from tests.contracts.making import made
from tests.services.postgres import Databases
from tests.services.processes import until
from tests.web.matrix import LINE, PREFERENCES, device
from tests.web.people import ALERT, PASSWORD, Person, Reply
from tests.web.shards import about, accounts_of, api_of, dump, parts_of, price_known, site_of

FAREWELL = {"password": PASSWORD}
ELSEWHERE = {"origin": "JFK", "destination": "LHR", "currency": "USD"}
"""On a route of the other shard."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The API of one site for all tests; each is about new people."""
    with api_of(tmp_path_factory.mktemp("site")) as found:
        price_known(found, 3_500)
        yield found


@pytest.fixture
def on_postgres(postgres: Databases, tmp_path: Path) -> Iterator[Flask]:
    """The same on two shards on PostgreSQL."""
    catalog = postgres.new_database()
    made(tmp_path, catalog, {name: postgres.new_database() for name in "ab"})
    with api_of(tmp_path, catalog_url=catalog) as found:
        price_known(found, 3_500)
        yield found


@pytest.fixture(params=["files", "PostgreSQL"])
def any_app(request: pytest.FixtureRequest) -> Flask:
    found: Flask = request.getfixturevalue("app" if request.param == "files" else "on_postgres")
    return found


def settled(app: Flask) -> tuple[Person, list[str]]:
    """Somebody who has something in every table, and what it names: they, and their alerts."""
    person = Person(app).joined()
    alerts = [person.alert(ref="one"), person.alert(**ELSEWHERE)]
    kept = person.ask("POST", "/api/alerts", ALERT, {"Idempotency-Key": "kept"}).checked(201)
    person.ask("POST", "/api/devices", device(person.email)).checked(201)
    person.ask("PUT", "/api/preferences", PREFERENCES).checked()
    Person(app, person.email).logged_in()
    site = site_of(app)
    with site.exclusive():
        site.notify(_Silent()).deliver(site.clock())
    user_id = person.ask("GET", "/api/account").checked()["id"]
    return person, [user_id, person.email, kept["id"], *(one["id"] for one in alerts)]


class _Silent:
    """A channel that nobody hears."""

    def send(self, push: Any, now: int) -> None:
        """Nothing."""


TABLES = {
    "user_account", "session", "device", "idempotency_key", "alert", "alert_window", "outbox", "notification", "push",
}  # fmt: skip


def tables_about(app: Flask, names: list[str]) -> set[str]:
    return {row[1] for row in about(dump(app), *names, *(name.replace("-", "") for name in names))}


def test_a_deleted_account_leaves_nothing_in_any_table_of_any_shard(any_app: Flask) -> None:
    ben, others = settled(any_app)
    before = dump(any_app)
    anna, names = settled(any_app)
    # Else the test would prove little: there was something in every table, and in each shard.
    assert tables_about(any_app, names) == TABLES
    assert {row[0] for row in about(dump(any_app), *names) if row[1] == "alert"} == _shards(any_app)
    anna.ask("DELETE", "/api/account", FAREWELL).checked(204)
    assert tables_about(any_app, names) == set()
    assert about(dump(any_app), *others) == about(before, *others)
    assert ben.ask("GET", "/api/account").status == 200
    assert anna.ask("GET", "/api/account").status == 401
    assert anna.ask("POST", "/api/auth/login", {"email": anna.email, "password": PASSWORD}).status == 401


def _shards(app: Flask) -> set[str]:
    return {shard.name for shard in site_of(app).router.all()}


@pytest.mark.parametrize("body", [{"password": "not this one"}, {"password": ""}, {}, None, {"password": None}])
def test_without_the_password_nothing_is_deleted(app: Flask, body: Any) -> None:
    anna, _ = settled(app)
    before = dump(app)
    reply = anna.ask("DELETE", "/api/account", body)
    assert reply.status == (401 if body and body["password"] else 422)
    assert dump(app) == before


def test_an_e_mail_that_was_deleted_may_be_registered_anew_and_finds_nothing(app: Flask) -> None:
    anna, names = settled(app)
    anna.ask("DELETE", "/api/account", FAREWELL).checked(204)
    again = Person(app, anna.email).joined()
    assert again.ask("GET", "/api/account").checked()["id"] != names[0]
    for path in ("alerts", "notifications", "devices"):
        assert again.ask("GET", f"/api/{path}").checked()["items"] == []


def _import(one: Person) -> Reply:
    return one.ask("POST", "/api/alerts/import", data=LINE, content_type="application/x-ndjson")


WRITES: dict[str, Callable[[Person, str], Reply]] = {
    "create": lambda one, _: one.ask("POST", "/api/alerts", ALERT | {"ref": "late"}, {"Idempotency-Key": "late"}),
    "import": lambda one, _: _import(one),
    "edit": lambda one, alert_id: one.ask("PUT", f"/api/alerts/{alert_id}", ALERT | {"target_minor": 3_600}),
    "pause": lambda one, alert_id: one.ask("POST", f"/api/alerts/{alert_id}/pause"),
    "resume": lambda one, alert_id: one.ask("POST", f"/api/alerts/{alert_id}/resume"),
    "snooze": lambda one, alert_id: one.ask("POST", f"/api/alerts/{alert_id}/snooze", {"until": None}),
    "device": lambda one, _: one.ask("POST", "/api/devices", device(f"late of {one.email}")),
    "preferences": lambda one, _: one.ask("PUT", "/api/preferences", PREFERENCES | {"daily_cap": 9}),
    "password": lambda one, _: one.ask(
        "POST", "/api/account/password", FAREWELL | {"new_password": "another horse battery"}
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_written_while_the_account_is_deleted_is_gone_too(
    app: Flask, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A request that was let in before the deletion, and does its work only after it."""
    anna, names = settled(app)
    alert_id = names[-1]
    identify = parts_of(app).tokens.identify

    def let_in_and_deleted() -> Any:
        found = identify()
        accounts_of(app).remove(found.account)
        return found

    monkeypatch.setattr(parts_of(app).tokens, "identify", let_in_and_deleted)
    reply = WRITES[name](anna, alert_id)
    assert reply.status < 500, reply.text
    assert tables_about(app, names) == set()


def test_a_login_while_the_account_is_deleted_is_none(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, names = settled(app)
    check = accounts_of(app)._passwords.check

    def check_and_delete(hashed: str | None, password: str) -> bool:
        found = check(hashed, password)
        accounts_of(app).remove(accounts_of(app).find(anna.email))
        return found

    monkeypatch.setattr(accounts_of(app)._passwords, "check", check_and_delete)
    assert anna.ask("POST", "/api/auth/login", {"email": anna.email, "password": PASSWORD}).status == 401
    assert tables_about(app, names) == set()


def test_alerts_made_at_the_same_time_in_threads_leave_nothing(any_app: Flask) -> None:
    anna, names = settled(any_app)

    def make(number: int) -> int:
        place = ELSEWHERE if number % 2 else {}
        return anna.ask("POST", "/api/alerts", ALERT | place, {"Idempotency-Key": str(number)}).status

    with ThreadPoolExecutor(5) as threads:
        making = [threads.submit(make, number) for number in range(24)]
        until(lambda: any(one.done() for one in making), "some are made")
        anna.ask("DELETE", "/api/account", FAREWELL).checked(204)
        assert {one.result() for one in making} <= {201, 401}
    assert tables_about(any_app, names) == set()


def test_an_edit_that_holds_the_alert_leaves_no_windows(on_postgres: Flask) -> None:
    """Whose windows are written anew while the deletion waits for the alert."""
    anna, names = settled(on_postgres)
    site, alert_id = site_of(on_postgres), UUID(names[-1])
    engine = site.router.of(slot_of_id(alert_id)).engine
    with ThreadPoolExecutor(1) as threads:
        with writing(engine) as connection:
            connection.execute(select(alert.c.id).where(alert.c.id == alert_id).with_for_update()).one()
            mine = alert_window.c.alert_id == alert_id
            rows = [dict(row._mapping) for row in connection.execute(select(alert_window).where(mine))]
            deleting = threads.submit(anna.ask, "DELETE", "/api/account", FAREWELL)
            waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            until(lambda: _scalar(engine, waits) > 0, "the deletion waits for the alert")
            connection.execute(alert_window.delete().where(mine))
            connection.execute(insert(alert_window), [row | {"month": row["month"] + 1} for row in rows])
        assert deleting.result().status == 204
    assert tables_about(on_postgres, names) == set()


def _scalar(engine: Any, query: Any) -> int:
    with reading(engine) as connection:
        found: int = connection.execute(query).scalar_one()
        return found


def test_an_export_has_everything_and_no_secret(app: Flask) -> None:
    anna, names = settled(app)
    reply = anna.ask("GET", "/api/account/export")
    document = reply.checked()
    assert 'attachment; filename="fms-export.json"' in reply.headers["Content-Disposition"]
    assert (document["account"]["id"], document["account"]["email"]) == (names[0], anna.email)
    assert {one["id"] for one in document["alerts"]} == set(names[2:])
    listed = anna.ask("GET", "/api/notifications").checked()["items"]
    assert listed
    assert [one["notification_id"] for one in listed] == sorted(
        (one["notification_id"] for one in document["notifications"]), reverse=True
    )
    assert [one["name"] for one in document["devices"]] == ["mobile"]
    assert document["preferences"]["daily_cap"] == PREFERENCES["daily_cap"]
    assert len(document["sessions"]) == 2
    account = accounts_of(app).find(anna.email)
    secrets = [
        account.password or "?",
        "argon2",
        PASSWORD,
        anna.access,
        anna.refresh,
        device(anna.email)["token"],
        "gAAAA",
    ]
    own = next(one for one in parts_of(app).devices.all(UUID(names[0])))
    for secret in (*secrets, proof_of(own, parts_of(app).keys)):
        assert secret not in reply.text


def test_what_is_exported_can_be_imported_again(app: Flask) -> None:
    anna, _ = settled(app)
    file = anna.ask("GET", "/api/alerts/export").text
    ben = Person(app).joined()
    done = ben.ask("POST", "/api/alerts/import", data=file, content_type="application/x-ndjson").checked()
    assert done == {"added": 3, "updated": 0, "unchanged": 0}


def test_what_a_killed_process_left_of_somebody_who_is_gone_is_deleted_later(any_app: Flask) -> None:
    gone, stays = (Person(any_app).joined() for _ in range(2))
    kept = stays.alert()
    site, rows = site_of(any_app), site_of(any_app).alert_rows
    left = replace(rows.get(UUID(gone.alert()["id"])), id=site.mint.new(slot_of_id(UUID(kept["id"]))), ref="left")
    fired = stays.ask("POST", "/api/alerts", ALERT | {"target_minor": 9_000}).checked(201)
    gone.ask("DELETE", "/api/account", FAREWELL).checked(204)
    # As if the process had been killed before it looked again.
    rows.add([left])
    assert tables_about(any_app, [gone.email]) == {"alert"}
    accounts_of(any_app).finish_removing()
    assert tables_about(any_app, [gone.email]) == set()
    assert stays.ask("GET", f"/api/alerts/{kept['id']}").status == 200
    assert stays.ask("GET", f"/api/alerts/{fired['id']}").status == 200
