"""Bring a database to the revision that this fms knows. Two histories: the catalog's and the shards'."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, MetaData, inspect, text

import fms
from fms.db import tables
from fms.errors import Fatal
from fms.shards.catalog import CATALOG
from fms.shards.engine import reading, writing

if TYPE_CHECKING:
    from alembic.config import Config


class History(StrEnum):
    """A migration history."""

    CATALOG = "catalog"
    SHARD = "shard"


HEADS = {History.CATALOG: "c0001", History.SHARD: "s0001"}
"""The newest revision of each history, so that a database that is up to date costs one query at start."""

_METADATA: dict[History, MetaData] = {History.CATALOG: CATALOG, History.SHARD: tables.alert.metadata}


def scripts() -> Path:
    """The folder of the migration scripts: inside the installed package, or beside ``src`` in a checkout."""
    package = Path(fms.__file__).parent
    installed = package / "_alembic"
    return installed if installed.is_dir() else package.parents[1] / "alembic"


def current(engine: Engine) -> str | None:
    """The database's revision; None for one that was never migrated."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found


def upgrade(engine: Engine, history: History) -> bool:
    """Migrate to the newest revision; answers whether anything was done. Raises Fatal for a database of a newer fms."""
    found = current(engine)
    if found == HEADS[history]:
        return False
    if found is not None and not _knows(history, found):
        name = engine.url.database
        raise Fatal(f"{name}: made by a newer fms (revision {found}, this one knows {HEADS[history]}): upgrade fms")
    from alembic import command  # only when there is something to migrate: it doubles the time to start

    with writing(engine) as connection:
        command.upgrade(config(history, connection), "head")
    return True


def _knows(history: History, revision: str) -> bool:
    versions = scripts() / history / "versions"
    return any(path.name.startswith(f"{revision}_") for path in versions.glob("*.py"))


def config(history: History, connection: Connection) -> "Config":
    """Alembic's configuration for one history on one connection."""
    from alembic.config import Config

    found = Config()
    found.set_main_option("script_location", str(scripts()))
    found.set_main_option("version_locations", str(scripts() / history / "versions"))
    found.set_main_option("path_separator", "os")
    found.attributes |= {"connection": connection, "metadata": _METADATA[history]}
    return found
