"""The databases, of both kinds: their revisions, their schema, and who migrates them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, func, inspect, select, text

from fms.db import tables
from fms.db.migrate import HEADS, History, config, current, lock_schema, upgrade, version_table
from fms.errors import Fatal
from fms.shards.catalog import CATALOG
from fms.shards.engine import database_name, open_engine, opened, reading, writing
from tests.contracts.waiting import somebody_waits
from tests.services.postgres import Databases

METADATA = {History.CATALOG: CATALOG, History.SHARD: tables.alert.metadata}

histories = pytest.mark.parametrize("history", list(History))


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'new.sqlite'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    with opened(url) as engine:
        yield engine


def set_revision(engine: Engine, history: History, revision: str) -> None:
    with writing(engine) as connection:
        table = version_table(connection, history)
        connection.execute(text(f"UPDATE {table} SET version_num = '{revision}'"))  # noqa: S608  # names of ours


@histories
def test_a_migrated_database_has_just_the_tables_of_the_code(history: History, engine: Engine) -> None:
    def counts(name: str | None, kind: str, _parents: Any) -> bool:
        # Partitions are made as months go by.
        return not (kind == "table" and str(name).startswith(("alert_window_", "alembic_version")))

    assert upgrade(engine, history)
    with reading(engine) as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": counts}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA[history]) == []


@histories
def test_a_database_that_is_up_to_date_is_left_alone(history: History, engine: Engine) -> None:
    upgrade(engine, history)
    assert not upgrade(engine, history)
    assert current(engine, history) == HEADS[history]


@histories
def test_every_history_has_one_head_which_the_code_knows(history: History, engine: Engine) -> None:
    with writing(engine) as connection:
        assert ScriptDirectory.from_config(config(history, connection)).get_heads() == [HEADS[history]]


@histories
def test_every_migration_can_be_taken_back(history: History, engine: Engine) -> None:
    upgrade(engine, history)
    with writing(engine) as connection:
        command.downgrade(config(history, connection), "base")
        assert inspect(connection).get_table_names() == [version_table(connection, history)]


@histories
def test_an_older_database_is_migrated_and_keeps_its_rows(history: History, engine: Engine) -> None:
    kept = {History.CATALOG: "shard (name, url) VALUES ('a', 'b')", History.SHARD: "slot_owner VALUES (1, 'active', 1)"}
    with writing(engine) as connection:
        command.upgrade(config(history, connection), f"{history[0]}0001")
        connection.execute(text(f"INSERT INTO {kept[history]}"))
    assert upgrade(engine, history)
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(text(kept[history].split()[0]))).scalar() == 1


@histories
def test_a_database_of_a_newer_fms_is_refused_and_named(history: History, engine: Engine) -> None:
    upgrade(engine, history)
    set_revision(engine, history, "z9999")
    with pytest.raises(
        Fatal, match=r": made by a newer fms \(revision z9999, this one knows .000\d\): upgrade fms"
    ) as no:
        upgrade(engine, history)
    assert str(no.value).startswith(database_name(engine))


@histories
def test_of_several_that_migrate_at_once_one_does_it(history: History, engine: Engine) -> None:
    url = engine.url

    def migrated(_number: int) -> bool:
        with opened(url) as own:
            return upgrade(own, history)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(migrated, range(4))) == [False, False, False, True]
    assert current(engine, history) == HEADS[history]


def test_who_migrates_waits_for_who_does_it_already_and_finds_it_done(postgres: Databases) -> None:
    url = postgres.new_database()
    with opened(url) as first, opened(url) as second, ThreadPoolExecutor(1) as pool:
        with writing(first) as connection:
            lock_schema(connection)
            later = pool.submit(upgrade, second, History.SHARD)
            somebody_waits(url)
            command.upgrade(config(History.SHARD, connection), "head")
        assert later.result() is False


def test_a_migration_may_take_longer_than_a_statement_may(postgres: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fms.shards.postgres.STATEMENT_SECONDS", 0.1)
    monkeypatch.setattr("fms.shards.postgres.ANSWER_SECONDS", 0.1)
    with opened(postgres.new_database()) as engine, writing(engine) as connection:
        lock_schema(connection)
        assert connection.execute(text("SELECT pg_sleep(0.3)::text")).scalar() == ""
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "10s"


def test_the_catalog_may_live_in_the_database_of_a_shard(postgres: Databases) -> None:
    with opened(postgres.new_database()) as engine:
        assert [upgrade(engine, history) for history in History] == [True, True]
        assert [current(engine, history) for history in History] == [HEADS[history] for history in History]


def test_a_database_that_cannot_be_opened_stops_and_does_not_wait(tmp_path: Path) -> None:
    (tmp_path / "odd.sqlite").mkdir()
    engine = open_engine(f"sqlite:///{tmp_path / 'odd.sqlite'}")
    with pytest.raises(Fatal, match=r"odd\.sqlite: unable to open"):
        current(engine, History.SHARD)
    engine.dispose()
