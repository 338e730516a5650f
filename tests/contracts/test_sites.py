"""A site's databases: files are made when a directory is new; others are opened if they are what they must be."""

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import delete

from fms.db.migrate import HEADS, History, config, current
from fms.db.sites import CATALOG_FILE, databases, open_router, revisions, upgrade_all
from fms.db.users import Users
from fms.errors import Fatal
from fms.model.clock import system_clock
from fms.shards.catalog import read_catalog
from fms.shards.engine import opened, writing
from fms.shards.ownership import owned_slots, slot_owner
from fms.shards.urls import shown
from tests.builders import MINT
from tests.contracts.making import forget, made, set_revision, sqlite
from tests.services.postgres import Databases


def test_a_database_of_a_newer_fms_is_refused_and_named(tmp_path: Path) -> None:
    open_router(tmp_path, 2).close()
    with opened(sqlite(tmp_path / "local1.sqlite")) as engine:
        set_revision(engine, History.SHARD, "s9999")
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
    forget(sqlite(tmp_path / CATALOG_FILE))
    with opened(sqlite(tmp_path / "local1.sqlite")) as engine, writing(engine) as connection:
        connection.execute(delete(slot_owner).where(slot_owner.c.slot > 3000))
    router = open_router(tmp_path, 2)
    router.check()
    router.close()


def test_a_directory_that_lost_its_catalog_gets_it_again(tmp_path: Path) -> None:
    router = open_router(tmp_path, 2)
    Users(router, MINT, system_clock).find_or_add("me@example.org")
    router.close()
    (tmp_path / CATALOG_FILE).unlink()
    router = open_router(tmp_path, 2)
    assert Users(router, MINT, system_clock).find("me@example.org").email == "me@example.org"
    router.close()


def test_a_data_directory_can_be_moved(tmp_path: Path) -> None:
    open_router(tmp_path / "here" / "data", 2).close()
    (tmp_path / "here").rename(tmp_path / "there")
    router = open_router(tmp_path / "there" / "data", 2)
    router.check()
    router.close()


def test_a_file_of_an_older_fms_is_migrated_when_it_is_opened(tmp_path: Path) -> None:
    open_router(tmp_path, 1).close()
    with opened(sqlite(tmp_path / "local0.sqlite")) as engine:
        with writing(engine) as connection:
            command.downgrade(config(History.SHARD, connection), "s0001")
        open_router(tmp_path, 1).close()
        assert current(engine, History.SHARD) == HEADS[History.SHARD]


def test_a_shard_whose_file_is_missing_is_refused_and_named(tmp_path: Path) -> None:
    open_router(tmp_path, 2).close()
    (tmp_path / "local1.sqlite").unlink()
    with pytest.raises(Fatal, match=r"local1\.sqlite: the database of shard local1 is missing"):
        open_router(tmp_path, 2)
    assert not (tmp_path / "local1.sqlite").exists()
    assert [row[:2] for row in revisions(tmp_path)][-1] == ("local1.sqlite", None)


def test_revisions_are_told_of_every_database_and_nothing_is_made(tmp_path: Path) -> None:
    assert revisions(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    open_router(tmp_path, 2).close()
    head = HEADS[History.SHARD]
    assert revisions(tmp_path) == [
        ("catalog.sqlite", HEADS[History.CATALOG], HEADS[History.CATALOG]),
        ("local0.sqlite", head, head),
        ("local1.sqlite", head, head),
    ]


def test_the_catalog_names_an_owner_for_every_slot(tmp_path: Path) -> None:
    open_router(tmp_path, 3).close()
    with opened(sqlite(tmp_path / CATALOG_FILE)) as catalog:
        urls, owners = read_catalog(catalog)
    assert len(owners) == 4096
    assert set(owners) == set(urls) == {"local0", "local1", "local2"}


@pytest.fixture
def remote(tmp_path: Path, postgres: Databases) -> str:
    """URL of a catalog; one of its two shards shares its database."""
    url = postgres.new_database()
    made(tmp_path, url, {"a": url, "b": postgres.new_database()})
    return url


def test_a_catalog_that_was_not_filled_is_refused(tmp_path: Path, remote: str) -> None:
    forget(remote)
    with pytest.raises(Fatal, match="an empty catalog: fms init --shard NAME=URL … makes the catalog and its shards"):
        open_router(tmp_path, 2, remote)


@pytest.mark.parametrize("history", list(History))
def test_a_server_s_database_of_an_older_fms_is_migrated_by_command_only(
    history: History, tmp_path: Path, remote: str
) -> None:
    with opened(remote) as engine:
        with writing(engine) as connection:
            command.downgrade(config(history, connection), f"{history[0]}0001")
        with pytest.raises(Fatal, match=f": revision {history[0]}0001, not {HEADS[history]}: run fms db upgrade"):
            open_router(tmp_path, 2, remote)
        upgrade_all(tmp_path, remote)
        assert current(engine, history) == HEADS[history]
    open_router(tmp_path, 2, remote).close()


def test_a_server_s_database_of_a_newer_fms_is_refused(tmp_path: Path, remote: str) -> None:
    with opened(remote) as engine:
        set_revision(engine, History.SHARD, "s9999")
    with pytest.raises(Fatal, match="made by a newer fms"):
        open_router(tmp_path, 2, remote)


def test_a_shard_whose_database_was_emptied_is_refused_and_not_filled(tmp_path: Path, remote: str) -> None:
    other = list(databases(tmp_path, remote))[2]
    with opened(other.url) as engine:
        with writing(engine) as connection:
            command.downgrade(config(History.SHARD, connection), "base")
        upgrade_all(tmp_path, remote)
        with pytest.raises(Fatal, match=": this is no shard: put the database back that was here"):
            open_router(tmp_path, 2, remote)
        assert current(engine, History.SHARD) is None


def test_revisions_of_servers_are_told_by_url_without_password(tmp_path: Path, remote: str) -> None:
    with_password = remote.replace("postgres@", "postgres:geheim@")
    rows = revisions(tmp_path, with_password)
    assert [row[0] for row in rows] == [shown(one.url) for one in databases(tmp_path, remote)]
    assert [row[1] for row in rows] == [row[2] for row in rows]
    assert len(rows) == 3


def test_shards_that_do_not_cover_every_slot_once_are_noticed(tmp_path: Path, remote: str) -> None:
    with opened(remote) as engine, writing(engine) as connection:
        connection.execute(delete(slot_owner).where(slot_owner.c.slot == 7))
        assert len(owned_slots(connection)) == 2047
    router = open_router(tmp_path, 2, remote)
    with pytest.raises(Fatal, match="the shards own 4095 of 4096 slots, 0 twice"):
        router.check()
    router.close()
