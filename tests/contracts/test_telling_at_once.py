"""Several workers that tell: a user hears of everything once, whoever is slow, frozen or broken."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from fms.db.leases import Lease, take
from fms.errors import Transient
from fms.model.alert import Alert
from fms.model.clock import HOUR_MS
from fms.model.notification import Push
from fms.stages.notify import Notify
from tests.builders import MINT, MONDAY, fare
from tests.contracts.town import SqlTown, Town

LEASE_MS = 60_000


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: int = MONDAY

    def __call__(self) -> int:
        return self.now


@dataclass
class Interrupted:
    """A channel that lets something happen just before its first push is delivered, and breaks for some users."""

    town: Town
    meanwhile: Callable[[], object] = bool
    breaks_for: set[str] = field(default_factory=set)

    def send(self, sent: Push, now: int) -> None:
        meanwhile, self.meanwhile = self.meanwhile, bool
        meanwhile()
        if sent.user.email in self.breaks_for:
            raise Transient("the channel is down")
        self.town.heard.send(sent, now)


@dataclass
class Office:
    """A town whose users are told by several workers that share a clock."""

    town: Town
    clock: Clock
    channel: Interrupted

    def worker(self, name: str | None) -> Notify:
        notifications = self.town.leasing(self.clock, None if name is None else Lease(name, LEASE_MS))
        return Notify(notifications, self.town.rows, self.town.book, self.channel, MINT)


@pytest.fixture
def office(any_town: Town) -> Office:
    return Office(any_town, Clock(), Interrupted(any_town))


@pytest.fixture
def sql_office(town: SqlTown) -> Office:
    return Office(town, Clock(), Interrupted(town))


def freeze_past_the_lease(office: Office, other: Notify) -> Callable[[], object]:
    def meanwhile() -> None:
        office.clock.now += LEASE_MS
        other.deliver(MONDAY + HOUR_MS)

    return meanwhile


def test_two_workers_at_one_user_send_one_push(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    one, two = office.worker("one"), office.worker("two")
    one.sweep()
    answers: list[int | None] = []
    office.channel.meanwhile = lambda: answers.append(two.deliver(MONDAY))
    assert one.deliver(MONDAY) is None
    assert answers == [MONDAY + LEASE_MS], "the other is told when to come again"
    assert len(office.town.heard.pushes) == 1
    assert (office.town.statuses(), office.town.holders()) == ([("mine", "sent")], [])


def test_a_telling_that_is_put_aside_between_two_users_goes_on_with_those_who_are_left(office: Office) -> None:
    for name in "abc":
        office.town.add(f"{name}@example.org")
    office.town.falls(price=39_000)
    one = office.worker("one")
    one.sweep()
    steps = one.telling(MONDAY)
    next(steps)
    assert len(office.town.heard.pushes) == 1
    office.town.falls(price=30_000, observed_at=MONDAY + 1)
    office.clock.now += LEASE_MS
    assert len(list(steps)) == 2
    assert sorted(push.user.email for push in office.town.heard.pushes) == [f"{name}@example.org" for name in "abc"]
    assert office.town.holders() == []


def test_without_the_lease_they_send_two(sql_office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_anyway(connection: Connection, user_id: UUID, lease: Lease, now: int, *others: Any) -> object:
        return take(connection, user_id, lease, now + LEASE_MS, *others)

    monkeypatch.setattr("fms.db.notifications.take", take_anyway)
    sql_office.town.add()
    sql_office.town.falls(price=39_000)
    one, two = sql_office.worker("one"), sql_office.worker("two")
    one.sweep()
    sql_office.channel.meanwhile = lambda: two.deliver(MONDAY)
    one.deliver(MONDAY)
    assert len(sql_office.town.heard.pushes) == 2


def test_a_worker_that_was_frozen_while_it_judged_writes_and_sends_nothing(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    one, two = office.worker("one"), office.worker("two")
    one.sweep()
    office.town.book.meanwhile = freeze_past_the_lease(office, two)
    assert one.deliver(MONDAY) == 0, "nobody has the user any more"
    [row] = office.town.notifications.all()
    assert (row.status, row.told_at, office.town.pushes()) == ("sent", MONDAY + HOUR_MS, [MONDAY + HOUR_MS])
    assert len(office.town.heard.pushes) == 1
    assert one.deliver(MONDAY) is None


def test_without_the_lease_in_what_is_written_it_tells_again(
    sql_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fms.db.notifications.keep", lambda *_anybody: None)
    sql_office.town.add()
    sql_office.town.falls(price=39_000)
    one, two = sql_office.worker("one"), sql_office.worker("two")
    one.sweep()
    sql_office.town.book.meanwhile = freeze_past_the_lease(sql_office, two)
    one.deliver(MONDAY)
    assert len(sql_office.town.heard.pushes) == 2


def test_a_worker_that_was_frozen_while_it_sent_leaves_what_the_other_wrote(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    one, two = office.worker("one"), office.worker("two")
    one.sweep()
    office.channel.meanwhile = freeze_past_the_lease(office, two)
    one.deliver(MONDAY)
    [row] = office.town.notifications.all()
    assert (row.status, row.told_at, office.town.pushes()) == ("sent", MONDAY + HOUR_MS, [MONDAY + HOUR_MS])
    first, second = office.town.heard.pushes
    assert first.group_id == second.group_id == row.group_id, "for the user it is one push"


def test_a_user_whom_another_worker_has_is_left_out_and_the_others_are_told(office: Office) -> None:
    for user in ("first", "second", "third"):
        office.town.add(f"{user}@example.org", ref=user)
    office.town.falls(price=39_000)
    one, two = office.worker("one"), office.worker("two")
    one.sweep()
    told_by_two: list[int] = []

    def meanwhile() -> None:
        two.deliver(MONDAY)
        told_by_two.append(len(office.town.heard.pushes))

    office.channel.meanwhile = meanwhile
    one.deliver(MONDAY)
    assert told_by_two == [2]
    assert len(office.town.heard.pushes) == 3
    assert {status for _, status in office.town.statuses()} == {"sent"}


def test_a_lease_is_given_back_and_another_worker_goes_on_at_once(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    office.worker("one").sweep()
    assert office.worker("one").deliver(MONDAY) is None
    office.town.falls(price=30_000, observed_at=MONDAY + HOUR_MS)
    office.worker("two").sweep()
    assert office.worker("two").deliver(MONDAY + HOUR_MS) is None
    assert [row.told_price for row in office.town.notifications.all()] == [39_000, 30_000]


def test_what_a_dead_worker_was_sending_is_sent_under_the_same_id_once_its_lease_has_run_out(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    dead, alive = office.worker("dead"), office.worker("alive")
    dead.sweep()
    office.town.heard.broken = True
    with pytest.raises(ConnectionError):
        dead.deliver(MONDAY)
    office.town.heard.broken = False
    [row] = office.town.notifications.all()
    assert (alive.deliver(MONDAY), office.town.heard.pushes) == (MONDAY + LEASE_MS, [])
    office.clock.now += LEASE_MS
    assert alive.deliver(MONDAY) is None
    assert [sent.group_id for sent in office.town.heard.pushes] == [row.group_id]
    assert office.town.statuses() == [("mine", "sent")]


def test_a_worker_takes_up_its_own_lease_again(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    one = office.worker("one")
    one.sweep()
    office.town.heard.broken = True
    with pytest.raises(ConnectionError):
        one.deliver(MONDAY)
    office.town.heard.broken = False
    assert one.deliver(MONDAY) is None
    assert office.town.statuses() == [("mine", "sent")]


@pytest.mark.parametrize("name", [None, "one"])
def test_a_channel_that_fails_for_one_user_is_heard_by_the_others(office: Office, name: str | None) -> None:
    for user in ("first", "second", "third"):
        office.town.add(f"{user}@example.org", ref=user)
    office.town.falls(price=39_000)
    worker = office.worker(name)
    worker.sweep()
    office.channel.breaks_for = {"second@example.org"}
    with pytest.raises(Transient, match="the channel is down"):
        worker.deliver(MONDAY)
    assert sorted(office.town.statuses()) == [("first", "sent"), ("second", "sending"), ("third", "sent")]
    assert (worker.counts["sent"], worker.counts["sending"]) == (2, 1)
    [broken] = [row.group_id for row in office.town.notifications.all() if row.status == "sending"]
    office.channel.breaks_for = set()
    assert worker.deliver(MONDAY) is None
    assert office.town.heard.pushes[-1].group_id == broken
    assert {status for _, status in office.town.statuses()} == {"sent"}


def test_nothing_more_is_decided_for_a_user_while_a_push_of_theirs_is_unfinished(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    worker = office.worker("one")
    worker.sweep()
    office.channel.breaks_for = {"me@example.org"}
    for hour in (0, 1):
        with pytest.raises(Transient):
            worker.deliver(MONDAY + hour * HOUR_MS)
        office.town.falls(price=38_900, observed_at=MONDAY + HOUR_MS)
        office.town.notify.sweep()
    assert office.town.statuses() == [("mine", "sending")]


def falls_again(office: Office) -> Callable[[], object]:
    def meanwhile() -> None:
        office.town.falls(price=30_000, observed_at=MONDAY + 1)
        office.town.notify.sweep()

    return meanwhile


def test_an_alert_that_fires_again_while_it_is_judged_is_told_with_what_fired_last(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    worker = office.worker("one")
    worker.sweep()
    office.town.book.meanwhile = falls_again(office)
    assert worker.deliver(MONDAY) == 0, "come again at once"
    assert (office.town.statuses(), office.town.heard.pushes) == ([("mine", "pending")], [])
    assert worker.deliver(MONDAY) is None
    assert [[row.message.fare.price for row in sent.rows] for sent in office.town.heard.pushes] == [[30_000]]


def test_an_alert_that_fires_again_while_it_is_told_is_told_again_and_the_first_telling_counts(office: Office) -> None:
    office.town.add()
    office.town.falls(price=39_000)
    worker = office.worker("one")
    worker.sweep()
    office.channel.meanwhile = falls_again(office)
    worker.deliver(MONDAY)
    [row] = office.town.notifications.all()
    assert (row.status, row.message.revision, row.told_price, row.told_at) == ("pending", 2, 39_000, MONDAY)
    office.town.book.fares = [fare(price=38_500)]
    worker.deliver(MONDAY + 1)
    assert office.town.statuses() == [("mine", "cooling")], "hardly cheaper than what was told a moment ago"


def test_a_quick_look_finds_what_is_due_and_a_full_one_what_is_held_no_longer(office: Office) -> None:
    town, worker = office.town, office.worker("one")
    town.add(ref="mine")
    town.users.change(replace(town.users.find("me@example.org"), snoozed_until=MONDAY + HOUR_MS))
    town.falls(price=39_000)
    worker.sweep()
    worker.deliver(MONDAY, everybody=False)
    assert town.statuses() == [("mine", "held")]
    town.users.change(replace(town.users.find("me@example.org"), snoozed_until=None))
    worker.deliver(MONDAY + HOUR_MS - 1, everybody=False)
    assert town.statuses() == [("mine", "held")]
    worker.deliver(MONDAY + HOUR_MS - 1)
    assert town.statuses() == [("mine", "sent")]


def test_a_quick_look_finds_a_row_whose_hold_ends(office: Office) -> None:
    town, worker = office.town, office.worker("one")
    town.add()
    town.users.change(replace(town.users.find("me@example.org"), snoozed_until=MONDAY + HOUR_MS))
    town.falls(price=39_000)
    worker.sweep()
    worker.deliver(MONDAY, everybody=False)
    worker.deliver(MONDAY + HOUR_MS, everybody=False)
    assert town.statuses() == [("mine", "sent")]


def test_a_message_at_a_time_is_in_the_inbox_when_it_is_processed(office: Office) -> None:
    town = office.town
    town.add()
    worker = Notify(town.notifications, town.rows, town.book, town.heard, MINT, at_once=1)
    town.notify = worker
    town.falls(price=39_000)
    assert town.statuses() == [("mine", "pending")]
    assert worker.counts["notifications"] == 1


def test_a_sweep_leaves_alone_what_may_still_be_on_its_way(office: Office) -> None:
    made: Alert = office.town.add()
    office.town.falls(price=39_000)
    worker = office.worker("one")
    [born] = [(message.notification_id.int >> 80) for some in worker._notifications.waiting() for message in some]
    office.clock.now = born + 60_000
    worker.sweep(60_000)
    assert office.town.statuses() == []
    office.clock.now += 1
    worker.sweep(60_000)
    assert office.town.statuses() == [(made.ref, "pending")]
    assert list(worker._notifications.waiting()) == []
