"""``fms doctor`` over PostgreSQL, with each thing that can be wrong with it."""

from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, text

from fms.db.migrate import History
from fms.db.tables import alert, alert_window, outbox
from fms.errors import Transient
from fms.model.alert import month_of
from fms.model.ids import first_id
from fms.shards.catalog import slot_map
from fms.shards.engine import opened, reading, writing
from fms.shards.health import hurried
from fms.shards.ownership import slot_owner
from fms.shards.urls import parse_url
from tests.acceptance.commands import fms, written
from tests.acceptance.story import day, fare
from tests.contracts.making import forget, set_revision
from tests.services.doctor.looking import Made, doctor, wrong
from tests.services.postgres import Postgres
from tests.services.shared import needed

WISH: dict[str, Any] = {
    "ref": "mine", "kind": "target", "target_minor": 30_000, "origin": "JFK", "destination": "LHR", "currency": "USD",
    "depart_from": str(day(120)), "depart_to": str(day(130)),
}  # fmt: skip


def test_a_server_that_would_lose_what_it_promised_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "20",
        "max_locks_per_transaction": "10",
    }  # fmt: skip
    with needed(lambda: Postgres(settings=settings)) as server:
        Made(server, monkeypatch)
        assert wrong(doctor(4)) == {
            ("PostgreSQL", "durability"): "error", ("PostgreSQL", "locks"): "error",
            ("PostgreSQL", "connections"): "warning", ("catalog", "durability"): "error",
            ("shard a", "durability"): "error", ("shard b", "durability"): "error",
        }  # fmt: skip
        said = [line["found"] for line in fms("doctor", "--json").lines if line["state"] == "error"]
    assert [one for one in said if "fsync" in one] == ["fsync is off"]
    assert "full_page_writes is off" in said


def test_a_database_without_a_site_is_found(durable: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_CATALOG_URL", durable.new_database())
    assert wrong(doctor(4)) == {("catalog", "schema"): "error"}
    monkeypatch.setenv("FMS_CATALOG_URL", "sqlite:///nowhere.sqlite")
    assert wrong(doctor(4)) == {("catalog", "reachable"): "error"}


def test_an_empty_catalog_is_found(site: Made) -> None:
    forget(site.catalog)
    assert wrong(doctor(4)) == {("catalog", "shards"): "error"}


@pytest.mark.parametrize(("revision", "advice"), [("s0001", "fms db upgrade"), ("z9999", "upgrade fms")])
def test_a_shard_of_another_revision_is_found(site: Made, revision: str, advice: str) -> None:
    with opened(site.b) as engine:
        set_revision(engine, History.SHARD, revision)
    assert wrong(doctor(4)) == {("shard b", "schema"): "error", ("slots", "owners"): "warning"}
    (line,) = [line for line in fms("doctor", "--json").lines if line["state"] == "error"]
    assert advice in line["advice"]


def test_slots_that_nobody_owns_or_two_or_another_are_found(site: Made) -> None:
    with opened(site.a) as engine, writing(engine) as connection:
        connection.execute(delete(slot_owner).where(slot_owner.c.slot == 7))
        connection.execute(slot_owner.insert().values(slot=4_000, state="active", epoch=1))
    with opened(site.catalog) as engine, writing(engine) as connection:
        connection.execute(slot_map.update().where(slot_map.c.slot == 8).values(shard="b"))
    assert wrong(doctor(4)) == {("slots", "owners"): "error"}
    told = [line["found"] for line in fms("doctor", "--json").lines if line["state"] == "error"]
    assert told[:2] == ["1 of 4096 are owned by no shard: 7", "1 of 4096 are owned by several shards: 4000"]
    assert "8" in told[2]


def test_windows_in_the_default_partition_are_found_until_db_maintain_moves_them(site: Made) -> None:
    month = month_of(date.today()) + 3  # noqa: DTZ011  # three months away it is the same month everywhere
    with opened(site.a) as engine, writing(engine) as connection:
        connection.execute(text(f"DROP TABLE alert_window_{month // 12:04}_{month % 12 + 1:02}"))
        values = dict.fromkeys(("slot", "market", "trigger", "first_day", "last_day"), 1)
        connection.execute(alert_window.insert().values(**values, alert_id=uuid4(), month=month))
    assert wrong(doctor()) == {("shard a", "partitions"): "warning"}
    (line,) = [line for line in fms("doctor", "--json").lines if line["check"] == "partitions" and line["advice"]]
    assert "1 months have none" in line["found"]
    assert "1 windows in the default partition" in line["found"]
    assert "fms db maintain" in line["advice"]
    fms("db", "maintain").checked()
    assert wrong(doctor()) == {}


def test_what_workers_left_undone_for_long_is_found(site: Made, folder: Path) -> None:
    written(folder / "alerts.jsonl", [WISH])
    written(folder / "fares.jsonl", [fare(250, at="d0 06:00", departs=125)])
    fms("alerts", "import", "alerts.jsonl").checked()
    fms("run", "--replay", "fares.jsonl").checked()
    assert wrong(doctor()) == {}
    for url in (site.a, site.b):
        with opened(url) as engine, writing(engine) as connection:
            connection.execute(outbox.update().values(id=first_id(1_000), handed_over=0))
            connection.execute(alert.update().values(evaluate_at=1_000))
    found = wrong(doctor())
    assert sorted(check for _, check in found) == ["evaluations", "outbox"]
    assert set(found.values()) == {"warning"}


def test_a_database_that_does_not_answer_is_given_up_in_time(durable: Postgres) -> None:
    with hurried(parse_url(durable.new_database()), 0.3) as engine:
        for _ in range(2):
            with pytest.raises(Transient, match=r"no answer for 0\.3 s"), reading(engine) as connection:
                connection.execute(text("SELECT pg_sleep(60)"))
