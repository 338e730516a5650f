"""Sites of three shards, of files or of databases, and movers for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.making import made, sqlite
from tests.rebalance.dying import Movers
from tests.rebalance.ground import Ground
from tests.services.postgres import Databases

LEASE = 0.25
"""Seconds: who resumes has not long to wait."""


@pytest.fixture(params=["sqlite", "postgres"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    """A site of three shards of one kind."""
    if request.param == "postgres":
        databases: Databases = request.getfixturevalue("postgres")
        return on_postgres(databases, tmp_path)
    urls = {name: sqlite(tmp_path / f"{name}.sqlite") for name in "abc"}
    return founded(tmp_path, sqlite(tmp_path / "catalog.sqlite"), urls)


def on_postgres(databases: Databases, folder: Path) -> Ground:
    """A site of three databases and a catalog in a fourth."""
    return founded(folder, databases.new_database(), {name: databases.new_database() for name in "abc"})


def founded(folder: Path, catalog: str, urls: dict[str, str]) -> Ground:
    """A site over databases."""
    data = folder / "site"
    made(data, catalog, urls)
    return Ground({"data": str(data), "catalog_url": catalog, "move_lease_seconds": LEASE})


@pytest.fixture(scope="module")
def movers() -> Iterator[Movers]:
    """Where movers come from."""
    with Movers() as opened:
        yield opened
