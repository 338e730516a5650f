"""Bring a database to the revision that this fms knows. Two histories: the catalog's and the shards'."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, MetaData, inspect, text

import fms
from fms.db import tables
from fms.errors import Fatal
from fms.shards.catalog import CATALOG
from fms.shards.engine import database_name, reading, take_time, writing

if TYPE_CHECKING:
    from alembic.config import Config


class History(StrEnum):
    """A migration history."""

    CATALOG = "catalog"
    SHARD = "shard"


HEADS = {History.CATALOG: "c0003", History.SHARD: "s0005"}
"""The newest revision of each history, so that a database that is up to date costs one query at start."""

SCHEMA_LOCK = 0x666D_7302
"""The advisory lock of PostgreSQL that whoever changes the schema of a database holds."""

_METADATA: dict[History, MetaData] = {History.CATALOG: CATALOG, History.SHARD: tables.alert.metadata}


def scripts() -> Path:
    """The folder of the migration scripts: inside the installed package, or beside ``src`` in a checkout."""
    package = Path(fms.__file__).parent
    installed = package / "_alembic"
    return installed if installed.is_dir() else package.parents[1] / "alembic"


def current(engine: Engine, history: History) -> str | None:
    """The database's revision; None for one that was never migrated."""
    with reading(engine) as connection:
        return _revision(connection, history)


def _revision(connection: Connection, history: History) -> str | None:
    table = version_table(connection, history)
    if not inspect(connection).has_table(table):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608  # see there
    return found


def version_table(connection: Connection, history: History) -> str:
    """Where a database keeps its revision. In PostgreSQL the catalog may share a database with a shard."""
    return f"alembic_version_{history}" if connection.dialect.name == "postgresql" else "alembic_version"


def upgrade(engine: Engine, history: History) -> bool:
    """Migrate to the newest revision; answers whether anything was done. Raises Fatal for a database of a newer fms.

    Of several that do this at once one does it, and the others wait and find it done.
    """
    if not is_behind(engine, history):
        return False
    from alembic import command  # only when there is something to migrate: it doubles the time to start

    with writing(engine) as connection:
        lock_schema(connection)
        if _revision(connection, history) == HEADS[history]:
            return False
        command.upgrade(config(history, connection), "head")
    return True


def is_behind(engine: Engine, history: History) -> bool:
    """Whether the database is to be migrated; raises Fatal if a newer fms did that already."""
    found = current(engine, history)
    if found in (None, HEADS[history]) or _knows(history, str(found)):
        return found != HEADS[history]
    name = database_name(engine)
    raise Fatal(f"{name}: made by a newer fms (revision {found}, this one knows {HEADS[history]}): upgrade fms")


def lock_schema(connection: Connection) -> None:
    """Be the only one to change the schema of this database until the transaction ends; takes its time."""
    take_time(connection)
    if connection.dialect.name == "postgresql":
        # Whoever holds it may be at work for long; but later no table must be waited for, with everybody behind us.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SCHEMA_LOCK})
        connection.execute(text("SET LOCAL lock_timeout TO DEFAULT"))


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
    found.attributes |= {
        "connection": connection,
        "metadata": _METADATA[history],
        "version_table": version_table(connection, history),
    }
    return found
