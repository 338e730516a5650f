"""A site made by init: slots dealt out once, over databases that are free."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from fms.db.migrate import HEADS, History, current, upgrade
from fms.db.partitions import make_partitions
from fms.db.sites import CATALOG_FILE, catalog_place, make_directory, open_router, revisions
from fms.db.tables import user_account
from fms.errors import Fatal, Invalid, Transient
from fms.shards.catalog import shard
from fms.shards.engine import opened, reading, writing
from fms.shards.ownership import slot_owner, take
from tests.builders import MINT
from tests.contracts.making import TODAY, forget, made, sqlite
from tests.services.postgres import Databases
from tests.services.processes import free_port

NewUrl = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """URLs of new databases, of one kind."""
    numbers = iter(range(100))
    if request.param == "sqlite":
        return lambda: sqlite(tmp_path / f"elsewhere{next(numbers)}.sqlite")
    new: NewUrl = request.getfixturevalue("postgres").new_database
    return new


def test_the_slots_are_dealt_out_evenly_in_the_order_given(tmp_path: Path, new_url: NewUrl) -> None:
    urls = {"b": new_url(), "a": new_url(), "c": new_url()}
    catalog = new_url()
    dealt = made(tmp_path, catalog, urls)
    assert [(one.name, one.slots) for one in dealt] == [("b", 1365), ("a", 1365), ("c", 1366)]
    assert [one.url for one in dealt] == list(urls.values())
    router = open_router(tmp_path, 2, catalog)
    router.check()
    assert [router.of(slot).name for slot in (0, 1365, 4095)] == ["b", "a", "c"]
    router.close()


def test_shards_of_both_kinds_may_be_mixed_under_a_catalog_of_either(tmp_path: Path, postgres: Databases) -> None:
    for catalog in (postgres.new_database(), ""):
        data = tmp_path / (catalog and "remote")
        make_directory(data)
        made(data, catalog, {"a": postgres.new_database(), "b": "sqlite:///b.sqlite"})
        router = open_router(data, 2, catalog)
        router.check()
        assert [one.engine.dialect.name for one in router.all()] == ["postgresql", "sqlite"]
        router.close()
        assert [row[0] for row in revisions(data, catalog)][2] == "b.sqlite"


def test_the_months_have_their_partitions(tmp_path: Path, postgres: Databases) -> None:
    url = postgres.new_database()
    made(tmp_path, url, {"a": url})
    with opened(url) as engine:
        assert make_partitions(engine, TODAY) == []


def test_a_site_is_made_once(tmp_path: Path, new_url: NewUrl) -> None:
    catalog = new_url()
    made(tmp_path, catalog, {"a": new_url(), "b": new_url()})
    other = new_url()
    with pytest.raises(Invalid, match="already initialised, with the shards a, b"):
        made(tmp_path, catalog, {"c": other})
    assert revision(other) is None


def revision(url: str) -> str | None:
    if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    with opened(url) as engine:
        return current(engine, History.SHARD)


def test_an_init_that_was_cut_short_is_finished_by_the_same(tmp_path: Path, new_url: NewUrl) -> None:
    catalog, urls = new_url(), {"a": new_url(), "b": new_url()}
    whole = made(tmp_path, catalog, urls)
    forget(catalog)
    with opened(urls["b"]) as engine, writing(engine) as connection:
        connection.execute(delete(slot_owner))
    assert made(tmp_path, catalog, urls) == whole
    router = open_router(tmp_path, 2, catalog)
    router.check()
    router.close()


def test_a_database_that_owns_other_slots_is_refused_and_nothing_is_made(tmp_path: Path, new_url: NewUrl) -> None:
    theirs, free = new_url(), new_url()
    with opened(theirs) as engine:
        upgrade(engine, History.SHARD)
        with writing(engine) as connection:
            take(connection, [4095])
    with pytest.raises(Invalid, match=r"shard b: .* belongs to another shard or site: it owns slots") as raised:
        made(tmp_path, new_url(), {"free": free, "b": theirs, "c": new_url()})
    assert theirs.rpartition("/")[2] in str(raised.value)
    assert revision(free) is None


def test_a_database_that_holds_users_is_refused(tmp_path: Path, new_url: NewUrl) -> None:
    theirs = new_url()
    with opened(theirs) as engine:
        upgrade(engine, History.SHARD)
        with writing(engine) as connection:
            take(connection, [3000])
            row = {
                "id": MINT.new(3000),
                "slot": 3000,
                "email": "me@example.org",
                "zone": "UTC",
                "version": 1,
                "created_at": 1,
            }
            connection.execute(user_account.insert(), row)
    with pytest.raises(Invalid, match=r"shard b: .* belongs to another site: it holds alerts or users"):
        made(tmp_path, new_url(), {"a": new_url(), "b": theirs})


def test_one_database_is_not_two_shards(tmp_path: Path, new_url: NewUrl) -> None:
    url = new_url()
    with pytest.raises(Invalid, match=r"shard b: .* is the database of shard a"):
        made(tmp_path, new_url(), {"a": url, "b": url})


def test_one_database_under_two_names_of_its_host_is_not_two_shards(tmp_path: Path, postgres: Databases) -> None:
    url, catalog = postgres.new_database(), postgres.new_database()
    with pytest.raises(Invalid, match=r"shard b: .* belongs to another shard or site"):
        made(tmp_path, catalog, {"a": url, "b": url.replace("127.0.0.1", "127.1")})
    with pytest.raises(Fatal, match="an empty catalog: fms init"):
        open_router(tmp_path, 2, catalog)


def test_a_catalog_that_is_a_file_is_no_shard(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="is the database of the catalog"):
        made(tmp_path, "", {"a": f"sqlite:///{CATALOG_FILE}"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "é", "postgresql://me:geheim@db.example/fms"])
def test_a_name_that_cannot_be_used_is_refused_and_not_shown(name: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="shard 2: NAME=URL wanted") as raised:
        made(tmp_path, "", {"a": "sqlite:///a.sqlite", name: "sqlite:///b.sqlite"})
    assert "geheim" not in str(raised.value)


def test_a_url_that_cannot_be_used_is_refused_with_its_shard(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="shard a: this kind of database is not supported"):
        made(tmp_path, "", {"a": "oracle://db.example/fms"})


def test_nothing_is_made_while_a_database_cannot_be_reached(tmp_path: Path, postgres: Databases) -> None:
    free = postgres.new_database()
    with pytest.raises(Transient, match="refused"):
        made(tmp_path, "", {"a": free, "b": f"postgresql://me@127.0.0.1:{free_port()}/fms"})
    assert revision(free) is None
    assert not list(tmp_path.iterdir())


def test_a_password_is_not_stored_where_a_variable_stands_for_it(
    tmp_path: Path, postgres: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database().replace("postgres@", "postgres:${FMS_TEST_PASSWORD}@")
    monkeypatch.setenv("FMS_TEST_PASSWORD", "p@ss/word")
    [dealt] = made(tmp_path, "", {"a": url})
    assert "word" not in dealt.url
    with opened(catalog_place(tmp_path, None)) as catalog, reading(catalog) as connection:
        assert connection.execute(select(shard.c.url)).scalar() == url
    open_router(tmp_path, 1).close()
    monkeypatch.delenv("FMS_TEST_PASSWORD")
    with pytest.raises(Fatal, match="FMS_TEST_PASSWORD, which is not set"):
        open_router(tmp_path, 1)


def test_a_catalog_that_was_not_made_is_refused_and_not_made(tmp_path: Path, new_url: NewUrl) -> None:
    url = new_url()
    with pytest.raises(Fatal, match="no catalog: fms init --shard NAME=URL … makes the catalog and its shards"):
        open_router(tmp_path, 2, url)
    assert revisions(tmp_path, url) == ([] if url.startswith("sqlite") else [(url, None, HEADS[History.CATALOG])])
