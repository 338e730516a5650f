"""A user's alerts, page by page, of all shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from heapq import merge
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Text, and_, not_, or_, select, tuple_

from fms.db.rows import alert_of
from fms.db.tables import alert
from fms.model.alert import Alert
from fms.shards.ownership import is_owned
from fms.shards.router import Router

SORTS: Mapping[str, Column[Any]] = {
    "created": alert.c.id,
    "route": alert.c.od,
    "departure": alert.c.depart_from,
    "ref": alert.c.ref,
}
"""By what a list can be sorted; with a minus before it the other way round."""


@dataclass(frozen=True)
class Filter:
    """Which alerts; None: any."""

    state: str | None = None
    kind: str | None = None
    origin: str | None = None
    destination: str | None = None
    ref: str | None = None


@dataclass(frozen=True)
class Page:
    """Some alerts, and where the next page begins; None: there is none."""

    alerts: Sequence[Alert]
    after: tuple[Any, UUID] | None


class AlertPages:
    """Lists alerts."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def page(
        self, user_id: UUID, wanted: Filter, sort: str, *, limit: int, after: tuple[Any, UUID] | None, today: date
    ) -> Page:
        """The first alerts of a user after a place.

        Args:
            user_id: whose.
            wanted: which of them.
            sort: one of ``SORTS``, perhaps with a minus before it; of equals the one with the lesser id comes first.
            limit: at most so many.
            after: the sort's column and the id of the last one before the page; None: from the first on.
            today: decides which have expired.
        """
        order = _Order(SORTS[sort.removeprefix("-")], falling=sort.startswith("-"))
        mine = alert.c.user_id == user_id, is_owned(alert), *_conditions(wanted, today)
        shards = len(self._router.all())
        # A shard has its share of them, mostly; if it has more, all are asked for what may be wanted of them at most.
        for most in (limit * 2 // shards + 8, limit + 1):

            def read(connection: Connection, most: int = most) -> Sequence[Row[Any]]:
                return connection.execute(order.query(mine, after, most, connection.dialect.name)).all()

            parts = self._router.read_all(read)
            rows = list(islice(merge(*parts, key=order.key, reverse=order.falling), limit + 1))
            if most > limit or not any(order.may_lack(part, rows, limit) for part in parts if len(part) == most):
                break
        more = order.key(rows[limit - 1]) if len(rows) > limit else None
        return Page([alert_of(row) for row in rows[:limit]], more)


@dataclass(frozen=True)
class _Order:
    """By what column rows are sorted, and then by id, and whether the greatest comes first."""

    column: Column[Any]
    falling: bool

    def query(
        self, which: Sequence[ColumnElement[bool]], after: tuple[Any, UUID] | None, most: int, dialect: str
    ) -> Select[Any]:
        """So many rows after a place."""
        # As bytes: every shard's order must be the one in which they are merged.
        text = isinstance(self.column.type, Text) and dialect == "postgresql"
        columns = [self.column.collate("C") if text else self.column, alert.c.id]
        query = select(alert).where(*which)
        if after is not None:
            place = tuple_(*columns)
            query = query.where(place < after if self.falling else place > after)
        return query.order_by(*[one.desc() if self.falling else one.asc() for one in columns]).limit(most)

    def key(self, row: Row[Any]) -> tuple[Any, UUID]:
        """A row's place."""
        return row[alert.c.keys().index(self.column.name)], row.id

    def may_lack(self, part: Sequence[Row[Any]], rows: Sequence[Row[Any]], limit: int) -> bool:
        """Whether what a shard was not asked for may belong among the rows: what it gave was used up."""
        if len(rows) <= limit:
            return True
        last, end = self.key(part[-1]), self.key(rows[-1])
        return last > end if self.falling else last < end


def _conditions(wanted: Filter, today: date) -> list[ColumnElement[bool]]:
    conditions = [alert.c[name] == value for name in ("kind", "ref") if (value := getattr(wanted, name)) is not None]
    if wanted.origin is not None:
        conditions.append(alert.c.od.startswith(f"{wanted.origin}-", autoescape=True))
    if wanted.destination is not None:
        conditions.append(alert.c.od.endswith(f"-{wanted.destination}", autoescape=True))
    if wanted.state is not None:
        conditions.append(_in_state(wanted.state, today))
    return conditions


def _in_state(state: str, today: date) -> ColumnElement[bool]:
    """As ``Alert.shown_state``, in SQL."""
    paused, expired = alert.c.paused, alert.c.depart_to < today
    learning, fired = alert.c.trigger.is_(None), alert.c.holder.is_not(None)
    if state == "paused":
        return paused
    if state == "expired":
        return and_(not_(paused), expired)
    living = not_(or_(paused, expired))
    if state == "learning":
        return and_(living, learning)
    return and_(living, not_(learning), fired if state == "fired" else not_(fired))
