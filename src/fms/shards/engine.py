"""SQL databases behind URLs, opened one way: explicit transactions, time limits, and errors of ours."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from fms.errors import FmsError
from fms.model.batch import first_line
from fms.shards.failures import outcome
from fms.shards.urls import parse_url, shown

BUSY_SECONDS = 20
"""How long a SQLite writer waits for another one before it gives up."""


def open_engine(url: str | URL) -> Engine:
    """An engine for ``url``: ``sqlite:///…``, ``postgresql://…`` or ``postgres://…``. Nothing is connected yet."""
    parsed = parse_url(url) if isinstance(url, str) else url
    if parsed.get_backend_name() == "postgresql":
        from fms.shards.postgres import postgres_engine  # a site of files needs no driver

        return postgres_engine(parsed)
    # Parameters are people's data and secrets: no error may quote them.
    engine = create_engine(
        parsed, poolclass=QueuePool, pool_size=16, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True
    )
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


@contextmanager
def opened(url: str | URL) -> Iterator[Engine]:
    """An engine for the length of the block."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


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
    """One transaction that only reads, all of it as of one moment; raises Transient or Fatal."""
    with (
        _translated(engine),
        _connected(engine) as connection,
        _as_of_one_moment(connection),
        connection.begin(),
    ):
        yield connection


@contextmanager
def asking(engine: Engine) -> Iterator[Connection]:
    """A connection for one statement that only reads: as of one moment too, and quicker than a transaction."""
    with _translated(engine), _connected(engine) as connection, _without_transaction(connection):
        yield connection


def _connected(engine: Engine) -> Connection:
    return engine.connect().execution_options(fms_reading=True)


@contextmanager
def _as_it_is(_connection: Connection) -> Iterator[None]:
    yield


def _as_of_one_moment(connection: Connection) -> AbstractContextManager[None]:
    """The next transaction of a connection sees one moment, and cannot write."""
    if connection.dialect.name == "sqlite":
        return _as_it_is(connection)
    from fms.shards.postgres import in_session

    return in_session(connection, isolation_level="REPEATABLE READ", readonly=True)


def _without_transaction(connection: Connection) -> AbstractContextManager[None]:
    """Each statement of a connection is by itself."""
    if connection.dialect.name == "sqlite":
        return _as_it_is(connection)
    from fms.shards.postgres import in_session

    return in_session(connection, autocommit=True)


def take_time(connection: Connection) -> None:
    """Lift the time limits of this transaction but for locks: a migration or a clean-up takes as long as it takes."""
    if connection.dialect.name == "postgresql":
        from fms.shards.postgres import be_endlessly_patient

        be_endlessly_patient(connection)


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except FmsError:
        raise
    except DBAPIError as error:
        raise outcome(error)(f"{database_name(engine)}: {first_line(error.orig or error)}") from error


def database_name(engine: Engine) -> str:
    """What people know a database by: the file, or the URL without its password."""
    return (engine.url.database if engine.dialect.name == "sqlite" else None) or shown(engine.url)
