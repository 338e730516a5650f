"""What lies in the shards of an app's site."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import select

from fms.accounts.service import Accounts
from fms.bootstrap import Site
from fms.model.fare import FareBatch
from fms.runtime.watching import Log
from fms.settings import Settings
from fms.shards.engine import reading
from fms.shards.ownership import SHARD
from fms.web.app import create_app
from fms.web.parts import Parts
from tests.builders import fare
from tests.web.blank import put_blank_site
from tests.web.conftest import OPEN_LIMITS

Dump = set[tuple[str, str, str]]
"""Shard, table and row, as text."""


@contextmanager
def api_of(folder: Path, log: Log | None = None, **settings: Any) -> Iterator[Flask]:
    """The API of the site in a folder, with settings of the test's choice."""
    if "catalog_url" not in settings:
        put_blank_site(folder)
    with Site(Settings(**{"data": folder, **OPEN_LIMITS, **settings}), served=True) as site:
        yield create_app(site, log=log)


def parts_of(app: Flask) -> Parts:
    """What an app works with."""
    found: Parts = app.extensions["fms"]
    return found


def site_of(app: Flask) -> Site:
    """The site that an app serves."""
    return parts_of(app).site


def accounts_of(app: Flask) -> Accounts:
    """The accounts that an app serves."""
    return parts_of(app).accounts


def dump(app: Flask) -> Dump:
    """Every row of every table of every shard."""
    found = set()
    for shard in site_of(app).router.all():
        with reading(shard.engine) as connection:
            for table in SHARD.sorted_tables:
                rows = connection.execute(select(table)).all()
                found |= {(shard.name, table.name, repr(tuple(map(str, row)))) for row in rows}
    return found


def about(rows: Dump, *texts: str) -> Dump:
    """The rows that name one of the texts."""
    return {row for row in rows if any(text in row[2] for text in texts)}


def columns() -> list[str]:
    """The name of every column of every table."""
    return sorted({column.name for table in SHARD.sorted_tables for column in table.columns})


def price_known(app: Flask, price: int) -> None:
    """Have the price book know a fare that ``people.ALERT`` is about."""
    site = site_of(app)
    found = fare(
        origin="STN", destination="BGY", departure_date=date(2027, 10, 3), currency="GBP", price=price,
        observed_at=site.clock() - 60_000,
    )  # fmt: skip
    diff = site.diff(prime=True)
    diff.process(FareBatch.of_fares([found]))
    diff.settle()
