"""SQL databases behind URLs, opened one way: explicit transactions, and on SQLite writers that queue at their start."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from fms.errors import Fatal, FmsError, Transient
from fms.model.batch import first_line

BUSY_SECONDS = 20
"""How long a SQLite writer waits for another one before it gives up."""


def open_engine(url: str) -> Engine:
    """An engine for ``url``: ``sqlite:///…``, ``postgresql://…`` or ``postgres://…``. Nothing is connected yet."""
    kind, _, rest = url.partition(":")
    if kind in ("postgres", "postgresql", "postgresql+psycopg2"):
        # The bare scheme would mean another driver to SQLAlchemy.
        return create_engine(f"postgresql+psycopg2:{rest}", pool_size=2, pool_pre_ping=True)
    if kind != "sqlite":
        raise Fatal(f"this kind of database is not supported: {kind}")
    engine = create_engine(url, poolclass=QueuePool, pool_size=2, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling begins too late and commits behind our back: switch it off.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    # The price book may lose its last moments in a power cut, the shards may not: they would be told twice.
    connection.execute("PRAGMA synchronous = FULL")


def _on_sqlite_begin(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for another writer: it fails. So writers say so.
    reading = connection.get_execution_options().get("fms_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes, committed at the end of the block; raises Transient or Fatal."""
    with _translated(engine), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads; raises Transient or Fatal."""
    with _translated(engine), engine.connect().execution_options(fms_reading=True) as connection, connection.begin():
        yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except FmsError:
        raise
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        # Two writers of the same thing: whoever comes second finds it when it tries again.
        again = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or isinstance(error, IntegrityError)
        raise (Transient if again else Fatal)(f"{_name(engine)}: {first_line(error.orig or error)}") from error


def _name(engine: Engine) -> str:
    return engine.url.database or engine.url.render_as_string(hide_password=True)
