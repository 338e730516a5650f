"""Make a site: schemas, who owns which slot, and last of all the catalog's content."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, exists, select

from fms.db.migrate import History, current, is_behind, upgrade
from fms.db.partitions import make_partitions
from fms.db.tables import alert, user_account
from fms.errors import Fatal, Invalid
from fms.shards.catalog import deal, fill_catalog, read_catalog
from fms.shards.engine import database_name, opened, reading, writing
from fms.shards.ownership import owned_slots, take
from fms.shards.urls import identity, located, missing_file, shown

_NAME = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)


class AlreadyMade(Invalid):
    """The site is there."""


@dataclass(frozen=True)
class Dealt:
    """What a shard was given: its name, its URL without password, how many slots."""

    name: str
    url: str
    slots: int


def initialise(catalog_url: URL, urls: Mapping[str, str], data: Path, today: date) -> list[Dealt]:
    """Make the catalog and its shards, deal the slots out evenly in the order given, and make the months' partitions.

    Nothing is written before every database was reached and found free. What was cut short another call finishes.
    Raises AlreadyMade if it was made before; Invalid if a name or URL cannot be used, or a database belongs to another
    site; Fatal or Transient if one cannot be used now.
    """
    _check_names(urls)
    places = {name: _place(name, url, data) for name, url in urls.items()}
    _check_distinct(places, catalog_url)
    dealt = deal(list(places))
    _check_new(catalog_url)
    for name, slots in dealt.items():
        _check_free(name, places[name], slots)
    with opened(catalog_url) as catalog:
        upgrade(catalog, History.CATALOG)
        deal_out(catalog, urls, data, today)
    return [Dealt(name, shown(places[name]), len(slots)) for name, slots in dealt.items()]


def deal_out(catalog: Engine, urls: Mapping[str, str], data: Path, today: date) -> None:
    """Give the shards their slots, and fill a catalog that has a schema and nothing else."""
    dealt = deal(list(urls))
    for name, slots in dealt.items():
        with opened(located(urls[name], data)) as engine:
            upgrade(engine, History.SHARD)
            with writing(engine) as connection:
                _check_slots(connection, name, slots)
                take(connection, sorted(set(slots) - owned_slots(connection)))
            make_partitions(engine, today)
    # Last: a start that was cut short begins again, and finds what it made.
    fill_catalog(catalog, urls, dealt)


def prepare_shard(
    name: str, url: URL, others: Mapping[str, URL], catalog_url: URL, today: date, *, lost: Collection[int] = ()
) -> None:
    """Make a database ready to be one more shard, which owns nothing; raises Invalid if it cannot be used.

    ``lost``: slots that no shard owns. A database that owns such and no others comes back, with its rows.
    """
    _check_distinct({**others, name: url}, catalog_url)
    if not _comes_back(url, lost):
        _check_free(name, url, [])
    with opened(url) as engine:
        upgrade(engine, History.SHARD)
        make_partitions(engine, today)


def _comes_back(url: URL, lost: Collection[int]) -> bool:
    if not lost or missing_file(url):
        return False
    with opened(url) as engine:
        if current(engine, History.SHARD) is None:
            return False
        with reading(engine) as connection:
            owned = owned_slots(connection)
    return bool(owned) and owned <= set(lost)


def shard_place(name: str, url: str, data: Path) -> URL:
    """Where the database of a shard is to be; raises Invalid for a name or a URL that cannot be used."""
    _check_names([name])
    return _place(name, url, data)


def _check_names(names: Iterable[str]) -> None:
    for number, name in enumerate(names, 1):
        if not _NAME.fullmatch(name):
            # Not shown: where an = is forgotten or misplaced it is a piece of a URL, with its password.
            raise Invalid(f"shard {number}: NAME=URL wanted, with a name of a-z 0-9 _ - that begins with a letter")


def _place(name: str, url: str, data: Path) -> URL:
    try:
        return located(url, data)
    except Fatal as error:
        raise Invalid(f"shard {name}: {error}") from None


def _check_distinct(places: Mapping[str, URL], catalog_url: URL) -> None:
    # In PostgreSQL the catalog may share a shard's database: their tables and revisions have different names.
    seen = {identity(catalog_url): "the catalog"} if catalog_url.get_backend_name() == "sqlite" else {}
    for name, url in places.items():
        if other := seen.get(identity(url)):
            raise Invalid(f"shard {name}: {shown(url)} is the database of {other}")
        seen[identity(url)] = f"shard {name}"


def _check_new(url: URL) -> None:
    if missing_file(url):
        return
    with opened(url) as catalog:
        if current(catalog, History.CATALOG) is None:
            return
        urls, owners = read_catalog(catalog)
    if owners:
        raise AlreadyMade(f"{shown(url)}: already initialised, with the shards {', '.join(urls)}")


def _check_free(name: str, url: URL, slots: Sequence[int]) -> None:
    if missing_file(url):
        return
    with opened(url) as engine:
        # Raises for a database of a newer fms.
        if is_behind(engine, History.SHARD) and current(engine, History.SHARD) is None:
            return
        with reading(engine) as connection:
            _check_slots(connection, name, slots)
            _check_empty(connection, name)


def _check_slots(connection: Connection, name: str, slots: Sequence[int]) -> None:
    if owned_slots(connection) - set(slots):
        where = f"shard {name}: {database_name(connection.engine)}"
        raise Invalid(f"{where} belongs to another shard or site: it owns slots that this one is not dealt")


def _check_empty(connection: Connection, name: str) -> None:
    for table in (alert, user_account):
        if connection.execute(select(exists().select_from(table))).scalar():
            where = f"shard {name}: {database_name(connection.engine)}"
            raise Invalid(f"{where} belongs to another site: it holds alerts or users")
