"""What a push says."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from fms.channels.words import body, lines, title
from fms.model.clock import HOUR_MS
from fms.model.notification import Message, Notification, Push
from fms.model.user import User
from tests.builders import MONDAY, fare

ID = UUID(int=1)


def row(kind: str = "target", old: int | None = 45_000, *, told: Any = None, **message: Any) -> Notification:
    """A firing at 380 USD: T 400, trigger 396, of series 7; ``told``: the price and series that are shown instead."""
    values: dict[str, Any] = {
        "edition": 1, "hour": MONDAY // HOUR_MS, "revision": 1, "series": 7, "old_price": old, "trigger": 39_600,
        "threshold": 40_000, "unusual": False, "evaluated": False, "fare": fare(price=38_000),
    }  # fmt: skip
    fired = Message(ID, ID, ID, "me@example.org", "mine", kind, **(values | message))
    if told is None:
        return Notification(fired)
    price, series = told
    return Notification(fired, told=fare(price=price, observed_at=MONDAY + HOUR_MS), told_series=series)


def test_a_target_says_how_far_the_price_is_under_it() -> None:
    assert title(row()) == "JFK-LHR 380.00 USD, 20.00 under your 400.00"
    assert title(row(fare=fare(price=40_000))) == "JFK-LHR 400.00 USD, exactly your 400.00"


def test_a_drop_says_what_it_dropped_from() -> None:
    for kind in ("drop_percent", "drop_amount"):
        assert title(row(kind)) == "JFK-LHR 380.00 USD, down from 450.00, 20.00 under your drop to 400.00"


def test_a_drop_to_a_fare_without_a_price_before_does_not_invent_one() -> None:
    assert title(row("drop_amount", None)) == "JFK-LHR 380.00 USD, 20.00 under your drop to 400.00"


def test_a_new_low_says_which_mark_it_beat() -> None:
    assert title(row("new_low")) == "JFK-LHR 380.00 USD, 16.00 under 396.00, 1 % below the low it beats"


def test_a_price_that_may_be_a_mistake_is_called_so() -> None:
    assert title(row(unusual=True)).endswith(" (may be a mistake)")
    assert title(row(unusual=True, told=(38_000, 7))).endswith(" (may be a mistake)")


def test_a_dearer_fare_told_in_place_of_a_mistake_is_none() -> None:
    assert title(row(unusual=True, told=(39_000, 8))) == "JFK-LHR 390.00 USD, 10.00 under your 400.00"


def test_what_the_fare_cost_before_is_said_also_when_it_was_seen_again_since() -> None:
    assert body(row(told=(38_000, 7)), MONDAY + HOUR_MS).endswith("seen just now, was 450.00")


def test_what_another_fare_cost_before_is_not_said() -> None:
    assert "was" not in body(row(told=(37_000, 8)), MONDAY + HOUR_MS)
    assert "was" not in body(row(told=(37_000, 7)), MONDAY + HOUR_MS)


def test_a_body_names_dates_flights_brand_and_travellers() -> None:
    one = fare(
        price=38_000, return_date=fare().departure_date.replace(day=8), return_flights=("BA177",), fare_brand="basic",
        children=1,
    )  # fmt: skip
    assert body(row(old=None, fare=one), MONDAY + 90 * 60_000) == (
        "Tue 01 Dec 2026 to Tue 08 Dec, 7 nights, BA178 / BA177, basic, economy, total for 2, "
        "from default, seen 1 h ago"
    )


def test_a_flight_without_a_designator_is_named_by_its_carrier_and_time() -> None:
    timed = fare(price=38_000, outbound_flights=None, carrier="FR", departure_time="07:35")
    assert "2026, FR 07:35, economy" in body(row(fare=timed), MONDAY)
    assert "2026, FR, economy" in body(row(fare=replace(timed, departure_time=None)), MONDAY)


def test_a_push_shows_some_rows_and_counts_the_others() -> None:
    user = User(ID, "me@example.org")
    shown = lines(Push(ID, user, [row(), row(), row()]), MONDAY + 3 * 24 * HOUR_MS, 2)
    assert [line.split(",")[0] for line in shown[::2]] == ["mine: JFK-LHR 380.00 USD"] * 2 + ["+1 in your inbox"]
    assert "seen 3 days ago" in shown[1]
