"""Rows that one statement is given: an array for each column on PostgreSQL, one JSON value on SQLite.

A statement for each row, or parameters that grow with the rows, cost more than the work itself.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any, Literal, TypeVar
from uuid import UUID

from sqlalchemy import Connection, CursorResult, Row, Table, TextClause, TextualSelect, text
from sqlalchemy.dialects import postgresql

Item = TypeVar("Item")

Values = Mapping[str, Any]
"""A row: column → value."""

_BY_INDEX = "; ".join(
    f"SET LOCAL {name} = {value}"
    for name, value in {
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_memoize": "off",
        "enable_material": "off",
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
    }.items()
)


def by_index(connection: Connection) -> None:
    """Until this transaction ends the given rows are looked up by index one by one.

    PostgreSQL would plan by what it believes about the table: without fresh statistics it reads all of it.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_BY_INDEX)


@dataclass(frozen=True)
class Given:
    """Given rows: what stands in FROM for them, as a table of the name they were given, and the values for it."""

    sql: str
    values: Mapping[str, str]


def given(connection: Connection, types: Mapping[str, str], columns: Sequence[Sequence[Any]], name: str) -> Given:
    """Columns of equal length as a table ``name``; ``types``: their names and SQL types."""
    if connection.dialect.name == "sqlite":
        taken = ", ".join(f'value ->> {place} AS "{column}"' for place, column in enumerate(types))
        # MATERIALIZED has the JSON taken apart once, not once for each row that it is compared with.
        rows = f"(WITH one AS MATERIALIZED (SELECT {taken} FROM json_each(:{name})) SELECT * FROM one) AS {name}"  # noqa: S608  # names of ours
        return Given(rows, {name: json.dumps(list(zip(*columns, strict=True)), default=_plain)})
    arrays = ", ".join(f"CAST(:{name}_{column} AS {kind}[])" for column, kind in types.items())
    values = {
        f"{name}_{column}": _array(kind, some) for (column, kind), some in zip(types.items(), columns, strict=True)
    }
    return Given(f"unnest({arrays}) AS {name} ({_list(types)})", values)


def portions(rows: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """So many rows at a time: what one statement is given is one value, and must fit in memory a few times."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _plain(value: object) -> str:
    return value.hex if isinstance(value, UUID) else _iso(value)


def _iso(value: object) -> str:
    assert isinstance(value, date)  # noqa: S101  # no column of ours is anything else that JSON does not know
    return value.isoformat()


def _array(kind: str, values: Iterable[Any]) -> str:
    """An array as PostgreSQL reads it; as text it is made and sent many times quicker than value by value."""
    shown = _SHOWN.get(kind, str)
    return "{" + ",".join(["NULL" if value is None else shown(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_SHOWN: Mapping[str, Callable[[Any], str]] = {"TEXT": _quoted, "UUID": attrgetter("hex")}


def _list(names: Iterable[str], of: str = "") -> str:
    return ", ".join(f'{of}"{name}"' for name in names)


@cache
def _type(table: Table, column: str) -> str:
    return str(table.c[column].type.compile(postgresql.dialect()))  # type: ignore[no-untyped-call]  # SQLAlchemy's


def _given_to(connection: Connection, table: Table, names: Iterable[str], columns: Sequence[Sequence[Any]]) -> Given:
    return given(connection, {name: _type(table, name) for name in names}, columns, "given")


@lru_cache(maxsize=256)
def _said(sql: str) -> TextClause:
    """A statement, taken apart once: to find its parameters takes as long as to send it."""
    return text(sql)


@lru_cache(maxsize=256)
def _asked(sql: str, table: Table, names: tuple[str, ...]) -> TextualSelect:
    return text(sql).columns(*(table.c[name] for name in names))


def rows_by(
    connection: Connection,
    table: Table,
    keys: Mapping[str, Sequence[Any]],
    columns: Sequence[str] = (),
    *,
    lock: Literal["", "WAIT", "SKIP"] = "",
) -> Sequence[Row[Any]]:
    """The rows of a table whose columns have the given values, each of which costs a seek (see ``by_index``).

    Args:
        connection: in a transaction.
        table: which one.
        keys: columns of equal length; no two rows of them alike.
        columns: what is asked for; default: all.
        lock: on PostgreSQL the rows stay locked: ``WAIT`` for those that somebody else has, or ``SKIP`` them.
    """
    names = columns or table.c.keys()
    few = _given_to(connection, table, keys, list(keys.values()))
    alike = " AND ".join(f'{table.name}."{name}" = given."{name}"' for name in keys)
    select = f"SELECT {_list(names, f'{table.name}.')} FROM {few.sql} CROSS JOIN {table.name} WHERE {alike}"  # noqa: S608  # names of ours
    if lock and connection.dialect.name == "postgresql":
        # In one order, so that two who want the same rows never wait for each other.
        select += f" ORDER BY {table.name}.id FOR UPDATE OF {table.name}{' SKIP LOCKED' if lock == 'SKIP' else ''}"
    return connection.execute(_asked(select, table, tuple(names)), few.values).all()


def insert_rows(connection: Connection, table: Table, rows: Sequence[Values], tail: str = "") -> CursorResult[Any]:
    """Insert rows that have the same columns; ``tail``: what follows, as ``ON CONFLICT …``."""
    names = list(rows[0])
    many = _given_to(connection, table, names, _columns(names, rows))
    # WHERE keeps SQLite from taking ON CONFLICT for the ON of a join.
    insert = f"INSERT INTO {table.name} ({_list(names)}) SELECT * FROM {many.sql} WHERE true {tail}"  # noqa: S608  # names of ours
    return connection.execute(_said(insert), many.values)


def update_rows(
    connection: Connection,
    table: Table,
    rows: Sequence[Values],
    key: Sequence[str] = ("id",),
    *,
    also: str = "",
    where: str = "true",
) -> int:
    """Write columns of the rows that have the given keys (see ``by_index``); answers how many there were.

    Args:
        connection: in a transaction.
        table: which one.
        rows: key and new values, all with the same columns.
        key: the columns that name a row.
        also: a further assignment.
        where: a further condition; the new values are called ``given``.
    """
    names = list(rows[0])
    many = _given_to(connection, table, names, _columns(names, rows))
    written = ", ".join([*(f'"{name}" = given."{name}"' for name in names if name not in key), *filter(None, [also])])
    alike = " AND ".join(f'{table.name}."{name}" = given."{name}"' for name in key)
    update = f"UPDATE {table.name} SET {written} FROM {many.sql} WHERE {alike} AND {where}"  # noqa: S608  # names of ours
    return connection.execute(_said(update), many.values).rowcount


def _columns(names: Sequence[str], rows: Sequence[Values]) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in names]
