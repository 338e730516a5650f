"""Alerts of some users, a book set by hand, and the two stages around the outbox."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from sqlalchemy import Column, select

from fms.db.alerts import AlertRows
from fms.db.leases import Lease
from fms.db.matching import SqlAlertLedger
from fms.db.memory.alerts import MemoryAlertRows
from fms.db.memory.matching import MemoryAlertLedger
from fms.db.memory.notifications import MemoryNotifications
from fms.db.memory.shard import MemoryShard
from fms.db.memory.users import MemoryUsers
from fms.db.notifications import SqlNotifications
from fms.db.tables import push, user_account
from fms.db.users import Users
from fms.model.alert import Alert
from fms.model.change import FELL
from fms.model.clock import Clock, system_clock
from fms.model.evaluation import KnownFare, evaluate
from fms.model.fare import Fare
from fms.model.notification import Notification, OutboxBatch, Push
from fms.ports import AlertLedger, Known, Notifications, Outcome, Question
from fms.shards.engine import reading
from fms.shards.router import Router
from fms.stages.match import Match
from fms.stages.notify import Notify
from tests.builders import MINT, alert, change, change_batch, series_of


@dataclass
class FakeBook:
    """A price book of fares set by hand, which can let something happen once before it answers."""

    fares: list[Fare] = field(default_factory=list)
    empty_dates: set[date] = field(default_factory=set)
    meanwhile: Callable[[], object] = bool

    def known(self, questions: Sequence[Question]) -> list[Known]:
        meanwhile, self.meanwhile = self.meanwhile, bool
        meanwhile()
        return [self._known(question.od) for question in questions]

    def _known(self, od: str) -> Known:
        found = [one for one in self.fares if one.od == od]
        dates = frozenset({one.departure_date for one in found} | self.empty_dates)
        return Known([KnownFare(series_of(one), one) for one in found], dates)

    def newest(self, ods: Sequence[str]) -> dict[str, int]:
        return {one.od: one.observed_at for one in self.fares if one.od in ods}


@dataclass
class Heard:
    """A channel that remembers, and can break."""

    pushes: list[Push] = field(default_factory=list)
    broken: bool = False

    def send(self, push: Push, now: int) -> None:
        if self.broken:
            raise ConnectionError
        self.pushes.append(push)


class Town(ABC):
    """Alerts of some users, a book, and the two stages around the outbox."""

    def __init__(
        self,
        rows: AlertRows | MemoryAlertRows,
        users: Users | MemoryUsers,
        ledger: AlertLedger,
        notifications: SqlNotifications | MemoryNotifications,
    ) -> None:
        self.rows = rows
        self.users = users
        self.book = FakeBook()
        self.heard = Heard()
        self.match = Match(ledger)
        self.notifications = notifications
        self.notify = self.notify_by(None)

    @abstractmethod
    def leasing(self, clock: Clock, lease: Lease | None) -> Notifications:
        """Outbox and inboxes as a worker with this lease sees them."""

    @abstractmethod
    def holders(self) -> list[str]:
        """Who has a user now."""

    @abstractmethod
    def pushes(self) -> list[int]:
        """When a push was told, each once."""

    def notify_by(self, kind: str | None) -> Notify:
        """The stage over the town; ``kind``: of its channel."""
        return Notify(self.notifications, self.rows, self.book, self.heard, MINT, kind=kind)

    def add(self, email: str = "me@example.org", **changes: Any) -> Alert:
        user = self.users.find_or_add(email)
        made = alert(user_id=user.id, **({"amount": 40_000} | changes))
        self.rows.add([replace(made, user=user.email)])
        self.evaluate()
        return made

    def evaluate(self) -> None:
        def judge(owed: Sequence[tuple[Alert, bool]]) -> list[Outcome]:
            return [judged(one, resumed) for one, resumed in owed]

        def judged(one: Alert, resumed: bool) -> Outcome:
            [known] = self.book.known([Question(one.criteria.od)])
            state, firing = evaluate(one, known.fares, None, resume=resumed)
            return Outcome(one, state, [firing] if firing else [])

        for messages in self.rows.evaluate_owed(judge):
            self.notify.process(OutboxBatch.of_messages(messages))

    def falls(self, **changes: Any) -> None:
        """A fare falls; the book knows it before anybody is told."""
        fell = change(FELL, 90_000, **changes)
        self.book.fares = [one for one in self.book.fares if series_of(one) != fell.series] + [fell.fare]
        self.notify.process(self.match.process(change_batch([fell])))

    def statuses(self) -> list[tuple[str, str]]:
        return [(row.message.ref, row.status) for row in self.notifications.all()]

    @property
    def told(self) -> list[Sequence[Notification]]:
        return [push.rows for push in self.heard.pushes]


class SqlTown(Town):
    """A town over databases."""

    def __init__(self, router: Router) -> None:
        self.router = router
        super().__init__(
            AlertRows(router, MINT, system_clock),
            Users(router, MINT, system_clock),
            SqlAlertLedger(router, MINT),
            SqlNotifications(router),
        )

    def leasing(self, clock: Clock, lease: Lease | None) -> Notifications:
        return SqlNotifications(self.router, clock, lease)

    def holders(self) -> list[str]:
        return [name for name in self._column(user_account.c.leased_by) if name is not None]

    def pushes(self) -> list[int]:
        return self._column(push.c.told_at)

    def _column(self, column: Column[Any]) -> list[Any]:
        found: list[Any] = []
        for shard in self.router.all():
            with reading(shard.engine) as connection:
                found += connection.execute(select(column)).scalars()
        return found


class MemoryTown(Town):
    """A town in memory."""

    def __init__(self) -> None:
        self._shard = shard = MemoryShard()
        super().__init__(
            MemoryAlertRows(shard, MINT, system_clock),
            MemoryUsers(shard, MINT),
            MemoryAlertLedger(shard, MINT),
            MemoryNotifications(shard),
        )

    def leasing(self, clock: Clock, lease: Lease | None) -> Notifications:
        return MemoryNotifications(self._shard, clock, lease)

    def holders(self) -> list[str]:
        return [leased.holder for leased in self._shard.leases.values()]

    def pushes(self) -> list[int]:
        return [pushed.told_at for _, pushed in self._shard.pushes.values()]
