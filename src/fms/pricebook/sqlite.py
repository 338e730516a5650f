"""A price book in one SQLite file, which other processes may read while one writes."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from secrets import randbits
from typing import Self

from fms.errors import Fatal, Transient
from fms.ports import Version

FORMAT = 1
"""Version of the tables. A file with a higher one is refused."""

KEYS_AT_ONCE, ROWS_AT_ONCE = 500, 250
"""Keys of one query, and rows of one insert; older SQLite refuse more than 999 parameters."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS page (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS description (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partition_version (partition INTEGER PRIMARY KEY, version INTEGER NOT NULL);
"""
_SETTINGS = (
    "PRAGMA page_size = 8192",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    # Rare checkpoints (32 MB): a sixth less time a put. Still larger database pages would gain nothing more, and
    # multiply what a shuffled feed writes.
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA cache_size = -65536",
)


class SqlitePageStore:
    """Pages in the file ``path``, which is made if it is not there; its directory must be.

    Attributes:
        identity: a number that no other file has.

    Raises Fatal if the file cannot be used, Transient if somebody else holds it for ``busy_seconds``.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 10) -> None:
        self._path = path
        with self._translated():
            self._connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        for setting in _SETTINGS:
            self._connection.execute(setting)
        with self._transaction("IMMEDIATE"):
            for statement in _SCHEMA.split(";"):
                self._connection.execute(statement)
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (FORMAT,))
            self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('identity', ?)", (randbits(63),))
            (found,) = self._connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
            (self.identity,) = self._connection.execute("SELECT value FROM meta WHERE name = 'identity'").fetchone()
        if found > FORMAT:
            raise Fatal(f"{self._path} was written by a newer fms (price book format {found}, here {FORMAT})")

    def get(self, partition: int, keys: Sequence[str]) -> tuple[Version, list[bytes | None]]:
        """See ``PageStore``."""
        with self._translated(), self._transaction("DEFERRED"):
            return self._version(partition), self._values("page", keys)

    def describe(self, partition: int, keys: Sequence[str]) -> list[bytes | None]:  # noqa: ARG002  # keys say it all
        """See ``PageStore``."""
        with self._translated():
            return self._values("description", keys)

    def put(
        self,
        partition: int,
        version: Version,
        pages: Mapping[str, bytes | None],
        descriptions: Mapping[str, bytes | None],
        newest: int | None = None,
    ) -> bool:
        """See ``PageStore``."""
        with self._translated(), self._transaction("IMMEDIATE"):
            if self._version(partition) != version:
                return False
            self._write("page", pages)
            self._write("description", descriptions)
            self._connection.execute("REPLACE INTO partition_version VALUES (?, ?)", (partition, version.number + 1))
            if newest is not None and newest > self._newest():
                self._connection.execute("REPLACE INTO meta VALUES ('newest', ?)", (newest,))
        return True

    def keys(self, od: str | None = None) -> Iterator[str]:
        """See ``PageStore``."""
        first, end = ("", "\U0010ffff") if od is None else (f"{od}:", f"{od};")
        with self._translated():
            rows = self._connection.execute(
                "SELECT key FROM page WHERE key >= ? AND key < ? ORDER BY key", (first, end)
            ).fetchall()
        return (key for (key,) in rows)

    def newest(self) -> int:
        """See ``PageStore``."""
        with self._translated():
            return self._newest()

    def journal_mode(self) -> str:
        """How SQLite sees to it that a put is done whole or not at all: ``wal``, unless the file system forbids it."""
        with self._translated():
            return str(self._connection.execute("PRAGMA journal_mode").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _version(self, partition: int) -> Version:
        query = "SELECT version FROM partition_version WHERE partition = ?"
        row = self._connection.execute(query, (partition,)).fetchone()
        return Version(0, int(row[0]) if row else 0)

    def _newest(self) -> int:
        row = self._connection.execute("SELECT value FROM meta WHERE name = 'newest'").fetchone()
        return int(row[0]) if row else 0

    def _values(self, table: str, keys: Sequence[str]) -> list[bytes | None]:
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, value FROM {table} WHERE key IN ({marks})"  # noqa: S608  # table is a name of ours
            found.update(self._connection.execute(query, some))
        return [found.get(key) for key in keys]

    def _write(self, table: str, values: Mapping[str, bytes | None]) -> None:
        kept = [item for item in values.items() if item[1] is not None]
        # Many rows in a statement: two thirds of the time of a statement a row.
        for start in range(0, len(kept), ROWS_AT_ONCE):
            some = kept[start : start + ROWS_AT_ONCE]
            marks = ",".join(["(?, ?)"] * len(some))
            query = f"REPLACE INTO {table} VALUES {marks}"  # noqa: S608  # table is a name of ours
            self._connection.execute(query, list(chain.from_iterable(some)))
        dropped = [(key,) for key, value in values.items() if value is None]
        self._connection.executemany(f"DELETE FROM {table} WHERE key = ?", dropped)  # noqa: S608  # table is ours

    @contextmanager
    def _transaction(self, mode: str) -> Iterator[None]:
        self._connection.execute(f"BEGIN {mode}")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            raise (Transient if busy else Fatal)(f"{self._path}: {error}") from error
