"""The databases: their revisions, their schema, how long rows are kept, and who may open them."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, select, text

from fms.db import tables
from fms.db.local import CATALOG_FILE, open_router, revisions
from fms.db.migrate import HEADS, History, config, current, upgrade
from fms.db.outbox import write_firings
from fms.db.retention import RETENTIONS, maintain
from fms.errors import Fatal
from fms.model.clock import DAY_MS
from fms.model.fold import Firing
from fms.ports import Outcome
from fms.settings import load_settings
from fms.shards.catalog import CATALOG, read_catalog
from fms.shards.engine import open_engine, reading, writing
from tests.builders import MINT, MONDAY, alert, change

METADATA = {History.CATALOG: CATALOG, History.SHARD: tables.alert.metadata}


@pytest.mark.parametrize("history", list(History))
def test_a_migrated_database_has_just_the_tables_of_the_code(history: History, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'new.sqlite'}")
    assert upgrade(engine, history)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA[history]) == []
    engine.dispose()


@pytest.mark.parametrize("history", list(History))
def test_a_database_that_is_up_to_date_is_left_alone(history: History, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'new.sqlite'}")
    upgrade(engine, history)
    assert not upgrade(engine, history)
    assert current(engine) == HEADS[history]
    engine.dispose()


@pytest.mark.parametrize("history", list(History))
def test_every_history_has_one_head_which_the_code_knows(history: History, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'new.sqlite'}")
    with writing(engine) as connection:
        assert ScriptDirectory.from_config(config(history, connection)).get_heads() == [HEADS[history]]
    engine.dispose()


@pytest.mark.parametrize("history", list(History))
def test_every_migration_can_be_taken_back(history: History, tmp_path: Path) -> None:
    from alembic import command

    engine = open_engine(f"sqlite:///{tmp_path / 'new.sqlite'}")
    upgrade(engine, history)
    with writing(engine) as connection:
        command.downgrade(config(history, connection), "base")
    with reading(engine) as connection:
        left = MetaData()
        left.reflect(connection)
        assert set(left.tables) == {"alembic_version"}
    engine.dispose()


def test_a_database_of_a_newer_fms_is_refused_and_named(tmp_path: Path) -> None:
    open_router(tmp_path, 2).close()
    engine = open_engine(f"sqlite:///{tmp_path / 'local1.sqlite'}")
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 's9999'"))
    engine.dispose()
    with pytest.raises(Fatal, match=r"local1\.sqlite: made by a newer fms \(revision s9999"):
        open_router(tmp_path, 2)


def test_a_file_that_is_no_database_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / CATALOG_FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(Fatal, match=r"catalog\.sqlite: file is not a database"):
        open_router(tmp_path, 2)


def test_slots_are_dealt_once_however_many_shards_are_asked_for_later(tmp_path: Path) -> None:
    open_router(tmp_path, 2).close()
    router = open_router(tmp_path, 5)
    router.check()
    assert [shard.name for shard in router.all()] == ["local0", "local1"]
    router.close()


def test_a_first_start_that_was_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    open_router(tmp_path, 2).close()
    catalog = open_engine(f"sqlite:///{tmp_path / CATALOG_FILE}")
    with writing(catalog) as connection:
        connection.execute(text("DELETE FROM slot_map"))
        connection.execute(text("DELETE FROM shard"))
    shard = open_engine(f"sqlite:///{tmp_path / 'local1.sqlite'}")
    with writing(shard) as connection:
        connection.execute(text("DELETE FROM slot_owner WHERE slot > 3000"))
    catalog.dispose()
    shard.dispose()
    router = open_router(tmp_path, 2)
    router.check()
    router.close()


def test_a_data_directory_can_be_moved(tmp_path: Path) -> None:
    open_router(tmp_path / "here" / "data", 2).close()
    (tmp_path / "here").rename(tmp_path / "there")
    router = open_router(tmp_path / "there" / "data", 2)
    router.check()
    router.close()


def test_revisions_are_told_of_every_database_and_nothing_is_made(tmp_path: Path) -> None:
    assert revisions(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    open_router(tmp_path, 2).close()
    shard = HEADS[History.SHARD]
    assert revisions(tmp_path) == [
        ("catalog.sqlite", HEADS[History.CATALOG], HEADS[History.CATALOG]),
        ("local0.sqlite", shard, shard),
        ("local1.sqlite", shard, shard),
    ]


def test_the_catalog_names_an_owner_for_every_slot(tmp_path: Path) -> None:
    open_router(tmp_path, 3).close()
    catalog = open_engine(f"sqlite:///{tmp_path / CATALOG_FILE}")
    urls, owners = read_catalog(catalog)
    catalog.dispose()
    assert len(owners) == 4096
    assert set(owners) == set(urls) == {"local0", "local1", "local2"}


def test_every_table_that_grows_has_a_retention() -> None:
    assert {retention.table.name for retention in RETENTIONS} == set(tables.alert.metadata.tables)


def test_what_is_old_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    router = open_router(tmp_path, 1)
    [shard] = router.all()
    settings = load_settings(tmp_path)
    made = alert()
    with writing(shard.engine) as connection:
        for day, handed_over in ((0, 1), (1, 0), (40, 1)):
            late = change(price=100, observed_at=MONDAY + day * DAY_MS)
            firing = Outcome(made, made.state, [Firing(late, 100, 100, unusual=False)])
            [message] = write_firings(connection, [firing], MINT, evaluated=False)
            mark = tables.outbox.update().where(tables.outbox.c.id == message.notification_id)
            connection.execute(mark.values(handed_over=handed_over))
    deleted = maintain(router, settings, MONDAY + 41 * DAY_MS)
    assert deleted["outbox"] == 1
    with reading(shard.engine) as connection:
        kept = connection.execute(select(tables.outbox.c.observed_at).order_by(tables.outbox.c.observed_at)).scalars()
        assert list(kept) == [MONDAY + DAY_MS, MONDAY + 40 * DAY_MS], "what was not handed over is kept"
    router.close()


def test_a_shard_whose_file_is_missing_is_refused_and_named(tmp_path: Path) -> None:
    open_router(tmp_path, 2).close()
    (tmp_path / "local1.sqlite").unlink()
    with pytest.raises(Fatal, match=r"local1\.sqlite: the database of shard local1 is missing"):
        open_router(tmp_path, 2)
    assert not (tmp_path / "local1.sqlite").exists()


def test_a_database_that_cannot_be_opened_stops_and_does_not_wait(tmp_path: Path) -> None:
    (tmp_path / "odd.sqlite").mkdir()
    engine = open_engine(f"sqlite:///{tmp_path / 'odd.sqlite'}")
    with pytest.raises(Fatal, match=r"odd\.sqlite: unable to open"):
        current(engine)
    engine.dispose()
