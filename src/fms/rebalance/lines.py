r"""Rows as lines of text, the same on PostgreSQL and SQLite: what is copied, and what two shards are compared by.

Columns are separated by tabs. ``\N`` is NULL; in texts ``\s``, ``\t`` and ``\n`` stand for a backslash, a tab and a
line feed, so that a line never breaks. Ids are 32 hexadecimal digits, dates ``2026-12-01``, truths 0 and 1.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Table, Text, Uuid, text
from sqlalchemy.dialects import postgresql

from fms.db.given import by_index

NULL = r"\N"


def lines_of_slots(
    connection: Connection, table: Table, columns: Sequence[Column[Any]], slots: Collection[int]
) -> list[str]:
    """Some columns of all rows of the slots, in no order."""
    return _read(connection, table, columns, *_among(connection, "slot", "int", slots))


def lines_of_ids(connection: Connection, table: Table, ids: Collection[str], column: str = "id") -> list[str]:
    """All columns of the rows whose ``column`` is one of the ids (hexadecimal), in no order."""
    return _read(connection, table, list(table.c), *_among(connection, column, "uuid", ids))


def _among(connection: Connection, column: str, kind: str, values: Collection[Any]) -> tuple[str, Any]:
    """A condition, by index, that a column is one of the values, and what it calls ``wanted``."""
    if connection.dialect.name == "postgresql":
        by_index(connection)
        return f"{column} = ANY (CAST(:wanted AS {kind}[]))", sorted(values)
    return f"{column} IN (SELECT value FROM json_each(:wanted))", json.dumps(sorted(values))  # noqa: S608  # names of ours


def _read(connection: Connection, table: Table, columns: Sequence[Column[Any]], where: str, wanted: Any) -> list[str]:
    if connection.dialect.name == "postgresql":
        line = f"concat_ws(chr(9), {', '.join(map(_shown, columns))})"
        query = f"SELECT string_agg({line}, chr(10)) FROM {table.name} WHERE {where}"  # noqa: S608  # names of ours
        found: str | None = connection.execute(text(query), {"wanted": wanted}).scalar()
        return found.split("\n") if found else []
    # Without SQLAlchemy's types: as the file has them.
    names = ", ".join(f'"{column.name}"' for column in columns)
    rows = connection.execute(text(f"SELECT {names} FROM {table.name} WHERE {where}"), {"wanted": wanted})  # noqa: S608  # names of ours
    return ["\t".join([NULL if value is None else _escaped(value) for value in row]) for row in rows]


def _shown(column: Column[Any]) -> str:
    name = f'"{column.name}"'
    kind = column.type
    if isinstance(kind, Uuid):
        shown = f"replace(CAST({name} AS text), '-', '')"
    elif isinstance(kind, Boolean):
        shown = f"CAST(CAST({name} AS int) AS text)"
    elif isinstance(kind, Text):
        shown = rf"replace(replace(replace({name}, '\', '\s'), chr(9), '\t'), chr(10), '\n')"
    else:
        shown = f"CAST({name} AS text)"
    return shown if not column.nullable else f"coalesce({shown}, '{NULL}')"


def _escaped(value: object) -> str:
    if isinstance(value, str):
        return value.replace("\\", r"\s").replace("\t", r"\t").replace("\n", r"\n")
    return str(value)


def write_lines(connection: Connection, table: Table, key: Sequence[str], lines: Sequence[str]) -> None:
    """Insert whole rows, or write over those that have the same key."""
    if not lines:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(text(_postgres_upsert(table, tuple(key))), {"lines": "\n".join(lines)})
    else:
        rows = [tuple(map(_plain, line.split("\t"))) for line in lines]
        connection.exec_driver_sql(_sqlite_upsert(table, tuple(key)), rows)


@cache
def _postgres_upsert(table: Table, key: tuple[str, ...]) -> str:
    values = ", ".join(_value(column, f"part[{place}]") for place, column in enumerate(table.c, 1))
    # OFFSET keeps the planner from taking a line apart once for each column.
    line = "unnest(string_to_array(:lines, chr(10))) AS line"
    rows = f"SELECT string_to_array(line, chr(9), '{NULL}') FROM {line} OFFSET 0"  # noqa: S608  # names of ours
    source = f"SELECT {values} FROM ({rows}) AS rows (part)"  # noqa: S608  # names of ours
    return f"INSERT INTO {table.name} ({_names(table)}) {source} {_tail(table, key)}"


def _value(column: Column[Any], part: str) -> str:
    if isinstance(column.type, Text):
        return rf"replace(replace(replace({part}, '\t', chr(9)), '\n', chr(10)), '\s', '\')"
    kind = column.type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy's
    return f"CAST({part} AS {kind})"


@cache
def _sqlite_upsert(table: Table, key: tuple[str, ...]) -> str:
    # What the columns' types make of texts is what they are: a number of digits, a text of others.
    places = ", ".join("?" * len(table.c))
    return f"INSERT INTO {table.name} ({_names(table)}) VALUES ({places}) {_tail(table, key)}"  # noqa: S608  # names of ours


def _names(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.c)


def _tail(table: Table, key: tuple[str, ...]) -> str:
    names = [f'"{column.name}"' for column in table.c if column.name not in key]
    written = ", ".join(f"{name} = excluded.{name}" for name in names)
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {written}"


def _plain(part: str) -> str | None:
    if part == NULL:
        return None
    return part.replace(r"\t", "\t").replace(r"\n", "\n").replace(r"\s", "\\") if "\\" in part else part


def delete_ids(connection: Connection, table: Table, ids: Collection[str], column: str = "id") -> int:
    """Delete the rows whose ``column`` is one of the ids; answers how many."""
    if not ids:
        return 0
    where, wanted = _among(connection, column, "uuid", ids)
    return connection.execute(text(f"DELETE FROM {table.name} WHERE {where}"), {"wanted": wanted}).rowcount  # noqa: S608  # names of ours


def id_of(line: str) -> str:
    """The id of a line whose first column it is."""
    return line.partition("\t")[0]


def digest(lines: Iterable[tuple[str, Collection[str]]]) -> str:
    """128 bits, in hexadecimal, of the lines of each table, whatever their order."""
    found = blake2b(digest_size=16)
    for table, some in lines:
        found.update("\n".join([f"{table}\t{len(some)}", *sorted(some), ""]).encode())
    return found.hexdigest()
