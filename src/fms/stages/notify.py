"""Notify: one push per user, with what is still true at the moment of telling."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from uuid import UUID

from fms.errors import Transient
from fms.model.alert import Alert
from fms.model.ids import IdMint, slot_of_id
from fms.model.notification import COOLING, HELD, OPEN, PENDING, SENDING, SENT, Message, Notification, OutboxBatch, Push
from fms.model.user import User, held_until
from fms.ports import AlertLookup, Busy, Channel, Inbox, KnownFares, Notifications, Overtaken, Pushed, Question
from fms.stages.telling import best_first, cancelled, is_void, judge, newest_first, superseded

HANDED_OVER_AT_ONCE = 1_000
"""Messages that go to the inboxes together: a transaction in each shard costs more than a message."""


class Notify:
    """Messages in; pushes out, when ``deliver`` is called.

    Args:
        notifications: outbox and inboxes.
        alerts: the alerts as they are at the moment of telling.
        fares: the price book.
        channel: how users hear.
        mint: makes the ids of pushes.
        at_once: so many messages are handed over together; 1: every batch at once, before ``process`` answers.
        kind: of the channel, one of ``CHANNELS``: users who do not want it find what is told in the inbox only. None:
            it is everybody's.
    """

    def __init__(
        self,
        notifications: Notifications,
        alerts: AlertLookup,
        fares: KnownFares,
        channel: Channel,
        mint: IdMint,
        *,
        at_once: int = HANDED_OVER_AT_ONCE,
        kind: str | None = None,
    ) -> None:
        self._notifications = notifications
        self._alerts = alerts
        self._fares = fares
        self._channel = channel
        self._mint = mint
        self._at_once = at_once
        self._kind = kind
        self._taken: list[Message] = []
        self.counts: Counter[str] = Counter()

    def process(self, batch: OutboxBatch) -> OutboxBatch:
        """Take messages for their users' inboxes, where they arrive some at a time; answers them.

        Twice is as good as once. What is lost here in a crash waits in the outbox, where ``sweep`` finds it.
        """
        self._taken += batch.rows()
        if len(self._taken) >= self._at_once:
            self._hand_over()
        return batch

    def settle(self) -> None:
        """Nothing is left to do: the outbox has the messages until the inboxes have them."""

    def _hand_over(self) -> None:
        taken, self._taken = self._taken, []
        if taken:
            self.counts["notifications"] += self._notifications.hand_over(taken)

    def sweep(self, older_than_ms: int = 0) -> None:
        """Take over what the outboxes still hold: its message was lost, or has been on its way for longer than so."""
        self._hand_over()
        for messages in self._notifications.waiting(older_than_ms):
            self.counts["notifications"] += self._notifications.hand_over(messages)

    def deliver(self, now: int, *, everybody: bool = True) -> int | None:
        """Judge every row that is due, and push what is still true: one push per user. All of ``telling`` at once.

        Answers when to come again for a user whom somebody else is telling, or whose alert fired again meanwhile, UTC
        ms by the clock; None: nobody was left out.
        """
        turn = _Turn()
        for _ in self._tell(now, turn, everybody=everybody):
            pass
        return turn.again

    def telling(self, now: int, *, everybody: bool = True) -> Iterator[None]:
        """The steps of ``deliver``, a user each; whoever is left out is told by the next one.

        Args:
            now: UTC ms; a replay gives its newest observation. It must not run backwards from one call to the next.
            everybody: also those for whom nothing is due: a hold may have been lifted.

        At its end it raises the first Transient of the channel, after all the others have heard: what broke off is sent
        again by the next one.

        The intent is committed before anything is sent, so that after a crash the same push is sent again under the
        same id, and no other.
        """
        return self._tell(now, _Turn(), everybody=everybody)

    def _tell(self, now: int, turn: "_Turn", *, everybody: bool) -> Iterator[None]:
        self._hand_over()
        unfinished = _Turn()
        for inbox in unfinished.free(self._notifications.inboxes((SENDING,), now)):
            with unfinished.overtaken():
                self._send(inbox.user, [row for row in inbox.rows if row.status == SENDING], now, turn)
            yield
        # Judged only now: what a crash had left unfinished is among what was told. Whoever is still busy is seen again.
        some = self._notifications.inboxes(OPEN if everybody else (PENDING, SENDING), now, due=not everybody)
        for inbox in turn.free(some):
            with turn.overtaken():
                self._deliver_inbox(inbox, now, turn)
            yield
        if turn.failure:
            raise turn.failure

    def _deliver_inbox(self, inbox: Inbox, now: int, turn: "_Turn") -> None:
        if any(row.status == SENDING for row in inbox.rows):
            turn.leave_out(0)
            return
        judged = list(self._judged(inbox, now))
        changed = [row for row in judged if row.status != SENDING]
        to_tell = [row for row in judged if row.status == SENDING]
        if to_tell and (until := held_until(inbox.user, now, list(inbox.pushes))):
            changed += [replace(row, status=HELD, release_at=until) for row in to_tell]
            to_tell = []
        group = self._mint.new(slot_of_id(inbox.user.id)) if to_tell else None
        to_tell = [replace(row, group_id=group) for row in to_tell]
        if judged:
            self._notifications.write(inbox.user.id, [*changed, *to_tell])
        self.counts.update(row.status for row in changed)
        self._send(inbox.user, to_tell, now, turn)

    def _judged(self, inbox: Inbox, now: int) -> Iterator[Notification]:
        """The rows whose fate is decided now; those that go on waiting are left out."""
        by_alert: dict[UUID, list[Notification]] = defaultdict(list)
        for row in inbox.rows:
            by_alert[row.message.alert_id].append(row)
        alerts = self._alerts.many(list(by_alert))
        due: list[tuple[Alert, Notification]] = []
        for alert_id, rows in by_alert.items():
            alert = alerts.get(alert_id)
            yield from (cancelled(row) for row in rows if is_void(row, alert))
            valid = newest_first([row for row in rows if not is_void(row, alert)])
            yield from map(superseded, valid[1:])
            # A hold may have been lifted; a row that cools down waits for its time.
            if alert and valid and (valid[0].status != COOLING or (valid[0].release_at or now) <= now):
                due.append((alert, valid[0]))
        known = self._fares.known([_question(alert, row) for alert, row in due])
        for (alert, row), found in zip(due, known, strict=True):
            yield judge(row, alert, inbox.told.get(alert.id, ()), found, now).applied_to(row)

    def _send(self, user: User, rows: list[Notification], now: int, turn: "_Turn") -> None:
        for push in _pushes(user, rows):
            try:
                if self._kind is None or user.channels is None or self._kind in user.channels:
                    self._channel.send(push, now)
            except Transient as error:
                turn.failure = turn.failure or error
                self.counts[SENDING] += len(push.rows)
            else:
                self._note(push, now)

    def _note(self, push: Push, now: int) -> None:
        sent = [
            replace(row, status=SENT, told_at=now, told_price=(row.told or row.message.fare).price) for row in push.rows
        ]
        self._notifications.write(push.user.id, sent, Pushed(push.group_id, now))
        self.counts[SENT] += len(sent)
        self.counts["pushes"] += 1


@dataclass
class _Turn:
    """One look at the inboxes, and what it leaves for the next.

    Attributes:
        again: when to come again for users who were left out, UTC ms.
        failure: the first of the channel's.
    """

    again: int | None = None
    failure: Transient | None = None

    def free(self, found: Iterable[Inbox | Busy]) -> Iterator[Inbox]:
        """The users whom nobody else is telling."""
        for one in found:
            if isinstance(one, Busy):
                self.leave_out(one.until)
            else:
                yield one

    @contextmanager
    def overtaken(self) -> Iterator[None]:
        """Leave out a user who was overtaken."""
        try:
            yield
        except Overtaken as error:
            self.leave_out(error.until)

    def leave_out(self, until: int) -> None:
        """A user can be told at ``until`` (UTC ms) at the latest."""
        self.again = until if self.again is None else min(self.again, until)


def _pushes(user: User, rows: list[Notification]) -> Iterator[Push]:
    """The pushes that rows with the intent to be sent belong to."""
    in_groups = sorted(rows, key=lambda row: str(row.group_id))
    for group_id, group in groupby(in_groups, key=lambda row: row.group_id):
        if group_id is not None:
            yield Push(group_id, user, best_first(list(group)))


def _question(alert: Alert, row: Notification) -> Question:
    want = alert.criteria
    return Question(want.od, want.depart_from, want.depart_to, want.market, row.message.trigger)
