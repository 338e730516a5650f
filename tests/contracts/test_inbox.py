"""From outbox to inbox to push: what is told, what is not any more, and when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fms.db.alerts import AlertRows
from fms.db.local import open_router
from fms.db.matching import SqlAlertLedger
from fms.db.notifications import SqlNotifications
from fms.db.users import Users
from fms.model.alert import Alert
from fms.model.change import FELL
from fms.model.clock import DAY_MS, HOUR_MS, system_clock
from fms.model.evaluation import KnownFare, evaluate
from fms.model.fare import Fare
from fms.model.notification import Notification, OutboxBatch, Push
from fms.ports import Known, Outcome, Question
from fms.stages.match import Match
from fms.stages.notify import Notify
from tests.builders import MINT, MONDAY, alert, change, change_batch, fare, series_of


@dataclass
class FakeBook:
    """A price book of fares set by hand."""

    fares: list[Fare] = field(default_factory=list)
    empty_dates: set[date] = field(default_factory=set)

    def known(self, questions: Sequence[Question]) -> list[Known]:
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

    def __init__(self, data: Path, shards: int) -> None:
        self.router = open_router(data, shards)
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


@pytest.fixture(params=[1, 2])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, request.param)
    yield made
    made.router.close()


def test_what_fired_is_told_once(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    town.notify.deliver(MONDAY)
    [[row]] = town.told
    assert (row.message.fare.price, row.told and row.told.price) == (39_000, 39_000)
    assert town.statuses() == [("mine", "sent")]


def test_a_message_handed_over_twice_is_one_row(town: Town) -> None:
    town.add()
    messages = list(town.match.process(change_batch([change(FELL, 90_000, price=39_000)])).rows())
    assert [town.notifications.hand_over(messages) for _ in range(2)] == [1, 0]
    assert town.statuses() == [("mine", "pending")]


def test_two_revisions_handed_over_at_once_are_the_later_one(town: Town) -> None:
    town.add()
    falls = [change(FELL, 90_000, price=39_000), change(FELL, 39_000, price=30_000, observed_at=MONDAY + 1)]
    messages = [message for fell in falls for message in town.match.process(change_batch([fell])).rows()]
    assert town.notifications.hand_over(messages) == 1
    [row] = town.notifications.all()
    assert (row.message.revision, row.message.fare.price) == (2, 30_000)
    assert town.notifications.waiting() == []


def test_an_older_revision_that_comes_late_changes_nothing(town: Town) -> None:
    town.add()
    falls = [change(FELL, 90_000, price=39_000), change(FELL, 39_000, price=30_000, observed_at=MONDAY + 1)]
    first, second = (list(town.match.process(change_batch([fell])).rows()) for fell in falls)
    assert [town.notifications.hand_over(some) for some in (second, first)] == [1, 0]
    assert [row.message.revision for row in town.notifications.all()] == [2]


def test_a_message_that_was_never_handed_over_is_found_by_the_sweep(town: Town) -> None:
    town.add()
    town.match.process(change_batch([change(FELL, 90_000, price=39_000)]))
    town.notify.deliver(MONDAY)
    assert town.statuses() == [("mine", "sent")]
    assert town.notifications.waiting() == []


def test_the_best_fare_is_shown_also_if_another_one_fired(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.book.fares.append(fare(price=35_000, outbound_flights=("BA112",)))
    town.notify.deliver(MONDAY)
    [[row]] = town.told
    assert row.told is not None
    assert (row.told.price, row.told.outbound_flights) == (35_000, ("BA112",))


def test_a_fare_that_is_gone_is_not_told_and_stays_in_the_inbox(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.book.fares = [fare(price=41_000)]
    town.notify.deliver(MONDAY)
    assert (town.told, town.statuses()) == ([], [("mine", "gone")])


def test_a_page_that_is_missing_is_not_gone(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.book.fares = []
    town.notify.deliver(MONDAY)
    [[row]] = town.told
    assert row.told == row.message.fare


def test_a_page_that_is_empty_is_gone(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.book.fares, town.book.empty_dates = [], {fare().departure_date}
    town.notify.deliver(MONDAY)
    assert town.statuses() == [("mine", "gone")]


def test_only_the_newest_firing_of_an_alert_is_told(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.falls(price=30_000, observed_at=MONDAY + HOUR_MS)
    town.notify.deliver(MONDAY + HOUR_MS)
    assert town.statuses() == [("mine", "superseded"), ("mine", "sent")]
    assert [row.message.fare.price for rows in town.told for row in rows] == [30_000]


def test_one_user_hears_of_everything_in_one_push_the_best_first(town: Town) -> None:
    for n in range(4):
        town.add(ref=f"alert-{n}", amount=40_000 + 1_000 * n)
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    [rows] = town.told
    assert [row.message.ref for row in rows] == ["alert-3", "alert-2", "alert-1", "alert-0"]


def test_two_users_hear_apart(town: Town) -> None:
    town.add("one@example.org")
    town.add("two@example.org")
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    assert sorted(push.user.email for push in town.heard.pushes) == ["one@example.org", "two@example.org"]


@pytest.mark.parametrize("end", ["delete", "pause", "edit"])
def test_what_was_not_told_yet_of_an_ended_alert_is_cancelled(town: Town, end: str) -> None:
    made = town.add()
    town.falls(price=39_000)
    if end == "delete":
        town.rows.delete(made.id)
    else:
        changes = {"paused": True} if end == "pause" else {"edition": 2, "amount": 1}
        town.rows.change(made.id, lambda now: replace(now, **changes), owed=end == "edit")
        town.evaluate()
    town.notify.deliver(MONDAY)
    assert (town.told, town.statuses()) == ([], [("mine", "cancelled")])


def test_within_a_day_an_alert_is_told_again_only_if_five_per_cent_cheaper(town: Town) -> None:
    made = town.add(kind="drop_amount", amount=100)
    town.falls(price=50_000)
    town.rows.change(made.id, lambda now: replace(now, kind="target", amount=40_000), owed=True)
    town.evaluate()
    town.falls(price=40_000, observed_at=MONDAY + HOUR_MS)
    town.notify.deliver(MONDAY + HOUR_MS)
    town.falls(price=38_001, observed_at=MONDAY + 2 * HOUR_MS)
    assert len(town.told) == 1, "the trigger is 38000 now"
    town.falls(price=38_000, observed_at=MONDAY + 3 * HOUR_MS)
    town.notify.deliver(MONDAY + 3 * HOUR_MS)
    assert [row.told_price for row in town.notifications.all() if row.status == "sent"] == [40_000, 38_000]


def test_a_second_telling_that_is_hardly_cheaper_cools_for_a_day_and_is_then_judged_again(town: Town) -> None:
    town.add(kind="target", amount=40_000)
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    town.notify.process(town.match.process(change_batch([change(3, 39_000, observed_at=MONDAY + HOUR_MS)])))
    town.falls(price=38_500, observed_at=MONDAY + 2 * HOUR_MS)
    town.notify.deliver(MONDAY + 2 * HOUR_MS)
    assert town.statuses() == [("mine", "sent"), ("mine", "cooling")]
    town.notify.deliver(MONDAY + DAY_MS - 1)
    assert town.statuses()[1] == ("mine", "cooling")
    town.notify.deliver(MONDAY + DAY_MS)
    assert town.statuses()[1] == ("mine", "sent")
    assert len(town.told) == 2


def test_a_cooling_row_whose_fare_is_gone_when_it_is_released_is_not_told(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    town.notify.process(town.match.process(change_batch([change(3, 39_000, observed_at=MONDAY + HOUR_MS)])))
    town.falls(price=38_500, observed_at=MONDAY + 2 * HOUR_MS)
    town.notify.deliver(MONDAY + 2 * HOUR_MS)
    town.book.fares = [fare(price=60_000)]
    town.notify.deliver(MONDAY + DAY_MS)
    assert town.statuses()[1] == ("mine", "gone")


def test_a_fare_already_told_is_not_told_again_by_a_resume(town: Town) -> None:
    made = town.add()
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    town.rows.change(made.id, lambda now: replace(now, paused=True), owed=False)
    town.rows.change(made.id, lambda now: replace(now, paused=False, edition=2), resumed=True)
    town.book.fares = [fare(price=39_000, observed_at=MONDAY + 2 * DAY_MS)]
    town.evaluate()
    town.notify.deliver(MONDAY + 2 * DAY_MS)
    assert town.statuses() == [("mine", "sent"), ("mine", "already_told")]


def test_quiet_hours_hold_and_release(town: Town) -> None:
    town.add()
    user = town.users.find("me@example.org")
    town.users.change(replace(user, quiet_from=22 * 60, quiet_to=7 * 60))
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    assert town.statuses() == [("mine", "held")]
    town.notify.deliver(MONDAY + 7 * HOUR_MS - 1)
    assert town.told == []
    town.notify.deliver(MONDAY + 7 * HOUR_MS)
    assert town.statuses() == [("mine", "sent")]


def test_the_daily_cap_holds_the_next_push_until_midnight(town: Town) -> None:
    town.add(ref="first")
    town.add(ref="second", amount=20_000)
    town.users.change(replace(town.users.find("me@example.org"), daily_cap=1))
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    town.falls(price=20_000, observed_at=MONDAY + HOUR_MS)
    town.notify.deliver(MONDAY + HOUR_MS)
    assert [status for ref, status in town.statuses() if ref == "second"] == ["held"]
    town.notify.deliver(MONDAY + DAY_MS)
    assert [status for ref, status in town.statuses() if ref == "second"] == ["sent"]


def test_a_snoozed_alert_is_held_and_told_afterwards(town: Town) -> None:
    made = town.add()
    town.rows.change(made.id, lambda now: replace(now, snoozed_until=MONDAY + DAY_MS), owed=False)
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    assert town.statuses() == [("mine", "held")]
    town.notify.deliver(MONDAY + DAY_MS)
    assert town.statuses() == [("mine", "sent")]


def test_a_push_that_broke_is_sent_again_under_the_same_id(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.heard.broken = True
    with pytest.raises(ConnectionError):
        town.notify.deliver(MONDAY)
    [row] = town.notifications.all()
    assert row.status == "sending"
    town.heard.broken = False
    town.notify.deliver(MONDAY)
    [push] = town.heard.pushes
    assert push.group_id == row.group_id
    assert town.statuses() == [("mine", "sent")]


def test_a_row_raised_after_it_was_told_is_judged_again(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    town.falls(price=30_000, observed_at=MONDAY + 1_000)
    town.notify.deliver(MONDAY + 1_000)
    assert [row.told_price for row in town.notifications.all()] == [30_000]
    assert len(town.told) == 2
