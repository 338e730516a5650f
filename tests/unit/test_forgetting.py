"""Whatever a price book forgets, and whenever: no change that matters is hidden, and no alert is held by nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from fms.model.alert import Alert, AlertState
from fms.model.change import FELL, FIRST_SEEN, ROSE, Change
from fms.model.clock import HOUR_MS, date_of, days_of
from fms.model.fare import Fare, FareBatch
from fms.model.notification import Message
from fms.model.page import Entries, decode_pages, page_key
from fms.ports import Outcome, PageStore, Probe
from fms.pricebook.memory import MemoryPageStore
from fms.stages.diff import Diff
from fms.stages.match import Match
from tests.builders import CRITERIA, FARE, MONDAY, alert
from tests.forgetful import ForgetfulPageStore

DAYS = [FARE.departure_date + timedelta(n) for n in range(2)]
PRICES = st.sampled_from([9_000, 9_900, 10_300])
FARES = st.builds(
    lambda day, brand, price: replace(FARE, departure_date=day, fare_brand=brand, price=price),
    st.sampled_from(DAYS), st.sampled_from(["light", "flex"]), PRICES,
)  # fmt: skip
EVENTS = st.sampled_from(["nothing", "save", "go back", "restart", "lose all", "lose one"])
STEPS = st.lists(
    st.tuples(st.sampled_from([1, 6, 30, 80]), st.lists(FARES, min_size=1, max_size=4), EVENTS), min_size=4, max_size=12
)


class Ledger:
    """Alerts by id, found by nothing but what the probe says."""

    def __init__(self, alerts: Sequence[Alert]) -> None:
        self.alerts: dict[UUID, Alert] = {one.id: one for one in alerts}

    def candidates(self, probe: Probe) -> list[Alert]:
        return [one for one in self.alerts.values() if asked_for(one, probe)]

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        for outcome in outcomes:
            self.alerts[outcome.alert.id] = replace(outcome.alert, state=outcome.state)
        return [], []


def asked_for(one: Alert, probe: Probe) -> bool:
    want, state = one.criteria, one.state
    first, last = days_of(want.depart_from), days_of(want.depart_to)
    wished = any(
        market == want.market and first <= day <= last and (state.trigger is None or state.trigger >= price)
        for _, market, day, price in probe.wishes
    )
    if state.holder is None or state.holder_departure is None:
        return wished
    held = (want.od, state.holder) in probe.holders
    departed = any(state.holder_departure < day for _, day in probe.days)
    return wished or held or departed or (want.od, state.holder_departure) in probe.pages


class Site:
    """A price book and the alerts over it."""

    def __init__(self, store: PageStore, alerts: Sequence[Alert]) -> None:
        self.store = store
        self.ledger = Ledger(alerts)
        self._diff, self._match = Diff(store), Match(self.ledger)

    def see(self, fares: Sequence[Fare]) -> list[Change]:
        changes = self._diff.process(FareBatch.of_fares(fares))
        self._match.process(changes)
        self._diff.settle()
        return list(changes.rows())

    def page(self, day: int) -> Entries:
        key = page_key("JFK-LHR", day)
        _, (page,) = self.store.get(0, [key])
        return decode_pages([key], [page or b""])[0]

    def check(self, seen: Sequence[Fare]) -> None:
        """What holds an alert is in the book, and not known to cost too much, if its page was just seen."""
        touched = {days_of(fare.departure_date) for fare in seen}
        for one in self.ledger.alerts.values():
            state = one.state
            if state.holder is None or state.holder_departure not in touched:
                continue
            page = self.page(state.holder_departure)
            (place,) = [n for n, series in enumerate(page.series.tolist()) if series == state.holder]
            if not page.doubt[place]:
                assert page.price[place] * 100 <= (state.threshold or 0) * 102


def alerts() -> list[Alert]:
    armed = AlertState(threshold=10_000, trigger=10_000)
    first_day_only = replace(CRITERIA, depart_to=CRITERIA.depart_from)
    return [
        alert(amount=10_000, state=armed),
        alert(amount=10_000, state=armed, criteria=first_day_only),
        alert("new_low", state=armed),
        alert("drop_percent", amount=300),
    ]


def told(changes: Sequence[Change], kinds: Sequence[int]) -> set[tuple[int, int, int]]:
    return {(one.series, one.observed_at, one.fare.price) for one in changes if one.kind in kinds}


@settings(max_examples=100)
@given(steps=STEPS, size=st.integers(1, 3))
def test_whatever_the_book_forgets_no_change_is_hidden_and_no_alert_is_held_by_nothing(
    steps: list[tuple[int, list[Fare], str]], size: int
) -> None:
    undisturbed, disturbed = Site(MemoryPageStore(), alerts()), Site(store := ForgetfulPageStore(), alerts())
    at, saved = MONDAY, store.saved()
    for hours, fares, event in steps:
        at += hours * HOUR_MS
        for _, some in groupby(enumerate(fares), key=lambda place: place[0] // size):
            batch = [replace(fare, observed_at=at) for _, fare in some]
            before, now = undisturbed.see(batch), disturbed.see(batch)
            assert told(before, (FELL, FIRST_SEEN)) <= told(now, (FELL, FIRST_SEEN))
            assert told(before, (ROSE,)) <= told(now, (ROSE, FIRST_SEEN))
            undisturbed.check(batch)
            disturbed.check(batch)
        saved = disturb(store, event, saved)


def disturb(store: ForgetfulPageStore, event: str, saved: Any) -> Any:
    if event == "restart":
        store.restart()
    if event == "go back":
        store.restart(saved)
    if event.startswith("lose"):
        store.lose(None if event == "lose all" else [page_key("JFK-LHR", days_of(DAYS[0]))])
    return store.saved() if event == "save" else saved


def test_days_of_the_test_are_those_of_the_criteria() -> None:
    assert all(CRITERIA.depart_from <= date_of(days_of(day)) <= CRITERIA.depart_to for day in DAYS)
