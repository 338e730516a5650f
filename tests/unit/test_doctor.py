"""How the doctor judges what services say of themselves, and that nothing keeps it from saying so."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from fms.db.health import ShardHealth
from fms.doctor import machine
from fms.doctor.findings import Finding, State, ok, together
from fms.doctor.redis import redis_server
from fms.doctor.servers import database, server
from fms.doctor.shards import content
from fms.doctor.slots import slots
from fms.errors import Fatal, Transient
from fms.model.clock import parse_instant
from fms.model.route import SLOTS
from fms.pricebook.redis.health import RedisHealth
from fms.shards.health import DatabaseHealth

NOW = parse_instant("2026-12-05T10:00:00Z")
POSTGRES = DatabaseHealth(
    "db.example:5432",
    {
        "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "synchronous_standby_names": "",
        "max_connections": "200", "superuser_reserved_connections": "3", "max_locks_per_transaction": "64",
        "max_prepared_transactions": "0", "server_version": "15.4", "server_version_num": "150004",
    },
    server="2026-12-05 00:00:00",
)  # fmt: skip
REDIS = {
    "redis_version": "7.0.15", "role": "master", "maxmemory_policy": "noeviction", "used_memory": "1000000",
    "maxmemory": "0", "aof_enabled": "1", "rdb_last_bgsave_status": "ok", "aof_last_write_status": "ok",
}  # fmt: skip
SHARD = ShardHealth(frozenset(), 15, [], 0, 0, 0)


def states(findings: list[Finding]) -> dict[str, State]:
    """Check → what became of it; an error counts before everything else."""
    found: dict[str, State] = {}
    for one in findings:
        found[one.check] = "error" if "error" in (one.state, found.get(one.check)) else one.state
    return found


def postgres(settings: Mapping[str, str], ahead_ms: int = 0) -> dict[str, State]:
    health = replace(POSTGRES, settings={**POSTGRES.settings, **settings}, ahead_ms=ahead_ms)
    return states(server("postgres", health, databases=3, months=15) + database("postgres", health))


def test_a_server_as_it_should_be_is_well() -> None:
    assert set(postgres({}).values()) == {"ok"}


@pytest.mark.parametrize(
    ("settings", "check", "state"),
    [
        ({"server_version_num": "120009"}, "version", "error"),
        ({"server_version_num": "130000"}, "version", "ok"),
        ({"fsync": "off"}, "durability", "error"),
        ({"full_page_writes": "off"}, "durability", "error"),
        ({"synchronous_commit": "off"}, "durability", "error"),
        ({"synchronous_commit": "local"}, "durability", "ok"),
        ({"synchronous_commit": "local", "synchronous_standby_names": "*"}, "durability", "warning"),
        ({"synchronous_commit": "remote_apply"}, "durability", "ok"),
        ({"max_connections": "100"}, "locks", "warning"),
        ({"max_connections": "100", "max_locks_per_transaction": "128"}, "locks", "ok"),
        ({"max_connections": "20", "max_locks_per_transaction": "10"}, "locks", "error"),
        ({"max_connections": "20"}, "connections", "warning"),
        ({"max_connections": "40"}, "connections", "ok"),
    ],
)
def test_what_is_wrong_with_a_server_is_found(settings: dict[str, str], check: str, state: State) -> None:
    assert postgres(settings)[check] == state


def test_the_number_that_would_be_enough_is_enough() -> None:
    health = replace(POSTGRES, settings={**POSTGRES.settings, "max_connections": "100"})
    (advice,) = [one.advice for one in server("postgres", health, 3, 15) if one.check == "locks"]
    assert "max_locks_per_transaction = 104 " in advice
    assert postgres({"max_connections": "100", "max_locks_per_transaction": "104"})["locks"] == "ok"
    assert postgres({"max_connections": "100", "max_locks_per_transaction": "103"})["locks"] == "warning"


@pytest.mark.parametrize(("ahead", "state"), [(-2_001, "warning"), (2_001, "warning"), (-1_999, "ok"), (0, "ok")])
def test_clocks_that_differ_are_found(ahead: int, state: State) -> None:
    assert postgres({}, ahead)["clock"] == state


def test_a_standby_is_no_place_for_alerts() -> None:
    assert states(server("postgres", replace(POSTGRES, standby=True), 1, 15))["version"] == "error"


@pytest.mark.parametrize(
    ("pragmas", "state"),
    [(("wal", "2"), "ok"), (("delete", "2"), "error"), (("wal", "1"), "error")],
)
def test_a_file_without_a_log_ahead_is_found(pragmas: tuple[str, str], state: State) -> None:
    health = DatabaseHealth("a.sqlite", dict(zip(("journal_mode", "synchronous"), pragmas, strict=True)))
    assert states(database("catalog", health))["durability"] == state


def redis(info: Mapping[str, str], cluster: Mapping[str, str] | None = None) -> dict[str, State]:
    return states(redis_server("price book", RedisHealth({**REDIS, **info}, cluster or {}, 0)))


def test_a_price_book_as_it_should_be_is_well() -> None:
    assert set(redis({}, {"cluster_state": "ok", "cluster_size": "3"}).values()) == {"ok"}
    assert set(redis({"aof_enabled": "0"}).values()) == {"ok"}


@pytest.mark.parametrize(
    ("info", "check", "state"),
    [
        ({"redis_version": "5.0.7"}, "version", "error"),
        ({"redis_version": "255.255.255"}, "version", "ok"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.0.1"}, "version", "ok"),
        ({"redis_version": ""}, "version", "error"),
        ({"role": "slave"}, "version", "error"),
        ({"maxmemory_policy": "allkeys-lru"}, "eviction", "error"),
        ({"maxmemory": "1249999"}, "memory", "warning"),
        ({"maxmemory": "1250000"}, "memory", "ok"),
        ({"rdb_last_bgsave_status": "err"}, "persistence", "error"),
        ({"aof_last_write_status": "err"}, "persistence", "error"),
    ],
)
def test_what_is_wrong_with_a_price_book_is_found(info: dict[str, str], check: str, state: State) -> None:
    assert redis(info)[check] == state


def test_a_cluster_that_is_down_is_found() -> None:
    assert redis({}, {"cluster_state": "fail", "cluster_size": "3"})["cluster"] == "error"


@pytest.mark.parametrize(
    ("change", "check", "state"),
    [
        ({}, "partitions", "ok"),
        ({"in_default": 7}, "partitions", "ok"),
        ({"missing_months": [24_324]}, "partitions", "warning"),
        ({"waiting": 1}, "outbox", "warning"),
        ({"owed": 1}, "evaluations", "warning"),
    ],
)
def test_what_is_left_undone_in_a_shard_is_found(change: dict[str, Any], check: str, state: State) -> None:
    assert states(content("shard a", replace(SHARD, **change), partitioned=True))[check] == state


def test_a_missing_month_is_named_as_people_know_it() -> None:
    (found,) = [one.found for one in content("shard a", replace(SHARD, missing_months=[24_323]), partitioned=True)][:1]
    assert "2026-12" in found


ALL = frozenset(range(SLOTS))


def owners(*, b_from: int = 2048) -> list[str]:
    return ["a" if slot < b_from else "b" for slot in range(SLOTS)]


def test_slots_that_are_owned_once_as_the_catalog_says_are_well() -> None:
    assert [one.state for one in slots({"a": frozenset(range(2048)), "b": ALL - set(range(2048))}, owners())] == ["ok"]


@pytest.mark.parametrize(
    ("a", "b", "said", "words"),
    [
        (range(2047), range(2048, SLOTS), owners(), "1 of 4096 are owned by no shard: 2047"),
        (range(2048), range(2046, SLOTS), owners(), "2 of 4096 are owned by several shards: 2046, 2047"),
        (range(2048), range(2048, SLOTS), owners(b_from=2050), "2 of 4096 are not whose the catalog says: 2048, 2049"),
        (
            range(2048),
            range(2048, SLOTS),
            owners(b_from=0),
            "2048 of 4096 are not whose the catalog says: 0, 1, 2, 3, 4 …",
        ),
        (range(2048), range(2048, SLOTS), owners()[:-1], "the catalog knows the owners of 4095 of 4096 slots"),
    ],
)
def test_slots_that_are_not_owned_once_are_found(a: range, b: range, said: list[str], words: str) -> None:
    found = slots({"a": frozenset(a), "b": frozenset(b)}, said)
    assert words in [one.found for one in found if one.state == "error"]


def test_of_shards_that_said_nothing_no_slot_is_missed() -> None:
    (found,) = slots({"a": ALL, "b": None}, owners())
    assert (found.state, found.found) == ("warning", "not known: b said nothing")


@pytest.fixture
def never() -> Iterator[Event]:
    """Comes only when the test is over."""
    event = Event()
    yield event
    event.set()


def test_one_check_that_fails_or_never_ends_leaves_the_others(never: Event) -> None:
    def forever() -> list[Finding]:
        never.wait()
        return []

    def away() -> list[Finding]:
        raise Transient("it is away")

    def refused() -> list[Finding]:
        raise Fatal("it does not let us in")

    def broken() -> list[Finding]:
        raise KeyError("geheim")

    tasks = {"a": forever, "b": away, "c": refused, "d": broken, "e": lambda: [ok("e", "reachable", "yes")]}
    found = together(tasks, 0.2)
    assert list(found) == list(tasks)
    failures = {name: (one.state, one.found) for name, one in found.items() if isinstance(one, Finding)}
    assert failures == {
        "a": ("error", "not done within 0.2 s"),
        "b": ("error", "it is away"),
        "c": ("error", "it does not let us in"),
        "d": ("error", "the check failed: KeyError"),
    }
    assert found["e"] == [ok("e", "reachable", "yes")]


def test_what_the_machine_lacks_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert states(machine.machine(lambda: 0))["clock"] == "error"
    assert states(machine.machine(lambda: NOW))["clock"] == "ok"
    for free, state in ((511, "warning"), (513, "ok")):
        (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {free * 1024} kB\n")
        monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
        assert states(machine.machine(lambda: NOW))["memory"] == state
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "not there")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 9))
    assert states(machine.machine(lambda: NOW)) == {"versions": "error", "memory": "ok", "clock": "ok"}


@pytest.mark.parametrize(("free_mb", "state"), [(63, "error"), (1_023, "warning"), (1_024, "ok")])
def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_mb: int, state: State) -> None:
    class Usage:
        free = free_mb << 20

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage)
    assert states(machine.directory(tmp_path))["disk"] == state


def test_a_data_directory_that_is_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (found,) = machine.directory(tmp_path / "file")
    assert (found.state, found.check) == ("error", "writable")
    assert machine.directory(tmp_path / "to" / "be" / "made")[0].state == "ok"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
