"""Inboxes: the messages at their users' homes, handed over from the outboxes of the alerts' shards."""

from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select

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
from fms.shards.engine import reading, writing
from fms.shards.ownership import check_owned
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
        new = 0
        latest = list({m.notification_id: m for m in sorted(messages, key=lambda m: m.revision)}.values())
        for shard, some in self._router.split(latest, lambda message: slot_of_id(message.user_id)):
            with writing(shard.engine) as connection:
                check_owned(connection, {slot_of_id(message.user_id) for message in some})
                new += take_in(connection, some)
        for shard, some in self._router.split(latest, lambda message: slot_of_id(message.alert_id)):
            with writing(shard.engine) as connection:
                mark_handed_over(connection, some)
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
        users = select(notification.c.user_id).where(asked).distinct().order_by(notification.c.user_id)
        for shard in self._router.all():
            with reading(shard.engine) as connection:
                ids = connection.execute(users).scalars().all()
            if self._lease:
                yield from self._taken(shard, ids, now, asked, self._lease)
            else:
                yield from self._each(shard, ids, now)

    def _each(self, shard: Shard, ids: Sequence[UUID], now: int) -> Iterator[Inbox]:
        for user_id in ids:
            with reading(shard.engine) as connection:
                user = user_by_id(connection, user_id)
                inbox = user and read_inbox(connection, user, now)
            if inbox:
                yield inbox

    def _taken(
        self, shard: Shard, ids: Sequence[UUID], now: int, asked: ColumnElement[bool], lease: Lease
    ) -> Iterator[Inbox | Busy]:
        before: UUID | None = None
        for user_id in ids:
            with writing(shard.engine) as connection:
                check_owned(connection, [slot_of_id(user_id)])
                if before:
                    give_back(connection, before, lease)
                # Another worker may have told them everything since they were listed.
                left = exists().where(notification.c.user_id == user_id, asked)
                found: User | Busy | Inbox | None = take(connection, user_id, lease, self._clock(), left)
                if isinstance(found, User):
                    found = read_inbox(connection, found, now)
            before = None if isinstance(found, Busy) else user_id
            if found:
                yield found
        if before:
            with writing(shard.engine) as connection:
                give_back(connection, before, lease)

    def write(self, user_id: UUID, rows: Sequence[Notification], pushed: Pushed | None = None) -> None:
        """See Notifications."""
        slot = slot_of_id(user_id)
        with writing(self._router.of(slot).engine) as connection:
            check_owned(connection, [slot])
            if self._lease:
                keep(connection, user_id, self._lease, self._clock())
            write_rows(connection, rows, delivered=pushed is not None)
            if pushed:
                note_push(connection, user_id, pushed)

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


def _waiting(shard: Shard, after: UUID, before: UUID | None) -> list[Message]:
    with reading(shard.engine) as connection:
        return waiting_rows(connection, after, before, SWEPT_AT_ONCE)
