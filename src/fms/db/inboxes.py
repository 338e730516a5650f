"""One user's inbox: read with all that telling depends on, and written when it was judged or told."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from fms.db.given import by_index, insert_rows, rows_by, update_rows
from fms.db.rows import MESSAGE_COLUMNS, message_of, message_values
from fms.db.tables import notification, push, signed, unsigned
from fms.model.clock import DAY_MS
from fms.model.fare_document import fare_from_json, fare_to_json
from fms.model.ids import slot_of_id
from fms.model.notification import OPEN, PENDING, Message, Notification
from fms.model.user import User
from fms.ports import Inbox, Overtaken, Pushed

_TELLING = ("status", "release_at", "group_id", "told_at", "told_price")
_AFRESH = {"status": PENDING, "release_at": None, "group_id": None, "read_at": None}
_TOLD = ("told_at", "told_price", "told", "told_series")

_RAISE_VERSION = "version = notification.version + 1"
_TAKEN_IN = ", ".join(f'"{name}" = excluded."{name}"' for name in (*MESSAGE_COLUMNS, *_AFRESH))
_OR_RAISE = (
    f"ON CONFLICT (id) DO UPDATE SET {_TAKEN_IN}, {_RAISE_VERSION}"
    " WHERE notification.revision < excluded.revision RETURNING notification.version"
)


def asks(statuses: Collection[str], due: int | None) -> ColumnElement[bool]:
    """Whether a row has one of the statuses, or waits to be judged again at ``due`` (UTC ms) or before."""
    asked = notification.c.status.in_(statuses)
    return asked if due is None else or_(asked, notification.c.release_at <= due)


def read_inbox(connection: Connection, user: User, now: int) -> Inbox:
    """Everything about the user that telling at ``now`` (UTC ms) depends on."""
    mine = select(notification).where(notification.c.user_id == user.id)
    rows = connection.execute(mine.where(notification.c.status.in_(OPEN)).order_by(notification.c.id)).all()
    recent = select(push.c.told_at).where(push.c.user_id == user.id, push.c.told_at > now - 2 * DAY_MS)
    pushes = list(connection.execute(recent).scalars())
    return Inbox(user, [notification_of(row) for row in rows], _told(connection, user, rows), pushes)


def _told(connection: Connection, user: User, rows: Sequence[Row[Any]]) -> dict[UUID, list[Notification]]:
    """What was told earlier of the rows' alerts."""
    alerts = sorted({row.alert_id for row in rows})
    by_index(connection)
    earlier = rows_by(connection, notification, {"user_id": [user.id] * len(alerts), "alert_id": alerts})
    told: dict[UUID, list[Notification]] = defaultdict(list)
    for row in sorted((row for row in earlier if row.told_at is not None), key=_newest_first):
        told[row.alert_id].append(notification_of(row))
    return told


def _newest_first(row: Row[Any]) -> tuple[int, int]:
    return -row.told_at, -row.id.int


def notification_of(row: Row[Any]) -> Notification:
    """The notification of a row."""
    told = None if row.told is None else fare_from_json(row.told)
    series = None if row.told_series is None else unsigned(row.told_series)
    telling = {name: getattr(row, name) for name in _TELLING}
    return Notification(message=message_of(row), told=told, told_series=series, read_at=row.read_at, **telling)


def _telling(row: Notification) -> dict[str, Any]:
    told = None if row.told is None else fare_to_json(row.told)
    series = None if row.told_series is None else signed(row.told_series)
    return {name: getattr(row, name) for name in _TELLING} | {"told": told, "told_series": series}


def write_rows(connection: Connection, rows: Sequence[Notification], *, delivered: bool) -> None:
    """Write rows as they were judged or, if ``delivered``, told; one that was raised meanwhile stays to be judged.

    Of a raised row only what was told is written; raises Overtaken if nothing was delivered yet.
    """
    if not rows:
        return
    values = [
        _telling(row) | {"id": row.message.notification_id, "revision": row.message.revision}
        for row in sorted(rows, key=lambda row: row.message.notification_id)
    ]
    by_index(connection)
    written = update_rows(connection, notification, values, ("id", "revision"), also=_RAISE_VERSION)
    if written == len(rows):
        return
    if not delivered:
        raise Overtaken("an alert fired again while it was judged")
    told = [{name: row[name] for name in ("id", *_TOLD)} for row in values]
    update_rows(connection, notification, told, also=_RAISE_VERSION)


def note_push(connection: Connection, user_id: UUID, pushed: Pushed) -> None:
    """Remember a push; one that was sent again is remembered once."""
    if not connection.execute(select(push.c.id).where(push.c.id == pushed.group_id)).first():
        row = {"id": pushed.group_id, "slot": slot_of_id(user_id), "user_id": user_id, "told_at": pushed.told_at}
        connection.execute(push.insert(), row)


def take_in(connection: Connection, messages: Sequence[Message]) -> int:
    """Insert messages; a known one is written over by a higher revision, judged afresh, and unread.

    Answers how many are new. No two messages have one id. Of two who do this at once the higher revision stays,
    whoever comes first.
    """
    own = _AFRESH | {"version": 1}
    by_id = sorted(messages, key=lambda message: message.notification_id)
    rows = [message_values(message) | own | {"slot": slot_of_id(message.user_id)} for message in by_id]
    versions = insert_rows(connection, notification, rows, _OR_RAISE).scalars()
    return sum(version == 1 for version in versions)
