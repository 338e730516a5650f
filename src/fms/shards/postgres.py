"""psycopg2 as fms uses it: no wait is without an end, neither the server's nor our own."""

import select
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

from psycopg2 import Error as Psycopg2Error
from psycopg2 import OperationalError, extensions
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError

CONNECT_SECONDS = 5
"""How long a server may take to let us in."""

STATEMENT_SECONDS = 30
LOCK_SECONDS = 10
IDLE_SECONDS = 60
"""The server's own limits: of a statement, of a lock waited for, of a transaction that nobody goes on with."""

KEPT = 16
"""Connections that a process keeps to a database, if so many were needed at once."""

TRUSTED_SECONDS = 0.5
"""How long after its last use a connection is believed to live, without being asked."""

ANSWER_SECONDS = 40
"""How long we wait for a byte of an answer: more than a statement may take, so that only a frozen server meets it."""

# A host that is gone is noticed within 20 seconds. One whose processes are frozen goes on acknowledging: see _wait.
_SOCKET = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2}
_USER_TIMEOUT_MS = 20_000


class PatientConnection(extensions.connection):  # type: ignore[misc]  # psycopg2 has no types
    """A connection that waits so many seconds for a byte and no longer; None: for ever."""

    patience: float | None = CONNECT_SECONDS


def postgres_engine(url: URL) -> Engine:
    """An engine for a PostgreSQL database; nothing is connected yet. What the URL itself says counts first."""
    if extensions.get_wait_callback() is None:
        # For the whole process: psycopg2 knows no other way. It also lets signals be served while we wait.
        extensions.set_wait_callback(_wait)
    engine = create_engine(
        url.difference_update_query(["options"]),
        connect_args=_connect_args(url),
        executemany_mode="values_plus_batch",
        executemany_batch_page_size=500,
        use_native_hstore=False,
        pool_size=KEPT,
        hide_parameters=True,  # they are people's data and secrets: no error may quote them
    )
    event.listen(engine, "connect", _be_patient)
    event.listen(engine, "checkin", _be_patient)
    event.listen(engine, "checkin", _note_time)
    event.listen(engine, "checkout", _ask_whether_it_lives(engine.dialect))
    return engine


def _note_time(_connection: Any, record: Any) -> None:
    record.info["idle_since"] = monotonic()


def _ask_whether_it_lives(dialect: Dialect) -> Callable[[Any, Any, Any], None]:
    """To be told when a connection is taken from the pool: one that was not used just now may be dead."""

    def look(connection: Any, record: Any, _proxy: Any) -> None:
        if monotonic() - record.info.get("idle_since", monotonic()) < TRUSTED_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except Psycopg2Error as error:
            raise DisconnectionError(str(error)) from error

    return look


def _connect_args(url: URL) -> dict[str, Any]:
    own = _SOCKET | {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": _USER_TIMEOUT_MS,
        "application_name": "fms",
    }
    limits = {
        "statement_timeout": STATEMENT_SECONDS,
        "lock_timeout": LOCK_SECONDS,
        "idle_in_transaction_session_timeout": IDLE_SECONDS,
    }
    # Writers rely on it: what a lock made them wait for must be seen by the statement after it. As the default of a
    # session it need not be said each time.
    settings = ["-c default_transaction_isolation=read\\ committed"]
    settings += [f"-c {name}={seconds * 1000:.0f}" for name, seconds in limits.items()]
    given = url.query.get("options", ())
    return {name: value for name, value in own.items() if name not in url.query} | {
        "connection_factory": PatientConnection,
        # Of an option that is given twice the server takes the last.
        "options": " ".join([*settings, *([given] if isinstance(given, str) else given)]),
    }


def _be_patient(connection: Any, _record: Any) -> None:
    # The pool hands in None for a connection that was given up.
    if connection is not None:
        connection.patience = ANSWER_SECONDS


@contextmanager
def in_session(connection: Connection, **different: Any) -> Iterator[None]:
    """For the length of the block the transactions of a connection are different: see psycopg2's ``set_session``.

    It costs nothing: what SQLAlchemy offers for it asks the server twice.
    """
    driver = _driver(connection)
    driver.set_session(**different)
    try:
        yield
    finally:
        if not driver.closed:
            if connection.in_transaction():
                connection.rollback()
            driver.set_session(isolation_level="DEFAULT", readonly="DEFAULT", autocommit=False)


class Lost(Exception):  # noqa: N818  # named after what became of the question
    """A question was not answered, for whatever reason; its connection is given up."""


def first_row(engine: Engine, sql: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The first row of a query, asked by itself through psycopg2; raises Lost.

    SQLAlchemy takes several times as long for it as the server does.
    """
    try:
        lent = engine.raw_connection()
    except (Psycopg2Error, DBAPIError) as error:
        raise Lost from error
    try:
        driver: Any = lent.driver_connection
        driver.autocommit = True
        with driver.cursor() as cursor:
            cursor.execute(sql, values)
            found: tuple[Any, ...] | None = cursor.fetchone()
        driver.autocommit = False
    except BaseException as error:
        # Whatever it was: the next one to have the connection would find that it commits each statement.
        lent.invalidate()
        if isinstance(error, Psycopg2Error):
            raise Lost from error
        raise
    finally:
        lent.close()
    return found


def be_hurried(engine: Engine, seconds: float) -> None:
    """From now on the engine's server has so many seconds for each answer."""

    def hurry(connection: Any, _record: Any) -> None:
        if connection is not None:
            connection.patience = seconds

    event.listen(engine, "connect", hurry)
    event.listen(engine, "checkin", hurry)


def be_endlessly_patient(connection: Connection) -> None:
    """This transaction may take as long as it takes: neither the server nor we give it up."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    _driver(connection).patience = None


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _wait(connection: Any) -> None:
    """Wait until the server has answered; psycopg2 closes a connection whose wait raises.

    libpq's own waiting has an end for connecting only, and the limits above are kept by the server: by one that
    is frozen, or behind a proxy that is, they are not.
    """
    while (state := connection.poll()) != extensions.POLL_OK:
        patience = getattr(connection, "patience", None)
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT)
        if poll.poll(None if patience is None else patience * 1000):
            continue
        if connection.status in (extensions.STATUS_READY, extensions.STATUS_BEGIN):
            raise OperationalError(f"no answer for {patience:g} s")
        _hang_up(connection.fileno())


def _hang_up(descriptor: int) -> None:
    # While it connects libpq has a list of hosts to try: it goes on to the next when this one fails.
    with socket.socket(fileno=socket.dup(descriptor)) as same:
        same.shutdown(socket.SHUT_RDWR)
