"""Where a site's shards are, so that a test can open them as often as there would be processes."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from fms.db.initialise import initialise
from fms.db.sites import catalog_place, open_router
from fms.shards.catalog import deal
from fms.shards.engine import writing
from fms.shards.ownership import SHARD, owned_slots, slot_owner, take
from fms.shards.router import Router
from tests.services.postgres import Databases

SHARDS = ("left", "right")


@dataclass(frozen=True)
class Place:
    """A site's data directory, and what it would be opened with."""

    data: Path
    shards: int = 1
    catalog_url: str | None = None

    def router(self) -> Router:
        return open_router(self.data, self.shards, self.catalog_url)


MEMORY = "memory"


def place_of(request: pytest.FixtureRequest, folder: Path) -> Place | None:
    """Some empty shards, as a fixture's parameter says: so many files, databases on PostgreSQL, or none in memory."""
    if request.param == MEMORY:
        return None
    if request.param == "postgres":
        found: Place = request.getfixturevalue("postgres_place")
        return found
    return Place(folder, request.param)


def make_postgres(databases: Databases, data: Path) -> Place:
    """Two shards in databases of their own."""
    catalog_url = f"sqlite:///{data / 'catalog.sqlite'}"
    urls = {name: databases.new_database() for name in SHARDS}
    initialise(catalog_place(data, catalog_url), urls, data, date(2026, 11, 1))
    return Place(data, len(SHARDS), catalog_url)


def empty(place: Place) -> None:
    """Forget everything but the schema and who owns what."""
    router = place.router()
    tables = ", ".join(table.name for table in SHARD.sorted_tables if table is not slot_owner)
    for shard in router.all():
        with writing(shard.engine) as connection:
            connection.execute(text(f"TRUNCATE {tables}"))
            take(connection, sorted(set(deal(list(SHARDS))[shard.name]) - owned_slots(connection)))
    router.close()
