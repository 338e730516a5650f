"""Where a site's shards are, so that a test can open them as often as there would be processes."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from shutil import copytree

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


class EmptySites:
    """Sites of files that have a schema and no rows, each made once and copied for whoever needs one.

    Args:
        folder: where they are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copied(self, data: Path, shards: int) -> Place:
        """A site of so many files in a directory that is empty, or not there."""
        made = self._folder / f"{shards}"
        if not made.exists():
            Place(made, shards).router().close()
        return Place(copytree(made, data, dirs_exist_ok=True), shards)


MEMORY = "memory"


def place_of(request: pytest.FixtureRequest, folder: Path) -> Place | None:
    """Some empty shards, as a fixture's parameter says: so many files, databases on PostgreSQL, or none in memory."""
    if request.param == MEMORY:
        return None
    if request.param == "postgres":
        found: Place = request.getfixturevalue("postgres_place")
        return found
    sites: EmptySites = request.getfixturevalue("empty_sites")
    return sites.copied(folder, request.param)


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
