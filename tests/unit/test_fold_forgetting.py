"""What an alert makes of a price book that may have forgotten: what the fold does, and what match gives it to fold."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fms.model.alert import Alert, AlertState
from fms.model.change import FELL, FIRST_SEEN, GONE, KNOWN, OPENED, ROSE, Change
from fms.model.clock import DAY_MS, HOUR_MS, days_of
from fms.model.fold import fold
from fms.model.notification import Message
from fms.ports import Outcome, Probe
from fms.stages.match import Match
from tests.builders import FARE, MONDAY, alert, change, change_batch, series_of

HOLDER = series_of(FARE)
FIRED = MONDAY + HOUR_MS


def fired(**state: Any) -> Alert:
    """An alert on 400 USD that fired at 380 for BA178 of 1 December, an hour after Monday began."""
    usual: dict[str, Any] = {
        "threshold": 40_000, "trigger": 36_100, "holder": HOLDER, "holder_departure": days_of(FARE.departure_date),
        "fired_at": FIRED, "fired_price": 38_000,
    }  # fmt: skip
    return alert(state=AlertState(**(usual | state)))


def opened(at: int = FIRED + 1, **given: Any) -> Change:
    return replace(change(OPENED, observed_at=at, **given), series=0)


def other(kind: int = FIRST_SEEN, at: int = FIRED + 1, **given: Any) -> Change:
    """A change of another flight of the same page, above the target."""
    usual: dict[str, Any] = {"price": 50_000, "observed_at": at, "outbound_flights": ("BA1",)}
    return change(kind, **(usual | given))


def own(kind: int, price: int = 50_000, at: int = FIRED + 1, old_price: int | None = None) -> Change:
    """A change of the holder."""
    return change(kind, old_price, price=price, observed_at=at)


def holds(one: Alert, *changes: Change) -> bool:
    return fold(one, changes)[0].holder is not None


def test_opening_the_holders_page_arms_the_alert_again() -> None:
    state, firings = fold(fired(), [opened()])
    assert (state.holder, state.trigger, state.armed_since, firings) == (None, 40_000, FIRED + 1, [])


def test_a_page_that_has_forgotten_the_firing_arms_the_alert_from_its_firing_on() -> None:
    state, firings = fold(fired(), [opened(FIRED - HOUR_MS), other(price=39_000, at=FIRED - HOUR_MS)])
    assert (state.holder, state.armed_since, firings) == (None, FIRED, [])


def test_an_alert_that_was_judged_after_its_page_opened_stays_as_it_is() -> None:
    assert holds(fired(armed_since=FIRED), opened(FIRED))
    assert not holds(fired(armed_since=FIRED - 1), opened(FIRED))


def test_opening_another_page_does_nothing() -> None:
    assert holds(fired(), opened(departure_date=FARE.departure_date + timedelta(1)))


def test_opening_a_page_is_no_sign_that_the_holder_departed() -> None:
    late = (days_of(FARE.departure_date) + 1) * DAY_MS
    assert holds(fired(), opened(late, departure_date=FARE.departure_date + timedelta(9)))


def test_what_is_known_does_nothing() -> None:
    late = (days_of(FARE.departure_date) + 1) * DAY_MS
    assert holds(fired(), own(KNOWN, at=late))


def test_a_holder_first_seen_over_two_percent_above_the_target_arms_the_alert_again() -> None:
    assert holds(fired(), own(FIRST_SEEN, 40_800))
    assert not holds(fired(), own(FIRST_SEEN, 40_801))


def test_a_holder_first_seen_before_it_fired_says_nothing() -> None:
    assert holds(fired(), own(FIRST_SEEN, 50_000, at=FIRED))


def test_a_new_low_that_has_stood_for_a_day_is_kept_when_its_page_opens() -> None:
    low = replace(fired(threshold=40_000, trigger=37_620), kind="new_low", amount=0)
    assert fold(low, [opened(FIRED + DAY_MS)])[0].threshold == 37_620
    assert fold(low, [opened(FIRED - DAY_MS)])[0].threshold == 40_000


class Ledger:
    """The alerts of a test; remembers what it was asked."""

    def __init__(self, *alerts: Alert) -> None:
        self.alerts = {one.id: one for one in alerts}
        self.probe = Probe([], [], [])

    def candidates(self, probe: Probe) -> list[Alert]:
        self.probe = probe
        return list(self.alerts.values())

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        for outcome in outcomes:
            self.alerts[outcome.alert.id] = replace(outcome.alert, state=outcome.state)
        return [], []


def matched(one: Alert, *changes: Change) -> AlertState:
    """The alert's state after a batch of changes."""
    ledger = Ledger(one)
    Match(ledger).process(change_batch(list(changes)))
    return ledger.alerts[one.id].state


def test_a_holder_of_which_an_opened_page_says_nothing_is_lost() -> None:
    assert matched(fired(), opened(), other()).holder is None


def test_a_holder_that_is_gone_from_an_opened_page_is_lost_whenever_it_was_seen_last() -> None:
    assert matched(fired(), opened(), own(GONE, at=FIRED - 1), other()).holder is None


@pytest.mark.parametrize("kind", [FIRST_SEEN, KNOWN, FELL, ROSE])
def test_a_holder_of_which_an_opened_page_says_something_is_not_lost(kind: int) -> None:
    assert matched(fired(), opened(), own(kind, 40_500), other()).holder == HOLDER


def test_a_lost_holder_makes_room_for_what_is_seen_with_it() -> None:
    state = matched(fired(), opened(), other(price=39_000))
    assert (state.holder, state.fired_price) == (series_of(other().fare), 39_000)


def test_a_holder_far_above_the_target_in_an_opened_page_makes_room_for_what_is_first_seen_with_it() -> None:
    state = matched(fired(), opened(), other(price=39_000), own(FIRST_SEEN, 50_000))
    assert (state.holder, state.fired_price) == (series_of(other().fare), 39_000)


def test_a_holder_first_seen_far_above_the_target_ends_though_nobody_wants_its_price() -> None:
    assert matched(fired(), opened(), own(FIRST_SEEN, 50_000, old_price=38_000)).holder is None


def test_a_batch_that_is_delivered_again_changes_nothing() -> None:
    batch = (opened(), other(price=39_000))
    once = matched(fired(), *batch)
    assert (once.holder, once.fired_price) == (series_of(other().fare), 39_000)
    assert matched(alert(state=once), *batch) == once


def test_what_is_known_of_many_days_later_does_not_move_an_alert() -> None:
    late = (days_of(FARE.departure_date) + 1) * DAY_MS
    far = {"departure_date": FARE.departure_date + timedelta(30)}
    assert matched(fired(), opened(late, **far), other(KNOWN, late, **far)).holder == HOLDER


def test_shards_are_asked_for_pages_that_open_and_for_holders_in_doubt() -> None:
    ledger = Ledger()
    plain, doubted, known = other(), own(FIRST_SEEN, old_price=38_000), other(KNOWN, outbound_flights=("BA3",))
    gone = other(GONE, outbound_flights=("BA4",))
    Match(ledger).process(change_batch([opened(), known, gone, plain, doubted]))
    assert list(ledger.probe.pages) == [("JFK-LHR", days_of(FARE.departure_date))]
    assert set(ledger.probe.holders) == {("JFK-LHR", HOLDER), ("JFK-LHR", gone.series)}
    assert {price for *_, price in ledger.probe.wishes} == {50_000}


def test_an_armed_alert_minds_no_opened_page() -> None:
    armed = alert(state=AlertState(threshold=40_000, trigger=40_000))
    assert matched(armed, opened(), other()) == armed.state


def test_a_fare_that_fires_in_a_page_that_opened_with_it_holds() -> None:
    armed = alert(state=AlertState(threshold=40_000, trigger=40_000))
    state = matched(armed, opened(), own(FIRST_SEEN, 38_000))
    assert (state.holder, state.trigger) == (HOLDER, 36_100)
