"""How a database does: what its server is, how it is set, and what its clock says."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import URL, Engine, bindparam, text

from fms.model.clock import Clock
from fms.shards.engine import opened, reading

SETTINGS = (
    "fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names", "max_connections",
    "superuser_reserved_connections", "max_locks_per_transaction", "max_prepared_transactions", "server_version",
    "server_version_num",
)  # fmt: skip
"""What is read of a PostgreSQL server; as it is for our user and this database."""

_SERVER = """
    SELECT CAST(pg_postmaster_start_time() AS text), CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint),
           pg_is_in_recovery(), (SELECT CAST(sum(numbackends) AS int) FROM pg_stat_database)
"""


@dataclass(frozen=True)
class DatabaseHealth:
    """What a database says of itself.

    Attributes:
        place: host and port, or the file.
        settings: of SQLite two pragmas, of PostgreSQL see ``SETTINGS``.
        server: what no other server has; None: there is none.
        ahead_ms: how far its clock is ahead of ours.
        standby: whether it only follows another one.
        connections: of all clients.
    """

    place: str
    settings: Mapping[str, str] = field(default_factory=dict)
    server: str | None = None
    ahead_ms: int = 0
    standby: bool = False
    connections: int = 0


@contextmanager
def hurried(url: URL, seconds: float) -> Iterator[Engine]:
    """An engine for the length of the block, whose server has so many seconds for each answer."""
    with opened(url) as engine:
        if engine.dialect.name == "postgresql":
            from fms.shards.postgres import be_hurried

            be_hurried(engine, seconds)
        yield engine


def database_health(engine: Engine, clock: Clock) -> DatabaseHealth:
    """What the database says of itself; raises as ``reading`` does."""
    return _of_file(engine) if engine.dialect.name == "sqlite" else _of_server(engine, clock)


def _of_file(engine: Engine) -> DatabaseHealth:
    with reading(engine) as connection:
        pragmas = ("journal_mode", "synchronous")
        found = {name: str(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in pragmas}
    return DatabaseHealth(str(engine.url.database), found)


def _of_server(engine: Engine, clock: Clock) -> DatabaseHealth:
    query = text("SELECT name, setting FROM pg_settings WHERE name IN :names")
    with reading(engine) as connection:
        rows = connection.execute(query.bindparams(bindparam("names", SETTINGS, expanding=True)))
        settings = {row.name: row.setting for row in rows}
        before = clock()
        started_at, now, standby, connections = connection.execute(text(_SERVER)).one()
        ahead = now - (before + clock()) // 2
    return DatabaseHealth(_place(engine.url), settings, started_at, ahead, standby, connections)


def _place(url: URL) -> str:
    if url.host:
        return f"{url.host}:{url.port or 5432}"
    hosts = url.query.get("host", "localhost")
    return hosts if isinstance(hosts, str) else ", ".join(hosts)
