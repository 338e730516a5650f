"""What an error of a database means: again later, or not before somebody acts."""

import re
import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError

from fms.errors import Fatal, Transient

_AGAIN_CLASSES = ("08", "40", "53")
"""SQLSTATE classes: connection, transaction rolled back (deadlock, serialization), no resources (connections, disk)."""

_AGAIN = {
    "23505",  # unique: whoever comes second finds the row of the first when it tries again
    "25P03",  # idle in transaction for too long: we were frozen
    "55P03",  # lock timeout
    "57014",  # statement timeout
    "57P01",  # the server is being stopped
    "57P02",  # it crashed
    "57P03",  # it is starting
    "57P05",  # idle for too long
    "FM001",  # our guard: the slot is not owned here (any more)
}

_REFUSED = re.compile(
    "authentication failed|no pg_hba|no password|does not exist|permission denied|not permitted|not currently accepting"
    "|does not support SSL|certificate|invalid|unsupported"
)
"""What a server or libpq says to a connection that will never be let in; it gives no SQLSTATE then."""

_NAMES = re.compile('"[^"]*"')


def outcome(error: DBAPIError) -> type[Transient] | type[Fatal]:
    """Which error of ours stands for one of a database."""
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        # Two writers of the same thing: see 23505.
        again = code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or isinstance(error, IntegrityError)
    else:
        again = error.connection_invalidated or _postgres_again(error)
    return Transient if again else Fatal


def _postgres_again(error: DBAPIError) -> bool:
    state: str | None = getattr(error.orig, "pgcode", None)
    if state is None:
        lost = type(error.orig).__name__ in ("OperationalError", "InterfaceError")
        return lost and not _REFUSED.search(_NAMES.sub("", str(error.orig)))
    if state == "23514":
        # A check without a name is a partition's: its month was given one of its own while this row was on its way.
        return getattr(error.orig, "diag").constraint_name is None  # noqa: B009  # psycopg2 has no types
    return state[:2] in _AGAIN_CLASSES or state in _AGAIN
