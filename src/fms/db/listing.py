"""A user's alerts, page by page, of all shards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from heapq import merge
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Connection, Row, and_, not_, or_, select, tuple_

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

STATES = ("learning", "armed", "fired", "paused", "expired")


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
        falling = sort.startswith("-")
        column = SORTS[sort.removeprefix("-")]
        query = select(alert).where(alert.c.user_id == user_id, is_owned(alert), *_conditions(wanted, today))
        if after is not None:
            place = tuple_(column, alert.c.id)
            query = query.where(place < after if falling else place > after)
        order = [one.desc() if falling else one.asc() for one in (column, alert.c.id)]
        query = query.order_by(*order).limit(limit + 1)

        def read(connection: Connection) -> Sequence[Row[Any]]:
            return connection.execute(query).all()

        key = _key_of(column)
        rows = list(islice(merge(*self._router.read_all(read), key=key, reverse=falling), limit + 1))
        more = key(rows[limit - 1]) if len(rows) > limit else None
        return Page([alert_of(row) for row in rows[:limit]], more)


def _key_of(column: Column[Any]) -> Callable[[Row[Any]], tuple[Any, UUID]]:
    place = alert.c.keys().index(column.name)
    return lambda row: (row[place], row.id)


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
