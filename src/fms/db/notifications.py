"""Inboxes: the messages at their users' homes, handed over from the outboxes of the alerts' shards."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, exists, select

from fms.db.inboxes import asks, note_push, notification_of, read_inbox, take_in, write_rows
from fms.db.leases import Lease, give_back, keep, take
from fms.db.outbox import mark_handed_over, waiting_rows
from fms.db.tables import notification
from fms.db.users import user_by_id
from fms.model.clock import Clock, system_clock
from fms.model.ids import first_id, slot_of_id
from fms.model.notification import Message, Notification
from fms.model.user import User
from fms.ports import Busy, Inbox, Pushed
from fms.shards.engine import reading
from fms.shards.ownership import WRITABLE, is_owned
from fms.shards.router import Router, Shard

SWEPT_AT_ONCE = 1_000
"""Messages that a sweep takes at a time."""


class SqlNotifications:
    """Outbox and inboxes over every shard.

    Args:
        router: the shards.
        clock: of this machine.
        lease: with which users are taken, where several tell at once; None: there is nobody else.
    """

    def __init__(self, router: Router, clock: Clock = system_clock, lease: Lease | None = None) -> None:
        self._router = router
        self._clock = clock
        self._lease = lease

    def hand_over(self, messages: Sequence[Message]) -> int:
        """See Notifications."""
        latest = list({m.notification_id: m for m in sorted(messages, key=lambda m: m.revision)}.values())
        new = sum(self._router.write_each(latest, lambda message: slot_of_id(message.user_id), take_in))
        self._router.write_each(latest, lambda message: slot_of_id(message.alert_id), mark_handed_over)
        return new

    def waiting(self, older_than_ms: int = 0) -> Iterator[Sequence[Message]]:
        """See Notifications."""
        # Ids sort by the time at which they were made.
        before = first_id(self._clock() - older_than_ms) if older_than_ms else None
        for shard in self._router.all():
            after = first_id(0)
            while some := _waiting(shard, after, before):
                yield some
                after = some[-1].notification_id

    def inboxes(self, statuses: Collection[str], now: int, *, due: bool = False) -> Iterator[Inbox | Busy]:
        """See Notifications."""
        asked = asks(statuses, now if due else None)
        here = is_owned(notification, WRITABLE)
        users = select(notification.c.user_id).where(asked, here).distinct().order_by(notification.c.user_id)
        for shard in self._router.all():
            with reading(shard.engine) as connection:
                ids = connection.execute(users).scalars().all()
            if self._lease:
                yield from self._taken(ids, now, asked, self._lease)
            else:
                yield from self._each(ids, now)

    def _each(self, ids: Sequence[UUID], now: int) -> Iterator[Inbox]:
        for user_id in ids:
            if inbox := self._router.read(slot_of_id(user_id), partial(_inbox_of, user_id, now)):
                yield inbox

    def _taken(self, ids: Sequence[UUID], now: int, asked: ColumnElement[bool], lease: Lease) -> Iterator[Inbox | Busy]:
        before: UUID | None = None
        for user_id in ids:
            # Another worker may have told them everything since they were listed.
            left = exists().where(notification.c.user_id == user_id, asked)

            def step(
                connection: Connection, users: Sequence[UUID], who: UUID = user_id, left: ColumnElement[bool] = left
            ) -> Inbox | Busy | None:
                # The one before is given back in the same transaction if they live in the same shard.
                for other in set(users) - {who}:
                    give_back(connection, other, lease)
                found = take(connection, who, lease, self._clock(), left) if who in users else None
                return read_inbox(connection, found, now) if isinstance(found, User) else found

            answers = self._router.write_each([user_id, *([before] if before else [])], slot_of_id, step)
            found = next((one for one in answers if one), None)
            before = user_id if isinstance(found, Inbox) else None
            if found:
                yield found
        if before:
            given_back = before
            self._router.write(slot_of_id(given_back), lambda connection: give_back(connection, given_back, lease))

    def write(self, user_id: UUID, rows: Sequence[Notification], pushed: Pushed | None = None) -> None:
        """See Notifications."""

        def write(connection: Connection) -> None:
            if self._lease:
                keep(connection, user_id, self._lease, self._clock())
            write_rows(connection, rows, delivered=pushed is not None)
            if pushed:
                note_push(connection, user_id, pushed)

        self._router.write(slot_of_id(user_id), write)

    def all(self, user_id: UUID | None = None) -> list[Notification]:
        """All notifications, or one user's, by time of observation and ref."""
        query = select(notification).where(is_owned(notification))
        if user_id is not None:
            query = query.where(notification.c.user_id == user_id)
        answers = self._router.read_all(lambda connection: connection.execute(query).all())
        found = [notification_of(row) for rows in answers for row in rows]
        return sorted(found, key=lambda row: (row.message.fare.observed_at, row.message.ref, row.message.user))


def _inbox_of(user_id: UUID, now: int, connection: Connection) -> Inbox | None:
    user = user_by_id(connection, user_id)
    return None if user is None else read_inbox(connection, user, now)


def _waiting(shard: Shard, after: UUID, before: UUID | None) -> list[Message]:
    with reading(shard.engine) as connection:
        return waiting_rows(connection, after, before, SWEPT_AT_ONCE)
