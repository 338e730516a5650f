"""What a push says."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from fms.channels.words import body, ended, lines, title
from fms.model.alert import AlertState
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.facts import NO_FACTS, Facts, Mark, Others, facts_of
from fms.model.notification import Push
from fms.stages.telling import best_first
from tests.builders import MONDAY, alert, fare
from tests.unit.told_rows import ID, USER, push, row


def test_a_target_says_how_far_the_price_is_under_it() -> None:
    assert title(row()) == "JFK-LHR 380.00 USD, 20.00 under your 400.00"
    assert title(row(fare=fare(price=40_000))) == "JFK-LHR 400.00 USD, exactly your 400.00"


@pytest.mark.parametrize("kind", ["drop_percent", "drop_amount"])
def test_a_drop_keeps_what_the_flight_cost_apart_from_what_it_is_measured_from(kind: str) -> None:
    measured = Facts(reference=Mark(44_000, MONDAY + 23 * HOUR_MS))
    assert title(row(kind)) == "JFK-LHR 380.00 USD, 20.00 under your drop to 400.00"
    said = "seen just now, was 450.00 on this flight, your drop counts from 440.00"
    assert body(row(kind), MONDAY, measured).endswith(said + " of Mon 02 Nov 2026")
    assert body(row(kind), MONDAY, measured, "Asia/Tokyo").endswith(said + " of Tue 03 Nov 2026")
    assert body(row(kind), MONDAY, Facts(reference=Mark(44_000))).endswith(said)


def test_only_a_drop_says_what_it_is_measured_from() -> None:
    assert "counts from" not in body(row(), MONDAY, Facts(reference=Mark(44_000)))


def test_a_message_does_not_invent_what_is_not_known() -> None:
    for kind in ("target", "drop_percent", "drop_amount", "new_low"):
        assert body(row(kind, None), MONDAY) == "Tue 01 Dec 2026, BA178, economy, from default, seen just now"


def test_a_message_says_all_that_is_known() -> None:
    known = Facts(Mark(39_500, MONDAY - 3 * DAY_MS), Mark(37_000, MONDAY - 2 * HOUR_MS), Others(3, 39_100))
    assert body(row(old=None), MONDAY, known).endswith(
        "seen just now, last told 395.00 (3 days ago), lowest since your alert was made: 370.00 (2 h ago), "
        "3 more dates from 391.00"
    )


def test_times_that_are_not_known_are_not_said() -> None:
    known = Facts(Mark(39_500), Mark(37_000), Others(1, 39_100))
    assert body(row(old=None), MONDAY, known).endswith(
        "last told 395.00, lowest since your alert was made: 370.00, 1 more date at 391.00"
    )


def test_a_price_is_the_lowest_only_since_a_time() -> None:
    for low in (38_000, 38_100):
        said = body(row("new_low"), MONDAY, Facts(lowest=Mark(low, MONDAY)))
        assert said.endswith(", the lowest since your alert was made")
    assert "new low" not in title(row("new_low")) + body(row("new_low"), MONDAY)


def test_alert_and_book_say_what_is_known() -> None:
    dates = [fare().departure_date.replace(day=day) for day in (1, 2, 2, 3)]
    prices = (38_000, 39_900, 39_100, 39_500)
    wanted = [fare(departure_date=day, price=price) for day, price in zip(dates, prices, strict=True)]
    drop = alert("drop_amount", 4_000, state=AlertState(threshold=40_000, reference=44_000))
    told = Mark(39_000, MONDAY)
    assert facts_of(drop, wanted[0], told, wanted) == Facts(told, None, Others(2, 39_100), Mark(44_000))
    low = replace(drop, kind="new_low")
    assert facts_of(low, wanted[0], None, wanted[:1]) == NO_FACTS


def test_a_new_low_says_which_mark_it_beat() -> None:
    assert title(row("new_low")) == "JFK-LHR 380.00 USD, 16.00 under 396.00, 1 % below the low it beats"


def test_a_price_that_may_be_a_mistake_is_called_so() -> None:
    assert title(row(unusual=True)).endswith(" (may be a mistake)")
    assert title(row(unusual=True, told=(38_000, 7))).endswith(" (may be a mistake)")


def test_a_dearer_fare_told_in_place_of_a_mistake_is_none() -> None:
    assert title(row(unusual=True, told=(39_000, 8))) == "JFK-LHR 390.00 USD, 10.00 under your 400.00"


def test_what_the_fare_cost_before_is_said_also_when_it_was_seen_again_since() -> None:
    assert body(row(told=(38_000, 7)), MONDAY + HOUR_MS).endswith("seen just now, was 450.00 on this flight")


@pytest.mark.parametrize(
    ("changes", "called"),
    [
        ({"outbound_flights": ("BA178", "BA5")}, "on these flights"),
        ({"return_date": fare().departure_date, "return_flights": ("BA177",)}, "on these flights"),
        ({"outbound_flights": None, "carrier": "FR", "departure_time": "07:35"}, "on this flight"),
        ({"outbound_flights": None, "carrier": "FR"}, "on this date"),
        ({"outbound_flights": None, "return_date": fare().departure_date}, "on these dates"),
    ],
)
def test_an_earlier_price_is_called_by_what_it_was_the_price_of(changes: dict[str, Any], called: str) -> None:
    assert body(row(fare=fare(price=38_000, **changes)), MONDAY).endswith(f", was 450.00 {called}")


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


@pytest.mark.parametrize(
    ("there", "back", "said"),
    [
        (date(2026, 12, 1), date(2026, 12, 1), "Tue 01 Dec 2026 to Tue 01 Dec, same day"),
        (date(2026, 12, 1), date(2026, 12, 2), "Tue 01 Dec 2026 to Wed 02 Dec, 1 night"),
        (date(2026, 12, 29), date(2027, 1, 5), "Tue 29 Dec 2026 to Tue 05 Jan 2027, 7 nights"),
    ],
)
def test_a_stay_is_told_by_its_nights(there: date, back: date, said: str) -> None:
    assert body(row(fare=fare(departure_date=there, return_date=back)), MONDAY).startswith(said + ", BA178")


def test_a_flight_without_a_designator_is_named_by_its_carrier_and_time() -> None:
    timed = fare(price=38_000, outbound_flights=None, carrier="FR", departure_time="07:35")
    assert "2026, FR 07:35, economy" in body(row(fare=timed), MONDAY)
    assert "2026, FR, economy" in body(row(fare=replace(timed, departure_time=None)), MONDAY)


def test_a_push_shows_some_rows_and_counts_the_others() -> None:
    shown = lines(push(row(), row(), row()), MONDAY + 3 * 24 * HOUR_MS, 2)
    assert [line.split(",")[0] for line in shown[::2]] == ["mine: JFK-LHR 380.00 USD"] * 2 + ["+1 in your inbox"]
    assert "seen 3 days ago" in shown[1]


def test_forty_rows_are_five_and_a_count() -> None:
    shown = lines(push(*[row()] * 40), MONDAY)
    assert (len(shown), shown[-1]) == (11, "+35 in your inbox")
    assert "inbox" not in lines(push(*[row()] * 5), MONDAY)[-1]


def test_rows_come_by_how_far_each_is_under_its_own_threshold_then_by_departure() -> None:
    later = fare(price=38_000, departure_date=date(2026, 12, 9))
    # 5.0 %, 5.0 % but later, 5.3 % of a dearer alert, and 10 % of a cheaper one that is under by less.
    firings = [
        row(ref="later", fare=later),
        row(ref="sooner"),
        row(ref="dear", threshold=90_000, fare=fare(price=85_200)),
        row(ref="cheap", threshold=5_000, fare=fare(price=4_500)),
    ]
    shown = lines(push(*best_first(firings)), MONDAY)
    assert [line.partition(":")[0] for line in shown[::2]] == ["cheap", "dear", "sooner", "later"]


def test_a_push_says_of_each_row_what_is_known_of_it_in_its_users_zone() -> None:
    ids = [UUID(int=number) for number in (1, 2)]
    rows = [row("drop_amount", notification_id=one) for one in ids]
    known = {ids[1]: Facts(reference=Mark(44_000, MONDAY + 23 * HOUR_MS))}
    shown = lines(Push(ID, replace(USER, zone="Asia/Tokyo"), rows, known), MONDAY)
    assert shown[1].endswith("was 450.00 on this flight")
    assert shown[3].endswith("your drop counts from 440.00 of Tue 03 Nov 2026")


def test_no_text_from_outside_makes_a_line_of_its_own() -> None:
    evil = row(ref="mine\n+35 in your inbox", fare=fare(fare_brand="light\x1b[2J\r\nfree"))
    shown = lines(push(evil), MONDAY)
    assert len(shown) == 2
    assert all(line.isprintable() for line in shown)


def test_a_fare_that_has_ended_says_since_when_and_what_it_costs_now() -> None:
    at = MONDAY + 23 * HOUR_MS
    assert ended(row(), at, "Asia/Tokyo", 45_000) == "380.00 ended on Tue 03 Nov 2026 08:00, 450.00 now"
    assert ended(row(), at, "UTC") == "380.00 ended on Mon 02 Nov 2026 23:00"
