"""What match folds an alert over: few changes of its route, with the result of all of them."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fms.model.alert import Alert, AlertState
from fms.model.change import FELL, FIRST_SEEN, GONE, ROSE, Change
from fms.model.clock import DAY_MS, HOUR_MS, days_of
from fms.model.fold import fold
from fms.stages.match import _Changes
from tests.builders import MONDAY, alert, change, change_batch, series_of

DAYS = [date(2026, 12, 1) + timedelta(n) for n in (0, 1, 13, 14)]


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    """Changes of a route and another one, in the order of their times, which may pass departures."""
    made = []
    for _ in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from([FIRST_SEEN, FELL, ROSE, GONE]))
        at = MONDAY + draw(st.sampled_from([0, HOUR_MS, DAY_MS, 29 * DAY_MS, 30 * DAY_MS, 31 * DAY_MS]))
        made.append(
            change(
                kind,
                None if kind == FIRST_SEEN else 50_000,
                price=draw(st.integers(35, 45)) * 1_000,
                departure_date=draw(st.sampled_from(DAYS)),
                outbound_flights=draw(st.sampled_from([("BA178",), ("BA112",)])),
                destination=draw(st.sampled_from(["LHR", "LHR", "LHR", "CDG"])),
                observed_at=at,
            )
        )
    return sorted(made, key=lambda one: one.observed_at)


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """An alert that is armed, learning, or held by some fare that fired before."""
    kind, amount = draw(st.sampled_from([("target", 40_000), ("drop_percent", 1_000), ("new_low", 0)]))
    made = alert(kind, amount)
    if kind != "target" and draw(st.booleans()):
        return made
    armed = AlertState(threshold=40_000, trigger=40_000, reference=44_000)
    if draw(st.booleans()):
        day = draw(st.sampled_from(DAYS))
        holder = series_of(change(departure_date=day).fare)
        held: dict[str, Any] = {
            "holder": holder,
            "holder_departure": days_of(day),
            "fired_at": MONDAY - 1,
            "fired_price": 39_000,
        }
        armed = replace(armed, trigger=37_000, **held)
    return replace(made, state=armed)


@given(some=st.lists(alerts(), min_size=1, max_size=5), told=changes())
def test_the_changes_that_concern_an_alert_lead_where_all_of_its_route_do(
    some: list[Alert], told: list[Change]
) -> None:
    batch = _Changes(change_batch(told))
    for one in some:
        route = [each for each in told if each.fare.od == one.criteria.od]
        assert fold(one, batch.concerning(one)) == fold(one, route)


@given(one=alerts(), told=changes())
def test_nothing_concerns_an_alert_twice(one: Alert, told: list[Change]) -> None:
    batch = _Changes(change_batch(told))
    state, _ = fold(one, batch.concerning(one))
    again = replace(one, state=state)
    if state != one.state:
        assert fold(again, batch.concerning(again)) == (state, [])


def test_nothing_of_another_route_concerns_an_alert() -> None:
    told = _Changes(change_batch([change(FELL, 90_000, price=1_000, destination="CDG")]))
    assert list(told.concerning(alert())) == []
