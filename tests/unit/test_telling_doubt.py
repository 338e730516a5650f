"""What is told of a fare that the price book remembers, but may have forgotten the last of."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from fms.model.clock import HOUR_MS
from fms.model.evaluation import KnownFare
from fms.model.fare import Fare
from fms.model.notification import GONE, SENDING, Message, Notification
from fms.ports import Known
from fms.stages.telling import Judged, judge
from tests.builders import FARE, MINT, MONDAY, alert, fare, series_of

FIRED = fare(price=38_000)
OTHER = fare(price=37_000, outbound_flights=("BA1",))
THERE = frozenset({FARE.departure_date})


def judged(fares: list[Fare], dates: frozenset[date], *doubted: Fare) -> Judged:
    """What becomes of a row that fired at 380 an hour ago."""
    wish = alert()
    message = Message(
        notification_id=MINT.new(0), alert_id=wish.id, user_id=wish.user_id, user=wish.user, ref=wish.ref,
        kind=wish.kind, edition=wish.edition, hour=MONDAY // HOUR_MS, revision=1, series=series_of(FIRED),
        old_price=None, trigger=40_000, threshold=40_000, unusual=False, evaluated=False, fare=FIRED,
    )  # fmt: skip
    known = Known(
        [KnownFare(series_of(one), one) for one in fares],
        dates,
        frozenset(series_of(one) for one in doubted),
    )
    return judge(Notification(message), wish, [], known, MONDAY + HOUR_MS)


def shown(found: Judged) -> Fare | None:
    return found.found.fare if found.found else None


def test_a_fare_that_is_doubted_is_not_shown_as_the_best() -> None:
    found = judged([OTHER, FIRED], THERE, OTHER)
    assert (found.status, shown(found)) == (SENDING, FIRED)


def test_a_fare_that_is_sure_is_shown_though_the_one_that_fired_is_doubted() -> None:
    found = judged([OTHER, FIRED], THERE, FIRED)
    assert (found.status, shown(found)) == (SENDING, OTHER)


def test_a_fare_that_fired_and_is_remembered_dearer_is_told_as_it_was_seen() -> None:
    found = judged([], THERE, FIRED)
    assert (found.status, shown(found)) == (SENDING, FIRED)


def test_a_fare_that_fired_and_is_surely_dearer_is_gone_whatever_else_is_doubted() -> None:
    assert judged([], THERE, OTHER).status == GONE


@pytest.mark.parametrize("fares", [[], [OTHER]])
def test_of_a_page_that_may_have_forgotten_what_fired_is_told(fares: list[Fare]) -> None:
    found = judged(fares, frozenset(), *fares, FIRED)
    assert (found.status, shown(found)) == (SENDING, FIRED)


def test_of_another_page_that_may_have_forgotten_nothing_is_said() -> None:
    elsewhere = replace(OTHER, departure_date=FARE.departure_date + timedelta(1))
    assert judged([elsewhere], THERE, elsewhere).status == GONE
