"""``fms doctor`` over sites of files and of servers, wherever these may be, and what it never shows."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from fms.db.migrate import History
from fms.model.clock import HOUR_MS, system_clock
from fms.shards.engine import opened
from tests.acceptance.commands import fms, written
from tests.acceptance.story import fare
from tests.contracts.making import set_revision
from tests.services.doctor.looking import IN_TIME, Found, Made, doctor, wrong
from tests.services.postgres import Postgres
from tests.services.rabbitmq import RabbitMQ
from tests.services.redis import Redis

SECRET = "geheim"  # noqa: S105  # of nobody


def test_a_site_over_servers_as_they_should_be_is_well(
    site: Made, redis_url: str, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMS_PRICE_BOOK_URL", redis_url)
    monkeypatch.setenv("FMS_BROKER_URL", broker_url)
    assert wrong(doctor()) == {("broker", "queues"): "warning"}
    fms("queues", "declare").checked()
    found = doctor()
    assert wrong(found) == {}
    checks = {"reachable", "durability", "schema", "partitions", "outbox", "evaluations"}
    assert {check for service, check in found if service == "shard a"} == checks
    assert {check for service, check in found if service == "PostgreSQL"} == {
        "version", "durability", "locks", "connections", "clock",
    }  # fmt: skip
    assert {check for service, check in found if service == "price book"} == {
        "version", "eviction", "memory", "persistence", "clock", "newest fare",
    }  # fmt: skip
    assert {service for service, _ in found} >= {"settings", "catalog", "shard b", "slots", "broker"}


def test_a_directory_of_files_is_well_before_and_after_it_is_used(folder: Path) -> None:
    assert wrong(doctor()) == {}
    assert not (folder / "d").exists()
    written(folder / "fares.jsonl", [fare(250, at="d0 06:00", departs=125)])
    fms("run", "--replay", "fares.jsonl").checked()
    found = doctor()
    assert wrong(found) == {}
    assert {service for service, _ in found} == {
        "settings", "catalog", "shard local0", "shard local1", "slots", "price book", "broker",
    }  # fmt: skip


def test_what_is_found_is_shown_in_lines_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_BROKER_URL", "amqp://127.0.0.1:1/")
    *lines, last = fms("doctor").out.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "warning", "error"}
    assert lines[-1].startswith("error    broker: reachable         the broker at 127.0.0.1:1 is away: ")
    assert " → see whether it runs" in lines[-1]
    assert last.startswith("1 errors, ")


def test_a_directory_that_lost_a_file_or_holds_another_is_found(folder: Path) -> None:
    fms("db", "upgrade").checked()
    (folder / "d" / "local1.sqlite").unlink()
    (folder / "d" / "prices.sqlite").write_bytes(b"something else altogether" * 1_000)
    assert wrong(doctor(4)) == {
        ("shard local1", "reachable"): "error", ("slots", "owners"): "warning", ("price book", "usable"): "error",
    }  # fmt: skip


def test_a_file_of_an_older_fms_is_well_as_it_is_migrated_when_it_is_opened(folder: Path) -> None:
    fms("db", "upgrade").checked()
    for name, history in (("local0", History.SHARD), ("catalog", History.CATALOG)):
        with opened(f"sqlite:///{folder}/d/{name}.sqlite") as engine:
            set_revision(engine, history, {"local0": "s0001", "catalog": "c0001"}[name])
        assert doctor()[("shard local0" if name == "local0" else "catalog", "schema")] == "ok"


def test_wrong_settings_are_a_finding(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "fms.toml").write_text("batch_sise = 3\n")
    assert doctor(4) == {("settings", "loaded"): "error"}


def test_a_variable_that_is_no_setting_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_REDIS_URL", "redis://localhost")
    assert wrong(doctor()) == {("settings", "variables"): "warning"}


def test_fares_from_the_future_are_found(folder: Path) -> None:
    written(folder / "fares.jsonl", [fare(250, at="d0 06:00", departs=125)])
    fms("run", "--replay", "fares.jsonl").checked()
    with closing(sqlite3.connect(folder / "d" / "prices.sqlite")) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE name = 'newest'", (system_clock() + 2 * HOUR_MS,))
    assert wrong(doctor()) == {("price book", "newest fare"): "warning"}


AWAY = {("catalog", "reachable"): "error", ("price book", "reachable"): "error", ("broker", "reachable"): "error"}


def test_services_that_stand_still_or_are_gone_are_found_in_time(
    own_postgres: Postgres, own_redis: Redis, own_broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    Made(own_postgres, monkeypatch)
    monkeypatch.setenv("FMS_PRICE_BOOK_URL", own_redis.url)
    monkeypatch.setenv("FMS_BROKER_URL", own_broker.url)
    servers = (own_postgres, own_redis, own_broker)
    for server in servers:
        server.pause()
    began = time.monotonic()
    assert wrong(doctor(4)) == AWAY
    assert time.monotonic() - began < IN_TIME
    for server in servers:
        server.resume()
        server.kill()
    assert wrong(doctor(4)) == AWAY


def test_a_shard_that_stands_still_leaves_the_rest(
    durable: Postgres, own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMS_CATALOG_URL", durable.new_database())
    fms("init", "--shard", f"a={durable.new_database()}", "--shard", f"b={own_postgres.new_database()}").checked()
    own_postgres.pause()
    found = doctor(4)
    assert wrong(found) == {("shard b", "reachable"): "error", ("slots", "owners"): "warning"}
    assert found[("shard a", "outbox")] == "ok"


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ("nobody there", AWAY),
        ("not let in", {(service, "usable"): "error" for service, _ in AWAY}),
    ],
)
def test_a_password_is_never_shown(
    durable: Postgres,
    redis_url: str,
    broker_url: str,
    monkeypatch: pytest.MonkeyPatch,
    urls: str,
    expected: Found,
) -> None:
    monkeypatch.setenv("CANARY", SECRET)
    there = {
        "catalog": durable.new_database(),
        "price_book": redis_url,
        "broker": broker_url.replace("guest:guest@", ""),
    }
    for name, url in there.items():
        scheme, _, place = url.partition("://")
        place = place.rpartition("@")[2] if urls == "not let in" else "127.0.0.1:1/fms"
        user = {"catalog": "guarded", "price_book": "nobody", "broker": "guest"}[name]
        monkeypatch.setenv(f"FMS_{name.upper()}_URL", f"{scheme}://{user}:{SECRET}@{place}")
    assert wrong(doctor(4)) == expected
    commands = (
        "doctor", "doctor --json", "config show", "config show --json", "config check", "alerts list", "queues status",
        "prices show JFK LHR 2026-12-24", "init --shard a=postgresql://guarded:${CANARY}@127.0.0.1:1/x", "db current",
    )  # fmt: skip
    for command in commands:
        done = fms(*command.split())
        assert SECRET not in done.out + done.err, command
        assert "Traceback" not in done.err
