"""Alerts of some users, a book set by hand, and the two stages around the outbox."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from fms.db.alerts import AlertRows
from fms.db.matching import SqlAlertLedger
from fms.db.notifications import SqlNotifications
from fms.db.users import Users
from fms.model.alert import Alert
from fms.model.change import FELL
from fms.model.clock import system_clock
from fms.model.evaluation import KnownFare, evaluate
from fms.model.fare import Fare
from fms.model.notification import Notification, OutboxBatch, Push
from fms.ports import Known, Outcome, Question
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


class Town:
    """Alerts of some users, a book, and the two stages around the outbox."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.rows = AlertRows(self.router, MINT, system_clock)
        self.users = Users(self.router, MINT, system_clock)
        self.book = FakeBook()
        self.heard = Heard()
        self.match = Match(SqlAlertLedger(self.router, MINT))
        self.notifications = SqlNotifications(self.router)
        self.notify = Notify(self.notifications, self.rows, self.book, self.heard, MINT)

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
