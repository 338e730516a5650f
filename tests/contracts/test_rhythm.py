"""When a user is told: rhythm, quiet hours, caps and snooze, and what a crash leaves unfinished."""

from dataclasses import replace

import pytest

from fms.model.clock import DAY_MS, HOUR_MS
from tests.builders import MONDAY, change, change_batch, fare
from tests.contracts.town import Town


@pytest.fixture
def town(any_town: Town) -> Town:
    return any_town


def test_within_a_day_an_alert_is_told_again_if_five_per_cent_cheaper(town: Town) -> None:
    town.add(amount=40_000)
    town.falls(price=40_000)
    town.notify.deliver(MONDAY)
    town.falls(price=38_001, observed_at=MONDAY + HOUR_MS)
    town.falls(price=38_000, observed_at=MONDAY + 2 * HOUR_MS)
    town.notify.deliver(MONDAY + 2 * HOUR_MS)
    assert [row.told_price for row in town.notifications.all()] == [40_000, 38_000]


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


def test_the_daily_cap_counts_every_push_also_of_one_row_raised_again_and_again(town: Town) -> None:
    town.add(amount=90_000)
    town.users.change(replace(town.users.find("me@example.org"), daily_cap=2))
    for minute, price in enumerate((80_000, 70_000, 60_000, 50_000)):
        town.falls(price=price, observed_at=MONDAY + minute)
        town.notify.deliver(MONDAY + minute)
    assert [row.status for row in town.notifications.all()] == ["held"]
    assert len(town.told) == 2


def test_what_a_crash_left_unfinished_counts_as_told_when_the_next_is_judged(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.heard.broken = True
    with pytest.raises(ConnectionError):
        town.notify.deliver(MONDAY)
    town.heard.broken = False
    town.notify.process(town.match.process(change_batch([change(3, 39_000, observed_at=MONDAY + HOUR_MS)])))
    town.falls(price=38_500, observed_at=MONDAY + 2 * HOUR_MS)
    town.notify.deliver(MONDAY + 2 * HOUR_MS)
    assert town.statuses() == [("mine", "sent"), ("mine", "cooling")]


def test_a_hold_that_is_lifted_early_holds_no_longer(town: Town) -> None:
    town.add()
    user = town.users.find("me@example.org")
    town.users.change(replace(user, snoozed_until=MONDAY + 9 * DAY_MS))
    town.falls(price=39_000)
    town.notify.deliver(MONDAY)
    assert town.statuses() == [("mine", "held")]
    town.users.change(replace(town.users.find("me@example.org"), snoozed_until=None))
    town.notify.deliver(MONDAY)
    assert town.statuses() == [("mine", "sent")]


def test_a_fare_that_has_departed_is_not_told_also_if_its_page_is_gone(town: Town) -> None:
    town.add()
    town.falls(price=39_000)
    town.book.fares = []
    town.notify.deliver(MONDAY + 40 * DAY_MS)
    assert (town.told, town.statuses()) == ([], [("mine", "gone")])


@pytest.mark.parametrize(
    ("channels", "heard"), [(None, 1), (("console",), 1), (("mail", "console"), 1), (("mail",), 0), ((), 0)]
)
def test_who_does_not_want_a_channel_finds_what_is_told_in_the_inbox_only(
    town: Town, channels: tuple[str, ...] | None, heard: int
) -> None:
    town.add(amount=40_000)
    user = town.users.find("me@example.org")
    town.users.change(replace(user, channels=channels))
    town.falls(price=40_000)
    notify = town.notify_by("console")
    notify.sweep()
    notify.deliver(MONDAY)
    assert town.statuses() == [("mine", "sent")]
    assert len(town.told) == heard
