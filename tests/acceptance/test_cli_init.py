"""``fms init`` and ``fms db`` over PostgreSQL, as somebody types them."""

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import fms, fms_process, refused, written
from tests.acceptance.story import day, fare
from tests.services.postgres import Databases

WISH: dict[str, Any] = {
    "ref": "mine", "kind": "target", "target_minor": 30_000, "origin": "JFK", "destination": "LHR", "currency": "USD",
    "depart_from": str(day(120)), "depart_to": str(day(130)),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands are typed; ``d`` is the data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMS_DATA", "d")
    monkeypatch.delenv("FMS_CATALOG_URL", raising=False)
    return tmp_path


@pytest.fixture
def urls(folder: Path, postgres: Databases, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two databases to be shards; the setting names a third for the catalog."""
    monkeypatch.setenv("FMS_CATALOG_URL", postgres.new_database())
    return postgres.new_database(), postgres.new_database()


def test_a_site_over_servers_does_what_one_of_files_does(urls: tuple[str, str], folder: Path) -> None:
    place = {"FMS_DATA": str(folder / "d")}
    done = fms_process("init", "--shard", f"a={urls[0]}", "--shard", f"b={urls[1]}", "--json", env=place).checked()
    assert done.lines == [{"name": "a", "url": urls[0], "slots": 2048}, {"name": "b", "url": urls[1], "slots": 2048}]
    written(folder / "alerts.jsonl", [WISH])
    written(folder / "fares.jsonl", [fare(250, at="d0 06:00", departs=125)])
    fms("alerts", "import", "alerts.jsonl").checked()
    assert fms("run", "--replay", "fares.jsonl", "--json").checked().report["documents"] == 1
    assert [one["ref"] for one in fms("alerts", "list", "--json").checked().lines] == ["mine"]
    assert [one["status"] for one in fms("notifications", "list", "--json").checked().lines] == ["sent"]
    assert not list((folder / "d").glob("*local*"))


def test_what_was_made_is_shown_as_a_table(urls: tuple[str, str]) -> None:
    shown = fms("init", "--shard", f"a={urls[0]}", "--shard", f"b={urls[1]}").checked().out.splitlines()
    assert shown[0].split() == ["name", "url", "slots"]
    assert [line.split() for line in shown[1:]] == [["a", urls[0], "2048"], ["b", urls[1], "2048"]]


def test_a_second_init_is_refused(urls: tuple[str, str]) -> None:
    command = ("init", "--shard", f"a={urls[0]}", "--shard", f"b={urls[1]}")
    fms(*command).checked()
    assert "already initialised, with the shards a, b" in refused(fms(*command))
    fms("alerts", "list").checked()


def test_init_if_missing_makes_a_site_once_and_then_says_that_it_is_there(urls: tuple[str, str]) -> None:
    command = ("init", "--if-missing", "--shard", f"a={urls[0]}", "--shard", f"b={urls[1]}")
    assert len(fms(*command, "--json").checked().lines) == 2
    again = fms(*command, "--json").checked()
    assert again.out == ""
    assert "already initialised, with the shards a, b\n" in again.err
    elsewhere = fms("init", "--if-missing", "--shard", "a=nonsense")
    assert refused(elsewhere).startswith("shard a: this kind of database is not supported")


def test_what_is_missing_or_twice_is_told(urls: tuple[str, str]) -> None:
    assert refused(fms("init")).startswith("say which databases are to be the shards: fms init --shard NAME=URL")
    twice = fms("init", "--shard", f"a={urls[0]}", "--shard", f"a={urls[1]}")
    assert refused(twice) == "--shard: two shards have the same name"
    assert "NAME=URL wanted" in refused(fms("init", "--shard", urls[0]))
    assert "is the database of shard a" in refused(fms("init", "--shard", f"a={urls[0]}", "--shard", f"b={urls[0]}"))


def test_a_site_that_was_not_made_says_how(urls: tuple[str, str]) -> None:
    for command in ("alerts list", "db upgrade", "db maintain"):
        assert "no catalog: fms init --shard NAME=URL … makes" in refused(fms(*command.split()), 4)


def test_a_catalog_that_cannot_be_reached_is_named_without_its_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMS_CATALOG_URL", "postgres://me:geheim@127.0.0.1:1/fms")
    for command in ("alerts list", "db current", "init --shard a=sqlite:///a.sqlite"):
        told = refused(fms(*command.split()), 3)
        assert told.startswith("postgresql://me@127.0.0.1:1/fms: ")


def test_the_databases_of_a_site_are_migrated_listed_and_kept_in_order(urls: tuple[str, str]) -> None:
    fms("init", "--shard", f"a={urls[0]}", "--shard", f"b={urls[1]}").checked()
    for command in ("upgrade", "current"):
        rows = fms("db", command, "--json").checked().lines
        assert [row["database"] for row in rows][1:] == list(urls)
        assert all(row["revision"] == row["newest"] for row in rows)
    report = fms("db", "maintain", "--json").checked().report
    assert (report["partitions_dropped"], report["partitions_made"]) == (0, 0)


def test_without_servers_init_makes_the_site_of_a_directory(folder: Path) -> None:
    rows = fms("init", "--json").checked().lines
    assert [(row["name"], row["slots"]) for row in rows] == [("local0", 2048), ("local1", 2048)]
    assert "already initialised" in refused(fms("init"))
    assert "already initialised" in refused(fms("init", "--shard", "a=sqlite:///a.sqlite"))
    fms("alerts", "list").checked()
