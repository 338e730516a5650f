"""A site of two shards in which everything there is has rows, made once and copied for every test."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from fms.db.migrate import History, upgrade
from fms.db.partitions import make_partitions
from fms.db.sites import open_router
from fms.rebalance.journal import Job, Move
from fms.rebalance.mover import Pace
from fms.rebalance.plan import Plan, PlannedMove
from fms.rebalance.service import Shards
from fms.shards.catalog import deal, fill_catalog
from fms.shards.engine import opened, writing
from fms.shards.ownership import take
from fms.shards.router import Router
from tests.builders import MONDAY, alert, criteria
from tests.contracts.making import sqlite
from tests.contracts.town import SqlTown
from tests.services.postgres import Databases

NAMES = ("left", "right")
PLACES = ("LHR", "CDG", "AMS", "FRA", "MAD", "LIS", "FCO", "ZRH")


@dataclass(frozen=True)
class Home:
    """A site: its directory, and the URLs of its shards by name."""

    data: Path
    urls: Mapping[str, str]

    def shards(self) -> Shards:
        """Its shards, to be entered."""
        return Shards(self.data, self.catalog)

    def router(self) -> Router:
        """Its router, to be closed."""
        return open_router(self.data, len(NAMES), self.catalog)

    @property
    def catalog(self) -> str:
        return sqlite(self.data / "catalog.sqlite")


def found_home(data: Path, urls: Mapping[str, str], *, empty: bool = True) -> Home:
    """A site over databases that are empty, or copies of those of another site of this kind."""
    data.mkdir(exist_ok=True)
    home = Home(data, urls)
    dealt = deal(list(NAMES))
    for name in NAMES if empty else ():
        with opened(urls[name]) as engine:
            upgrade(engine, History.SHARD)
            with writing(engine) as connection:
                take(connection, dealt[name])
            make_partitions(engine, date(2026, 11, 1))
    with opened(home.catalog) as catalog:
        upgrade(catalog, History.CATALOG)
        fill_catalog(catalog, urls, dealt)
    return home


def files(folder: Path) -> dict[str, str]:
    """URLs of shards that are files."""
    return {name: sqlite(folder / f"{name}.sqlite") for name in NAMES}


def copy_files(of: Home, data: Path) -> Home:
    """The same site once more, in files."""
    data.mkdir(exist_ok=True)
    for name in NAMES:
        shutil.copy(of.data / f"{name}.sqlite", data)
    return found_home(data, files(data), empty=False)


def copy_databases(of: Home, data: Path, databases: Databases) -> Home:
    """The same site once more, in databases."""
    return found_home(data, {name: databases.new_database(like=of.urls[name]) for name in NAMES}, empty=False)


def settle(home: Home) -> None:
    """Let people live there: alerts of all kinds, fired, told, paused, owed."""
    router = home.router()
    town = SqlTown(router)
    for n, place in enumerate(PLACES):
        want = criteria(destination=place, depart_to=date(2027, 1 + n % 3, 9))
        for email in ("me@example.org", f"user{n}@example.org"):
            town.add(email, ref=place, amount=40_000, criteria=want)
        town.falls(destination=place, price=39_000)
    town.notify.deliver(MONDAY)
    town.add(ref="learns", kind="drop_percent", amount=1_000)
    paused = town.add(ref="paused")
    town.rows.change(paused.id, lambda now: replace(now, paused=True), owed=False)
    user = town.users.find("me@example.org")
    town.rows.add([replace(alert(user_id=user.id, ref="owed"), user=user.email)])
    router.close()


def slots_of(router: Router) -> list[int]:
    """The slots that have rows, in order."""
    town = SqlTown(router)
    alerts = {one.id for one in town.rows.all()} | {one.user_id for one in town.rows.all()}
    return sorted({(one.int >> 64) & 0xFFF for one in alerts})


def planned(shards: Shards, slots: Sequence[int]) -> Job:
    """A rebalance that has begun, which sends each of the slots to the other shard."""
    owners = shards.owners()
    moves = []
    for source, target in (NAMES, NAMES[::-1]):
        if here := tuple(slot for slot in slots if owners[slot] == source):
            moves.append(PlannedMove(source, target, here, len(here)))
    return shards.journal.start(shards.journal.add(Plan(tuple(moves), (), (), ()), {}).id, {})


def swap(shards: Shards, slots: Sequence[int]) -> Sequence[Move]:
    """Send each of the slots to the other shard; answers the moves."""
    job = shards.carrier(Pace()).carry(planned(shards, slots))
    assert job.state == "done"
    return shards.journal.moves(job.id)


def harm(engine: Engine, *statements: str, **values: Any) -> None:
    """Do what the guard of the database would refuse."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in names:
                connection.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            done = connection.execute(text(statement), values)
            assert done.rowcount, statement
