"""Inboxes: the messages at their users' homes, handed over from the outboxes of the alerts' shards."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, select

from fms.db.outbox import chunks, mark_handed_over, waiting_rows
from fms.db.rows import message_of, message_values
from fms.db.tables import notification, push, signed, unsigned
from fms.db.users import users_by_id
from fms.model.clock import DAY_MS
from fms.model.fare_document import fare_from_json, fare_to_json
from fms.model.ids import slot_of_id
from fms.model.notification import OPEN, PENDING, Message, Notification
from fms.ports import Inbox, Pushed
from fms.shards.engine import reading, writing
from fms.shards.ownership import check_owned
from fms.shards.router import Router

_TELLING = ("status", "release_at", "group_id", "told_at", "told_price")


class SqlNotifications:
    """Outbox and inboxes over every shard."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def hand_over(self, messages: Sequence[Message]) -> int:
        """See Notifications."""
        new = 0
        for shard, some in self._router.split(messages, lambda message: slot_of_id(message.user_id)):
            with writing(shard.engine) as connection:
                check_owned(connection, {slot_of_id(message.user_id) for message in some})
                new += _upsert(connection, some)
        for shard, some in self._router.split(messages, lambda message: slot_of_id(message.alert_id)):
            with writing(shard.engine) as connection:
                mark_handed_over(connection, some)
        return new

    def waiting(self) -> list[Message]:
        """See Notifications."""
        found: list[Message] = []
        for shard in self._router.all():
            with reading(shard.engine) as connection:
                found += waiting_rows(connection)
        return found

    def inboxes(self, statuses: Collection[str], now: int) -> Iterator[Inbox]:
        """See Notifications."""
        for shard in self._router.all():
            with reading(shard.engine) as connection:
                open_rows = select(notification.c.user_id).where(notification.c.status.in_(statuses)).distinct()
                users = users_by_id(connection, sorted(connection.execute(open_rows).scalars()))
            for user_id in users:
                with reading(shard.engine) as connection:
                    rows, told, pushes = _inbox(connection, user_id, now)
                yield Inbox(users[user_id], rows, told, pushes)

    def write(self, user_id: UUID, rows: Sequence[Notification], pushed: Pushed | None = None) -> None:
        """See Notifications."""
        slot = slot_of_id(user_id)
        with writing(self._router.of(slot).engine) as connection:
            check_owned(connection, [slot])
            _update(connection, [_telling(row) | {"row_id": row.message.notification_id} for row in rows])
            if pushed and not connection.execute(select(push.c.id).where(push.c.id == pushed.group_id)).first():
                row = {"id": pushed.group_id, "slot": slot, "user_id": user_id, "told_at": pushed.told_at}
                connection.execute(push.insert(), row)

    def all(self, user_id: UUID | None = None) -> list[Notification]:
        """All notifications, or one user's, by time of observation and ref."""
        query = (
            select(notification) if user_id is None else select(notification).where(notification.c.user_id == user_id)
        )
        found: list[Notification] = []
        for shard in self._router.all():
            with reading(shard.engine) as connection:
                found += map(notification_of, connection.execute(query))
        return sorted(found, key=lambda row: (row.message.fare.observed_at, row.message.ref, row.message.user))


def _upsert(connection: Connection, messages: Sequence[Message]) -> int:
    ids = [message.notification_id for message in messages]
    known: dict[UUID, int] = {}
    for some in chunks(ids):
        query = select(notification.c.id, notification.c.revision).where(notification.c.id.in_(some))
        known |= {row.id: row.revision for row in connection.execute(query)}
    fresh = {m.notification_id: m for m in messages if m.notification_id not in known}
    if fresh:
        common = {"status": PENDING, "version": 1}
        rows = [message_values(m) | common | {"slot": slot_of_id(m.user_id)} for m in fresh.values()]
        connection.execute(notification.insert(), rows)
    again = [m for m in messages if m.revision > known.get(m.notification_id, m.revision)]
    reopened = {"status": PENDING, "release_at": None, "group_id": None}
    _update(connection, [message_values(m) | reopened | {"row_id": m.notification_id} for m in again])
    return len(fresh)


def _update(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if rows:
        change = notification.update().where(notification.c.id == bindparam("row_id"))
        connection.execute(
            change.values(
                version=notification.c.version + 1, **{name: bindparam(name) for name in rows[0] if name != "row_id"}
            ),
            rows,
        )


def _inbox(
    connection: Connection, user_id: UUID, now: int
) -> tuple[list[Notification], Mapping[UUID, list[Notification]], list[int]]:
    mine = select(notification).where(notification.c.user_id == user_id)
    rows = connection.execute(mine.where(notification.c.status.in_(OPEN)).order_by(notification.c.id)).all()
    told: dict[UUID, list[Notification]] = defaultdict(list)
    for some in chunks(sorted({row.alert_id for row in rows})):
        query = mine.where(notification.c.alert_id.in_(some), notification.c.told_at.is_not(None))
        for row in connection.execute(query.order_by(notification.c.told_at.desc(), notification.c.id.desc())):
            told[row.alert_id].append(notification_of(row))
    recent = select(push.c.told_at).where(push.c.user_id == user_id, push.c.told_at > now - 2 * DAY_MS)
    return [notification_of(row) for row in rows], told, list(connection.execute(recent).scalars())


def notification_of(row: Row[Any]) -> Notification:
    """The notification of a row."""
    told = None if row.told is None else fare_from_json(row.told)
    series = None if row.told_series is None else unsigned(row.told_series)
    telling = {name: getattr(row, name) for name in _TELLING}
    return Notification(message=message_of(row), told=told, told_series=series, **telling)


def _telling(row: Notification) -> dict[str, Any]:
    told = None if row.told is None else fare_to_json(row.told)
    series = None if row.told_series is None else signed(row.told_series)
    return {name: getattr(row, name) for name in _TELLING} | {"told": told, "told_series": series}
