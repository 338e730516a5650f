"""One shard as of one moment, read in the order of its ids and a page at a time, for who verifies it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import Column, Connection, Engine, Row, Table, func, literal, select, tuple_

from fms.db.tables import alert, alert_window
from fms.errors import Fatal
from fms.shards.engine import reading, take_time
from fms.shards.ownership import READABLE, slot_owner, slot_pass

PAGE = 1_000
"""Rows of a table that are in memory at a time, of each shard."""

IDLE_MINUTES = 10
"""For so long a shard may have nothing to do while the others are read on."""

Read = Callable[[str, int], None]
"""Is told of a table, and how many rows more of it were read."""


class Unreadable(Fatal):
    """A row has something in it that is no value of its column."""


class Copy(NamedTuple):
    """What a shard has under one id: a row, or none; and with alerts their windows, by month."""

    id: UUID
    snapshot: "Snapshot"
    row: Row[Any] | None
    windows: Sequence[Row[Any]] = ()


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A shard at one moment.

    Attributes:
        name: of the shard.
        owners: its rows of ``slot_owner``, by slot.
        open_pass: whether its guard stands open.
        slots: of which rows are read; None: all.
        first_month: as ``month_of`` counts; windows of earlier months may have been dropped.
    """

    name: str
    owners: Mapping[int, Row[Any]]
    open_pass: bool
    slots: Sequence[int] | None
    first_month: int
    _connection: Connection
    _read: Read

    @classmethod
    @contextmanager
    def of(cls, name: str, engine: Engine, slots: Sequence[int] | None, first_month: int, read: Read) -> Iterator[Self]:
        """A shard as it is now, for the length of the block. Raises Transient or Fatal, also later."""
        with reading(engine) as connection:
            take_time(connection)
            if engine.dialect.name == "postgresql":
                idle = f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_MINUTES}min'"
                connection.exec_driver_sql(idle)
            owners = {row.slot: row for row in connection.execute(select(slot_owner))}
            passes = connection.execute(select(func.count()).select_from(slot_pass)).scalar_one()
            yield cls(name, owners, passes > 0, slots, first_month, connection, read)

    def state(self, slot: int) -> str | None:
        """The slot's state here; None: it was never here."""
        row = self.owners.get(slot)
        return None if row is None else row.state

    def owns(self, slot: int) -> bool:
        """Whether the slot's rows here are those that count."""
        return self.state(slot) in READABLE

    def copies(self, table: Table) -> Iterator[Copy]:
        """The rows of a table, by id; with alerts their windows, also those of no alert. Raises Unreadable."""
        if table is alert:
            yield from self._families()
        else:
            for row in self.rows(table, [table.c.id]):
                yield Copy(row.id, self, row)

    def _families(self) -> Iterator[Copy]:
        windows = self.rows(alert_window, [alert_window.c.alert_id, alert_window.c.month])
        families = ((key, list(some)) for key, some in groupby(windows, attrgetter("alert_id")))
        family = next(families, None)
        for row in self.rows(alert, [alert.c.id]):
            while family and family[0] < row.id:
                yield Copy(family[0], self, None, family[1])
                family = next(families, None)
            if family and family[0] == row.id:
                yield Copy(row.id, self, row, family[1])
                family = next(families, None)
            else:
                yield Copy(row.id, self, row)
        while family:
            yield Copy(family[0], self, None, family[1])
            family = next(families, None)

    def rows(self, table: Table, key: Sequence[Column[Any]], *others: Column[Any]) -> Iterator[Row[Any]]:
        """The rows of a table in the order of a unique key that has an index; with ``others`` only key and those."""
        query = select(*((*key, *others) if others else table.c)).order_by(*key).limit(PAGE)
        if self.slots is not None:
            query = query.where(table.c.slot.in_(self.slots))
        page: Sequence[Row[Any]] = ()
        while True:
            after = [page[-1]._mapping[column] for column in key] if page else None  # noqa: SLF001  # SQLAlchemy's public name
            behind = query if after is None else query.where(tuple_(*key) > _literals(key, after))
            try:
                page = self._connection.execute(behind).all()
            except ValueError as error:
                place = f"behind {_shown(after)}" if after else "at the beginning"
                raise Unreadable(
                    f"{table.name} in shard {self.name}: a row {place} cannot be read, and none after it was: {error}"
                ) from error
            self._read(table.name, len(page))
            yield from page
            if len(page) < PAGE:
                return


def _literals(key: Sequence[Column[Any]], values: Sequence[Any]) -> Any:
    return tuple_(*(literal(value, column.type) for column, value in zip(key, values, strict=True)))


def _shown(values: Sequence[Any]) -> str:
    return " ".join(map(str, values))
