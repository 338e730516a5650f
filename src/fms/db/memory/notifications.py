"""Outbox and inboxes in memory."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from fms.db.memory.shard import Leased, MemoryShard
from fms.model.clock import DAY_MS, Clock, system_clock
from fms.model.ids import first_id
from fms.model.notification import OPEN, PENDING, Message, Notification
from fms.model.user import User
from fms.ports import Busy, Inbox, Overtaken, Pushed

if TYPE_CHECKING:
    from fms.db.leases import Lease


class MemoryNotifications:
    """The ``Notifications`` of a shard in memory; as ``fms.db.notifications.SqlNotifications``.

    Args:
        shard: keeps them.
        clock: UTC ms.
        lease: with which users are taken, where several tell at once; None: there is nobody else.
    """

    def __init__(self, shard: MemoryShard, clock: Clock = system_clock, lease: "Lease | None" = None) -> None:
        self._shard = shard
        self._clock = clock
        self._lease = lease

    def hand_over(self, messages: Sequence[Message]) -> int:
        """See Notifications."""
        new = self.take_in(messages)
        for message in messages:
            before = self._shard.handed_over.get(message.notification_id, 0)
            self._shard.handed_over[message.notification_id] = max(before, message.revision)
        return new

    def take_in(self, messages: Sequence[Message]) -> int:
        """The first half of ``hand_over``: the outbox does not know of it yet. Answers how many are new."""
        inbox, before = self._shard.inbox, len(self._shard.inbox)
        for message in messages:
            known = inbox.get(message.notification_id)
            if known is None:
                inbox[message.notification_id] = Notification(message)
            elif known.message.revision < message.revision:
                inbox[message.notification_id] = replace(
                    known, message=message, status=PENDING, release_at=None, group_id=None, read_at=None
                )
        return len(inbox) - before

    def waiting(self, older_than_ms: int = 0) -> Iterator[Sequence[Message]]:
        """See Notifications."""
        # Ids sort by the time at which they were made.
        before = first_id(self._clock() - older_than_ms) if older_than_ms else None
        handed_over = self._shard.handed_over
        found = [
            message
            for key, message in sorted(self._shard.outbox.items())
            if handed_over.get(key, 0) < message.revision and (before is None or key < before)
        ]
        if found:
            yield found

    def inboxes(self, statuses: Collection[str], now: int, *, due: bool = False) -> Iterator[Inbox | Busy]:
        """See Notifications."""

        def asked(row: Notification) -> bool:
            released = due and row.release_at is not None and row.release_at <= now
            return row.status in statuses or released

        listed = sorted({row.message.user_id for row in self._shard.inbox.values() if asked(row)})
        for user_id in listed:
            user = self._shard.users.get(user_id)
            # Another worker may have told them everything since they were listed.
            if user is None or (self._lease and not any(map(asked, self._rows_of(user_id)))):
                continue
            until = self._take(user_id)
            yield Busy(until) if until else self._inbox(user, now)
            if not until:
                self._give_back(user_id)

    def _take(self, user_id: UUID) -> int:
        """Take the user; or until when (UTC ms) somebody else has them."""
        if self._lease is None:
            return 0
        leased = self._shard.leases.get(user_id)
        if leased and leased.holder != self._lease.holder and leased.until > self._clock():
            return leased.until
        self._shard.leases[user_id] = Leased(self._lease.holder, self._clock() + self._lease.ms)
        return 0

    def _give_back(self, user_id: UUID) -> None:
        leased = self._shard.leases.get(user_id)
        if self._lease and leased and leased.holder == self._lease.holder:
            del self._shard.leases[user_id]

    def _inbox(self, user: User, now: int) -> Inbox:
        mine = self._rows_of(user.id)
        rows = [row for row in mine if row.status in OPEN]
        alerts = {row.message.alert_id for row in rows}
        told: dict[UUID, list[Notification]] = defaultdict(list)
        for row in sorted((row for row in mine if row.told_at is not None), key=_newest_first):
            if row.message.alert_id in alerts:
                told[row.message.alert_id].append(row)
        pushes = [
            pushed.told_at
            for user_id, pushed in self._shard.pushes.values()
            if user_id == user.id and pushed.told_at > now - 2 * DAY_MS
        ]
        return Inbox(user, rows, told, pushes)

    def _rows_of(self, user_id: UUID) -> list[Notification]:
        found = [row for row in self._shard.inbox.values() if row.message.user_id == user_id]
        return sorted(found, key=lambda row: row.message.notification_id)

    def write(self, user_id: UUID, rows: Sequence[Notification], pushed: Pushed | None = None) -> None:
        """See Notifications."""
        if self._lease:
            self._keep(user_id, self._lease)
        if pushed is None and not all(map(self._is_as_read, rows)):
            raise Overtaken("an alert fired again while it was judged")
        for row in rows:
            self._write(row)
        if pushed:
            self._shard.pushes.setdefault(pushed.group_id, (user_id, pushed))

    def _is_as_read(self, row: Notification) -> bool:
        now = self._shard.inbox.get(row.message.notification_id)
        return now is not None and now.message.revision == row.message.revision

    def _write(self, row: Notification) -> None:
        key = row.message.notification_id
        if self._is_as_read(row):
            self._shard.inbox[key] = row
        elif now := self._shard.inbox.get(key):
            told = row.told_at, row.told_price, row.told, row.told_series
            self._shard.inbox[key] = Notification(now.message, now.status, now.release_at, now.group_id, *told)

    def _keep(self, user_id: UUID, lease: "Lease") -> None:
        leased = self._shard.leases.get(user_id)
        if leased is None or leased.holder != lease.holder:
            raise Overtaken("the user is told by another worker", leased.until if leased else 0)
        self._shard.leases[user_id] = Leased(lease.holder, self._clock() + lease.ms)

    def all(self, user_id: UUID | None = None) -> list[Notification]:
        """All notifications, or one user's, by time of observation and ref."""
        found = [row for row in self._shard.inbox.values() if user_id is None or row.message.user_id == user_id]
        return sorted(found, key=lambda row: (row.message.fare.observed_at, row.message.ref, row.message.user))


def _newest_first(row: Notification) -> tuple[int, int]:
    return -(row.told_at or 0), -row.message.notification_id.int
