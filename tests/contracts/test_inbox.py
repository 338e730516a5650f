"""From outbox to inbox to push: what is told, and what is not any more."""

from dataclasses import replace

import pytest

from fms.model.change import FELL
from fms.model.clock import HOUR_MS
from tests.builders import MONDAY, change, change_batch, fare
from tests.contracts.town import Town


@pytest.fixture
def town(any_town: Town) -> Town:
    return any_town


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
    assert list(town.notifications.waiting()) == []


def test_an_older_revision_that_comes_late_changes_nothing(town: Town) -> None:
    town.add()
    falls = [change(FELL, 90_000, price=39_000), change(FELL, 39_000, price=30_000, observed_at=MONDAY + 1)]
    first, second = (list(town.match.process(change_batch([fell])).rows()) for fell in falls)
    assert [town.notifications.hand_over(some) for some in (second, first)] == [1, 0]
    assert [row.message.revision for row in town.notifications.all()] == [2]


def test_a_message_that_was_never_handed_over_is_found_by_the_sweep(town: Town) -> None:
    town.add()
    town.match.process(change_batch([change(FELL, 90_000, price=39_000)]))
    town.notify.sweep()
    town.notify.deliver(MONDAY)
    assert town.statuses() == [("mine", "sent")]
    assert list(town.notifications.waiting()) == []


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
