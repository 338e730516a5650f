"""Windows by month of departure: on PostgreSQL each month is a table of its own, so that a past one can be dropped."""

import re
from collections.abc import Iterable
from datetime import date

from sqlalchemy import Connection, Engine, text

from fms.db.migrate import lock_schema
from fms.model.alert import month_of
from fms.shards.engine import reading, writing
from fms.shards.router import Router

MONTHS_AHEAD = 14
"""How many months beyond the present one have a partition; windows of other months wait in the default one."""

_DEFAULT = "alert_window_default"
_NAME = re.compile(r"alert_window_(\d{4})_(\d{2})")


def prepare(router: Router, today: date) -> int:
    """Make the partitions that are missing in any shard; answers how many. Every worker does this when it starts."""
    return sum(len(make_partitions(shard.engine, today)) for shard in router.all())


def make_partitions(engine: Engine, today: date, months: int = MONTHS_AHEAD) -> list[int]:
    """Make the partitions of this month and the next ones; answers those made now, as ``month_of`` counts.

    Rows of theirs that wait in the default partition are moved. Of several that do this at once one does it. A row
    that is written into the default partition at that moment raises Transient there.
    """
    wanted = range(month_of(today), month_of(today) + months + 1)
    if engine.dialect.name != "postgresql" or not _missing(engine, wanted):
        return []
    with writing(engine) as connection:
        lock_schema(connection)
        missing = sorted(set(wanted) - set(_partitions(connection)))
        _make(connection, missing)
    return missing


def _missing(engine: Engine, wanted: Iterable[int]) -> set[int]:
    with reading(engine) as connection:
        return set(wanted) - set(_partitions(connection))


def _partitions(connection: Connection) -> dict[int, str]:
    """The tables of the months that have one."""
    children = (
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
        " WHERE inhparent = cast('alert_window' AS regclass)"
    )
    found = [_NAME.fullmatch(name) for name in connection.execute(text(children)).scalars()]
    return {int(name[1]) * 12 + int(name[2]) - 1: name[0] for name in found if name}


def _make(connection: Connection, months: Iterable[int]) -> None:
    # Attached, not made as parts: that would lock the whole table. Attaching wants the default partition to itself and
    # no row of the new one left in it; locked before the rows are looked for, nobody writes another one meanwhile.
    connection.exec_driver_sql(f"LOCK TABLE {_DEFAULT} IN ACCESS EXCLUSIVE MODE")
    for month in months:
        name = f"alert_window_{month // 12:04}_{month % 12 + 1:02}"
        connection.exec_driver_sql(
            f"CREATE TABLE {name} (LIKE alert_window INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = 80)"
        )
        connection.exec_driver_sql(
            f"WITH moved AS (DELETE FROM {_DEFAULT} WHERE month = {month} RETURNING *)"  # noqa: S608  # no input
            f" INSERT INTO {name} SELECT * FROM moved"
        )
        connection.exec_driver_sql(f"ALTER TABLE alert_window ATTACH PARTITION {name} FOR VALUES IN ({month})")


def drop_partitions(engine: Engine, before: int) -> list[int]:
    """Drop the partitions of the months before ``before``, with their windows; answers those dropped."""
    if engine.dialect.name != "postgresql":
        return []
    with reading(engine) as connection:
        past = any(month < before for month in _partitions(connection))
    return _drop(engine, before) if past else []


def _drop(engine: Engine, before: int) -> list[int]:
    with writing(engine) as connection:
        lock_schema(connection)
        # Everybody who asks for windows waits behind us: better to give up and come again.
        connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        past = {month: name for month, name in _partitions(connection).items() if month < before}
        for name in past.values():
            connection.exec_driver_sql(f"DROP TABLE {name}")
    return sorted(past)


def partitioned_months(engine: Engine) -> set[int]:
    """The months that have a partition, as ``month_of`` counts; none on SQLite."""
    if engine.dialect.name != "postgresql":
        return set()
    with reading(engine) as connection:
        return set(_partitions(connection))


def rows_in_default(engine: Engine) -> int:
    """How many windows wait in the default partition; 0 on SQLite, which has none."""
    if engine.dialect.name != "postgresql":
        return 0
    with reading(engine) as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {_DEFAULT}").scalar_one())  # noqa: S608  # no input
