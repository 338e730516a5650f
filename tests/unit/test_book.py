"""The price book as its readers see it, what it says of series, and its housekeeping."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from fms.errors import Transient
from fms.model.clock import DAY_MS
from fms.model.description import line_count
from fms.model.fare import Fare, FareBatch
from fms.model.page import decode_pages, encode_pages
from fms.model.rules import SourceRule, SourceRules
from fms.ports import Question, Version
from fms.pricebook.book import SHORT_DAYS, Book
from fms.pricebook.maintain import drop_departed
from fms.pricebook.memory import MemoryPageStore
from fms.stages.diff import Diff
from tests.builders import CRITERIA, FARE, MONDAY
from tests.forgetful import ForgetfulPageStore

DAY = FARE.departure_date
KEY = f"JFK-LHR:{DAY}"
RULES = SourceRules(own={"noisy": SourceRule(noise_bp=100), "lasting": SourceRule(believe_days=0)})


def fare(price: int = 100, at: int = 0, **given: Any) -> Fare:
    return replace(FARE, price=price, observed_at=MONDAY + at, **given)


def see(store: MemoryPageStore, *fares: Fare) -> None:
    diff = Diff(store, RULES)
    diff.process(FareBatch.of_fares(fares))
    diff.settle()


def fares_in(store: MemoryPageStore, od: str = "JFK-LHR", **dates: Any) -> list[Fare]:
    return [known.fare for known in Book(store).known([Question(od, **dates)])[0].fares]


@pytest.fixture
def store() -> MemoryPageStore:
    return MemoryPageStore()


def test_a_fare_is_known_as_it_was_seen(store: MemoryPageStore) -> None:
    whole = fare(
        return_date=DAY + timedelta(7), cabin="business", currency="EUR", adults=2, children=1, infants=1,
        outbound_flights=("AA701", "AA380"), return_flights=("BA1",), carrier="BA", departure_time="09:15",
        fare_brand="flex\tplus\\", source="lasting", point_of_sale="GB", price_basis="from",
    )  # fmt: skip
    plain = fare(outbound_flights=None, price_basis="market")
    see(store, whole, plain)
    found = Book(store).known([Question("JFK-LHR")])[0].fares
    assert {known.fare for known in found} == {whole, plain}
    batch = FareBatch.of_fares([whole, plain])
    assert {known.series for known in found} == set(batch.series.tolist())


def test_a_known_fare_has_the_stored_price_and_the_time_last_seen(store: MemoryPageStore) -> None:
    see(store, fare(10_000, source="noisy"))
    see(store, fare(10_050, 5, source="noisy"))
    assert fares_in(store) == [fare(10_000, 5, source="noisy")]


def test_a_fare_that_its_page_no_longer_believes_is_not_known(store: MemoryPageStore) -> None:
    see(store, fare(fare_brand="flex"), fare(fare_brand="light"), fare(source="lasting"))
    version, (page,) = store.get(0, [KEY])
    entries, counts = decode_pages([KEY], [page or b""])
    newer = replace(entries, seen=entries.seen + np.array([4 * DAY_MS, 0, 0]))
    store.put(0, version, {KEY: encode_pages(newer, counts.tolist(), [0])[0]}, {})
    known = {found.series for found in Book(store).known([Question("JFK-LHR")])[0].fares}
    assert known == set(entries.series[[0]].tolist()) | set(entries.series[entries.believe == 0].tolist())


def test_an_outage_takes_no_fare_away(store: MemoryPageStore) -> None:
    see(store, fare())
    see(store, fare(at=90 * DAY_MS, departure_date=DAY + timedelta(1)))
    assert len(fares_in(store)) == 2


def test_only_the_route_and_the_dates_asked_for_are_known(store: MemoryPageStore) -> None:
    see(store, *(fare(at=n, departure_date=DAY + timedelta(n)) for n in range(5)), fare(destination="LHX"))
    book = Book(store)
    assert book.known([Question("JFK-LHR")])[0].dates == {DAY + timedelta(n) for n in range(5)}
    assert book.known([Question("JFK-LHR", DAY + timedelta(1), DAY + timedelta(2))])[0].dates == {
        DAY + timedelta(1), DAY + timedelta(2)
    }  # fmt: skip
    assert [one.departure_date for one in fares_in(store, last=DAY)] == [DAY]
    assert [one.departure_date for one in fares_in(store, first=DAY + timedelta(4))] == [DAY + timedelta(4)]


class Listed(MemoryPageStore):
    """Notes which O&Ds are listed."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str | None] = []

    def keys(self, od: str | None = None) -> Iterator[str]:
        self.asked.append(od)
        return super().keys(od)


@pytest.mark.parametrize(
    ("days", "listed"), [(-1, []), (0, []), (3, []), (SHORT_DAYS - 1, []), (SHORT_DAYS, ["JFK-LHR"])]
)
def test_a_short_window_is_read_without_listing_its_route_and_a_long_one_with(days: int, listed: list[str]) -> None:
    store = Listed()
    see(store, *(fare(at=n, departure_date=DAY + timedelta(n)) for n in range(0, 100, 3)))
    known = Book(store).known([Question("JFK-LHR", DAY, DAY + timedelta(days))])[0]
    assert known.dates == {DAY + timedelta(n) for n in range(0, days + 1, 3)}
    assert [one.fare.departure_date for one in known.fares] == sorted(known.dates)
    assert store.asked == listed


@pytest.mark.parametrize("dates", [(None, None), (DAY, None), (None, DAY)])
def test_an_open_window_is_listed_once_for_all_that_is_asked_of_a_route_after_it(
    dates: tuple[date | None, date | None],
) -> None:
    store = Listed()
    see(store, fare(), fare(departure_date=DAY + timedelta(1)))
    short = Question("JFK-LHR", DAY, DAY)
    open_, first, second = Book(store).known([Question("JFK-LHR", *dates), short, short])
    assert DAY in open_.dates
    assert first == second
    assert first.dates == {DAY}
    assert store.asked == ["JFK-LHR"]


def test_of_an_unknown_route_nothing_is_known(store: MemoryPageStore) -> None:
    known = Book(store).known([Question("JFK-LHR")])[0]
    assert (list(known.fares), known.dates) == ([], frozenset())
    assert Book(store).newest(["JFK-LHR"]) == {}


def test_a_series_that_nobody_described_is_passed_over(store: MemoryPageStore) -> None:
    see(store, fare(), fare(departure_date=DAY + timedelta(1)))
    version, _ = store.get(0, [])
    store.put(0, version, {}, {KEY: None})
    assert fares_in(store) == [fare(departure_date=DAY + timedelta(1))]
    assert DAY in Book(store).known([Question("JFK-LHR")])[0].dates


def test_a_page_that_changed_is_read_again(store: MemoryPageStore) -> None:
    see(store, fare(100), fare(100, departure_date=DAY + timedelta(1)))
    see(store, fare(90, 1))
    assert [one.price for one in fares_in(store)] == [90, 100]


def test_many_questions_are_answered_as_if_each_were_asked_alone(store: MemoryPageStore) -> None:
    see(store, *(fare(n + 1, departure_date=DAY + timedelta(n)) for n in range(9)))
    see(store, fare(50, origin="EWR", cabin="first"), fare(40, origin="EWR", currency="EUR"))
    market = CRITERIA.market
    questions = [
        Question("JFK-LHR", DAY + timedelta(2), DAY + timedelta(4)),
        Question("EWR-LHR"),
        Question("JFK-LHR", at_most=3),
        Question("JFK-LHR", market=market, at_most=2),
        Question("EWR-LHR", market=market),
        Question("CDG-LHR"),
    ]
    together = Book(store).known(questions)
    assert together == [Book(store).known([question])[0] for question in questions]
    assert [sorted(found.fare.price for found in known.fares) for known in together] == [
        [3, 4, 5], [40, 50], [1, 2, 3], [1, 2], [], []
    ]  # fmt: skip
    assert len(together[3].dates) == 9


def test_the_newest_observation_is_told_of_each_route(store: MemoryPageStore) -> None:
    see(store, fare(at=1), fare(at=7, departure_date=DAY + timedelta(1)))
    assert Book(store).newest(["JFK-LHR", "CDG-LHR", "JFK-LHR"]) == {"JFK-LHR": MONDAY + 7}


def test_a_date_whose_page_may_have_forgotten_is_unknown_and_its_series_are_doubted() -> None:
    store = ForgetfulPageStore()
    see(store, fare(), fare(fare_brand="flex"), fare(departure_date=DAY + timedelta(1)))
    store.restart()
    see(store, fare(at=1))
    sure, flex, _ = FareBatch.of_fares([fare(), fare(fare_brand="flex"), fare()]).series.tolist()
    first_day, both = Book(store).known([Question("JFK-LHR", last=DAY, at_most=1), Question("JFK-LHR")])
    assert (first_day.fares, first_day.dates, first_day.doubted) == ([], frozenset({DAY}), frozenset({flex}))
    assert both.dates == frozenset({DAY})
    assert len(both.fares) == 3
    assert len(both.doubted) == 2
    assert sure not in both.doubted


def test_series_that_join_a_page_later_are_described_too(store: MemoryPageStore) -> None:
    see(store, fare())
    see(store, fare(fare_brand="flex"), fare(fare_brand="light"))
    see(store, fare(at=1), fare(fare_brand="flex", at=1), fare(departure_date=DAY + timedelta(1)))
    assert {one.fare_brand for one in fares_in(store, last=DAY)} == {None, "flex", "light"}


def test_a_description_does_not_grow_with_the_series_that_come_and_go(store: MemoryPageStore) -> None:
    for n in range(100):
        see(store, fare(n + 1, 4 * n * DAY_MS, fare_brand=f"brand {n}"), fare(1, 4 * n * DAY_MS, source="lasting"))
    (description,) = store.describe(0, [KEY])
    assert line_count(description or b"") <= 20
    assert {one.fare_brand for one in fares_in(store)} == {"brand 99", None}


def test_a_series_that_came_back_is_described_as_it_was_seen_last(store: MemoryPageStore) -> None:
    see(store, fare(carrier="BA"))
    see(store, fare(carrier="AA", at=4 * DAY_MS))
    assert fares_in(store) == [fare(carrier="AA", at=4 * DAY_MS)]


def test_pages_departed_over_two_days_before_the_newest_observation_are_dropped(store: MemoryPageStore) -> None:
    see(store, *(fare(departure_date=DAY + timedelta(n)) for n in range(4)), fare(destination="LHX"))
    midnight = MONDAY + (DAY + timedelta(3) - date(2026, 11, 2)).days * DAY_MS
    assert drop_departed(store, midnight) == 2
    assert list(store.keys()) == [f"JFK-LHR:{DAY + timedelta(n)}" for n in (1, 2, 3)]
    assert store.describe(0, [KEY]) == [None]
    assert drop_departed(store, midnight) == 0


def test_the_newest_observation_of_the_book_is_known(store: MemoryPageStore) -> None:
    assert store.newest() == 0
    see(store, fare(at=7), fare(at=3, destination="LHX"))
    see(store, fare(at=5))
    assert store.newest() == MONDAY + 7


def test_housekeeping_gives_way_to_a_writer(store: MemoryPageStore) -> None:
    class Raced(MemoryPageStore):
        def put(self, partition: int, version: Version, *what: Any) -> bool:
            return super().put(partition, version._replace(number=version.number - 1), *what)

    raced = Raced()
    raced._pages[KEY] = b"\x01"
    with pytest.raises(Transient):
        drop_departed(raced, MONDAY + 300 * DAY_MS)
    assert list(raced.keys()) == [KEY]
