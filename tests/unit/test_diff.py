"""Diff: what becomes of an observation."""

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from fms.errors import Fatal, Transient
from fms.model.change import FIRST_SEEN, GONE, KIND_NAMES, ChangeBatch
from fms.model.clock import DAY_MS
from fms.model.fare import Fare, FareBatch
from fms.model.page import Entries, decode_pages
from fms.model.rules import SourceRule, SourceRules
from fms.ports import Version
from fms.pricebook.memory import MemoryPageStore
from fms.stages import compare
from fms.stages.diff import Diff, DiffCounts
from tests.builders import FARE

NOON = 1_790_000_000_000
DAY = FARE.departure_date
RULES = SourceRules(own={"noisy": SourceRule(noise_bp=100), "lasting": SourceRule(believe_days=0)})


def fare(price: int = 100, at: int = 0, **given: Any) -> Fare:
    """A fare of one flight, seen ``at`` ms after noon."""
    return replace(FARE, price=price, observed_at=NOON + at, **given)


def brand(name: str, price: int = 100, at: int = 0, **given: Any) -> Fare:
    return fare(price, at, fare_brand=name, **given)


class Book:
    """A price book and the diff stage over it; each list of fares is a batch."""

    def __init__(self) -> None:
        self.store = MemoryPageStore()
        self.diff = Diff(self.store, RULES)

    def see(self, *fares: Fare) -> list[tuple[str, str | None, int | None, int]]:
        """The changes of a batch: kind, brand, old price, ms after noon."""
        return [
            (KIND_NAMES[change.kind], change.fare.fare_brand, change.old_price, change.observed_at - NOON)
            for change in self.changes(*fares).rows()
        ]

    def changes(self, *fares: Fare) -> ChangeBatch:
        found = self.diff.process(FareBatch.of_fares(fares))
        self.diff.settle()
        return found

    @property
    def counts(self) -> dict[str, int]:
        return {name: count for name, count in asdict(self.diff.counts).items() if count}

    def page(self, key: str = f"JFK-LHR:{DAY}") -> list[tuple[int, int]]:
        """Price and ms after noon of each entry."""
        _, (page,) = self.store.get(0, [key])
        assert page is not None
        entries, _ = decode_pages([key], [page])
        return list(zip(entries.price.tolist(), (entries.seen - NOON).tolist(), strict=True))


@pytest.fixture
def book() -> Book:
    return Book()


def test_a_fare_never_seen_is_first_seen(book: Book) -> None:
    assert book.see(fare(100)) == [("first_seen", None, None, 0)]
    assert book.counts == {"first_seen": 1}
    assert book.page() == [(100, 0)]


def test_a_cheaper_newer_fare_fell(book: Book) -> None:
    book.see(fare(100))
    assert book.see(fare(90, 5)) == [("fell", None, 100, 5)]
    assert book.counts == {"first_seen": 1, "moved": 1}
    assert book.page() == [(90, 5)]


def test_a_dearer_newer_fare_rose(book: Book) -> None:
    book.see(fare(100))
    assert book.see(fare(110, 5)) == [("rose", None, 100, 5)]
    assert book.page() == [(110, 5)]


def test_an_equal_newer_fare_is_unchanged_and_advances_the_time(book: Book) -> None:
    book.see(fare(100))
    assert book.see(fare(100, 5)) == []
    assert book.counts == {"first_seen": 1, "unchanged": 1}
    assert book.page() == [(100, 5)]


def test_an_older_fare_is_late_and_changes_nothing(book: Book) -> None:
    book.see(fare(100, 5))
    assert book.see(fare(50, 4)) == []
    assert book.counts == {"first_seen": 1, "late": 1}
    assert book.page() == [(100, 5)]


@pytest.mark.parametrize("price", [100, 120])
def test_an_equal_or_dearer_fare_of_the_same_time_is_a_duplicate(book: Book, price: int) -> None:
    book.see(fare(100))
    assert book.see(fare(price)) == []
    assert book.counts == {"first_seen": 1, "duplicates": 1}
    assert book.page() == [(100, 0)]


def test_a_cheaper_fare_of_the_same_time_fell(book: Book) -> None:
    book.see(fare(100))
    assert book.see(fare(90)) == [("fell", None, 100, 0)]


def test_of_one_tick_the_cheapest_row_of_a_series_counts(book: Book) -> None:
    assert book.see(fare(100), fare(80), fare(90)) == [("first_seen", None, None, 0)]
    assert book.counts == {"first_seen": 1, "duplicates": 2}
    assert book.page() == [(80, 0)]


def test_the_other_rows_of_a_late_series_are_late(book: Book) -> None:
    book.see(fare(100, 5))
    book.see(fare(90, 4), fare(80, 4), fare(85, 4))
    assert book.counts == {"first_seen": 1, "late": 3}


def test_a_source_that_breathes_is_unchanged_within_its_noise(book: Book) -> None:
    book.see(fare(10_000, source="noisy"))
    assert book.see(fare(10_100, 1, source="noisy"), fare(9_900, 2, source="noisy")) == []
    assert book.page() == [(10_000, 2)]
    assert book.see(fare(10_101, 3, source="noisy")) == [("rose", None, 10_000, 3)]


def test_within_the_noise_a_cheaper_fare_of_the_same_time_is_a_duplicate(book: Book) -> None:
    book.see(fare(10_000, source="noisy"))
    assert book.see(fare(9_900, source="noisy")) == []
    assert book.see(fare(9_899, source="noisy")) == [("fell", None, 10_000, 0)]
    assert book.counts == {"first_seen": 1, "duplicates": 1, "moved": 1}


def test_prices_of_the_largest_size_do_not_overflow(book: Book) -> None:
    book.see(fare(10**13, source="noisy"))
    assert book.see(fare(1, 1, source="noisy")) == [("fell", None, 10**13, 1)]
    assert book.see(fare(2 * 10**14, 2)) == [("first_seen", None, None, 2)]


def test_every_version_within_a_batch_counts_in_order(book: Book) -> None:
    seen = book.see(fare(100), fare(90, 1), fare(100, 2), fare(100, 3), fare(95, 1), fare(90, 4))
    assert seen == [
        ("first_seen", None, None, 0), ("fell", None, 100, 1), ("rose", None, 90, 2), ("fell", None, 100, 4)
    ]  # fmt: skip
    assert book.counts == {"first_seen": 1, "moved": 3, "unchanged": 1, "late": 1}


def test_the_same_two_prices_make_another_change_another_time(book: Book) -> None:
    batch = book.changes(fare(100), fare(90, 1), fare(100, 2), fare(90, 3))
    assert len(set(batch.column("change_id").to_pylist())) == 4


def test_a_fare_that_is_no_longer_believed_is_gone_when_its_page_is_seen_again(book: Book) -> None:
    book.see(brand("light"), brand("flex"))
    assert book.see(brand("flex", 100, 3 * DAY_MS)) == []
    assert book.see(brand("flex", 100, 3 * DAY_MS + 1)) == [("gone", None, 100, 3 * DAY_MS)]
    assert book.counts == {"first_seen": 2, "unchanged": 2, "gone": 1}
    assert book.page() == [(100, 3 * DAY_MS + 1)]


def test_a_fare_that_comes_back_too_late_is_gone_and_first_seen(book: Book) -> None:
    book.see(fare(100))
    assert book.see(fare(100, 4 * DAY_MS)) == [
        ("gone", None, 100, 3 * DAY_MS), ("first_seen", None, None, 4 * DAY_MS)
    ]  # fmt: skip
    assert book.counts == {"first_seen": 2, "gone": 1}


def test_a_fare_that_comes_back_in_time_was_never_away(book: Book) -> None:
    book.see(fare(100))
    assert book.see(fare(100, 3 * DAY_MS)) == []


def test_a_source_that_is_believed_for_ever_is_never_gone(book: Book) -> None:
    book.see(fare(100, source="lasting"))
    assert book.see(fare(100, 300 * DAY_MS, source="default")) == [("first_seen", None, None, 300 * DAY_MS)]
    assert book.counts == {"first_seen": 2}


def test_a_page_that_nobody_refreshes_loses_nothing(book: Book) -> None:
    book.see(fare(100))
    book.see(fare(100, 30 * DAY_MS, departure_date=DAY + timedelta(1)))
    assert book.page() == [(100, 0)]


def test_a_new_series_too_old_to_be_believed_is_late(book: Book) -> None:
    book.see(brand("light", 100, 4 * DAY_MS))
    assert book.see(brand("flex", 90, DAY_MS - 1), brand("flex", 80, DAY_MS - 1)) == []
    assert book.counts == {"first_seen": 1, "late": 2}
    assert book.see(brand("flex", 90, DAY_MS)) == [("first_seen", "flex", None, DAY_MS)]
    assert book.see(brand("old", 90, source="lasting")) == [("first_seen", "old", None, 0)]


def test_within_a_tick_gone_comes_first_then_rose_then_the_cheaper(book: Book) -> None:
    book.see(brand("lost"), brand("up", 50, DAY_MS), brand("down", 500, DAY_MS))
    later = 4 * DAY_MS
    seen = book.see(brand("new", 20, later), brand("down", 30, later), brand("up", 60, later), brand("n2", 10, later))
    assert [(kind, name) for kind, name, _, _ in seen] == [
        ("gone", None), ("rose", "up"), ("first_seen", "n2"), ("first_seen", "new"), ("fell", "down")
    ]  # fmt: skip


def test_of_equal_prices_the_earlier_departure_comes_first_then_the_series(book: Book) -> None:
    fares = [brand(name, departure_date=DAY + timedelta(day)) for day in (1, 0) for name in "abcdef"]
    changes = list(book.changes(*fares).rows())
    order = [(change.fare.departure_date, change.series) for change in changes]
    assert order == sorted(order)
    assert len(order) == 12


def test_a_gone_row_says_only_what_is_known(book: Book) -> None:
    book.see(brand("light", 123))
    batch = book.changes(brand("flex", 100, 4 * DAY_MS))
    (gone,) = [row for row in batch.data.to_pylist() if row["kind"] == GONE]
    known = {name for name, value in gone.items() if value is not None}
    assert known == {"kind", "series", "change_id", "market", "old_price", "od", "departure_date", "observed_at"}
    assert (gone["market"], gone["od"], gone["departure_date"], gone["old_price"]) == (0, "JFK-LHR", DAY, 123)


def test_a_change_carries_the_whole_fare(book: Book) -> None:
    book.see(fare(100))
    seen = fare(90, 1, carrier="BA", departure_time="09:15", point_of_sale="GB")
    fares = [seen, replace(seen, return_date=DAY, return_flights=("BA1", "BA2"), price=95)]
    assert [change.fare for change in book.changes(*fares).rows()] == fares


def test_an_empty_batch_changes_nothing(book: Book) -> None:
    assert len(book.changes()) == 0
    assert book.counts == {}


def test_priming_fills_the_book_and_passes_nothing_on(book: Book) -> None:
    prime = Diff(book.store, prime=True)
    assert len(prime.process(FareBatch.of_fares([fare(100)]))) == 0
    prime.settle()
    assert prime.counts == DiffCounts(first_seen=1)
    assert book.see(fare(90, 1)) == [("fell", None, 100, 1)]


def test_a_batch_may_be_processed_again_until_it_is_settled(book: Book) -> None:
    batch = FareBatch.of_fares([fare(100)])
    first = book.diff.process(batch)
    assert book.diff.process(batch).data.equals(first.data)
    assert book.counts == {}
    book.diff.settle()
    book.diff.settle()
    assert book.counts == {"first_seen": 1}


def test_settling_after_somebody_else_wrote_is_refused(book: Book) -> None:
    book.diff.process(FareBatch.of_fares([fare(100)]))
    rival = Diff(book.store)
    rival.process(FareBatch.of_fares([fare(70)]))
    rival.settle()
    with pytest.raises(Transient, match="partition 0"):
        book.diff.settle()
    assert book.page() == [(70, 0)]
    assert book.counts == {}
    assert book.see(fare(100)) == []


def test_a_page_of_an_unknown_format_stops_the_stage(book: Book) -> None:
    book.store.put(0, Version(0, 0), {f"JFK-LHR:{DAY}": b"\x09"}, {})
    with pytest.raises(Fatal, match=f"JFK-LHR:{DAY}"):
        book.see(fare(100))


def test_a_long_run_of_one_time_is_several_ticks(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "TICK_ROWS", 2)
    seen = book.see(fare(100), brand("a", 10), fare(90), brand("b", 5), fare(95))
    assert [(kind, old) for kind, _, old, _ in seen] == [
        ("first_seen", None), ("first_seen", None), ("first_seen", None), ("fell", 100)
    ]  # fmt: skip
    assert book.counts == {"first_seen": 3, "moved": 1, "duplicates": 1}


def test_one_hash_on_two_pages_is_two_series() -> None:
    none = np.zeros(0, np.int64)
    nothing = Entries(np.zeros(0, np.uint64), none, none, none, np.zeros(0, bool))
    rows = compare.Observations(
        page=np.array([0, 1]), series=np.array([7, 7], np.uint64), price=np.array([100, 90]),
        at=np.array([NOON, NOON]), noise_bp=np.array([0, 0]), believe=np.array([3, 3]),
    )  # fmt: skip
    found = compare.compare(nothing, np.array([0, 0]), np.array([True, True]), rows)
    assert found.kind.tolist() == [FIRST_SEEN, FIRST_SEEN]
    assert found.counts.tolist() == [1, 1]
