"""What several suites of this folder stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.place import MEMORY, EmptySites, Place, empty, make_postgres, place_of
from tests.contracts.town import MemoryTown, SqlTown, Town
from tests.services.postgres import Databases, Postgres
from tests.services.shared import Shared


@pytest.fixture(scope="session")
def postgres_site(shared_servers: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Made once: a schema takes longer than a test."""
    databases = Databases(shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url))
    yield make_postgres(databases, tmp_path_factory.mktemp("site"))
    databases.drop()


@pytest.fixture(scope="session")
def empty_sites(tmp_path_factory: pytest.TempPathFactory) -> EmptySites:
    """Made once, as above."""
    return EmptySites(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def postgres_place(postgres_site: Place) -> Place:
    """Two empty shards on PostgreSQL."""
    empty(postgres_site)
    return postgres_site


@pytest.fixture(params=[1, 2, "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Some empty shards: so many files, or databases on PostgreSQL."""
    found = place_of(request, tmp_path)
    assert found
    return found


@pytest.fixture
def town(place: Place) -> Iterator[SqlTown]:
    """A town over databases."""
    made = SqlTown(place.router())
    yield made
    made.router.close()


@pytest.fixture(params=[MEMORY, 1, 2, "postgres"])
def any_town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A town over databases, or in memory."""
    place = place_of(request, tmp_path)
    if place is None:
        yield MemoryTown()
        return
    made = SqlTown(place.router())
    yield made
    made.router.close()
