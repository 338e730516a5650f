"""Diff over a price book that may have forgotten: nothing that happened meanwhile is hidden by what it remembers."""

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import pytest

from fms.errors import Transient
from fms.model.change import KIND_NAMES, OPENED, ChangeBatch
from fms.model.clock import DAY_MS
from fms.model.fare import Fare, FareBatch
from fms.model.page import decode_pages, stamps_of
from fms.model.rules import SourceRule, SourceRules
from fms.pricebook.memory import MemoryPageStore
from fms.stages.diff import Diff
from tests.builders import FARE
from tests.forgetful import ForgetfulPageStore

NOON = 1_790_000_000_000
DAY = FARE.departure_date
KEY = f"JFK-LHR:{DAY}"
RULES = SourceRules(own={"noisy": SourceRule(noise_bp=100), "lasting": SourceRule(believe_days=0)})
Said = tuple[str, str | None, int | None, int]


def fare(price: int = 100, at: int = 0, brand: str | None = "a", **given: Any) -> Fare:
    """A fare of one flight, seen ``at`` ms after noon."""
    return replace(FARE, price=price, observed_at=NOON + at, fare_brand=brand, **given)


class Book:
    """A price book that may forget, and the diff stage over it; each list of fares is a batch."""

    def __init__(self) -> None:
        self.store = ForgetfulPageStore()
        self.diff = Diff(self.store, RULES)

    def changes(self, *fares: Fare) -> ChangeBatch:
        found = self.diff.process(FareBatch.of_fares(fares))
        self.diff.settle()
        return found

    def see(self, *fares: Fare) -> list[Said]:
        """The changes of a batch: kind, brand, old price, ms after noon."""
        return [
            (KIND_NAMES[change.kind], change.fare.fare_brand, change.old_price, change.observed_at - NOON)
            for change in self.changes(*fares).rows()
        ]

    @property
    def doubted(self) -> list[bool]:
        """Of each entry of the first day's page."""
        _, (page,) = self.store.get(0, [KEY])
        doubted: list[bool] = decode_pages([KEY], [page or b""])[0].doubt.tolist()
        return doubted


@pytest.fixture
def book() -> Book:
    """A book with fare a at 100, seen at noon, that was then started again."""
    made = Book()
    made.see(fare())
    made.store.restart()
    return made


def test_a_page_that_is_not_there_is_opened_before_its_fares() -> None:
    assert Book().see(fare(), fare(90, brand="b")) == [
        ("opened", None, None, 0), ("first_seen", "b", None, 0), ("first_seen", "a", None, 0)
    ]  # fmt: skip


def test_a_book_that_keeps_everything_opens_no_page() -> None:
    found = Diff(MemoryPageStore()).process(FareBatch.of_fares([fare()]))
    assert [change.kind for change in found.rows()] == [0]


def test_a_page_is_opened_once() -> None:
    book = Book()
    book.see(fare())
    assert book.see(fare(90, 1)) == [("fell", "a", 100, 1)]


@pytest.mark.parametrize("price", [90, 100, 110])
def test_what_a_page_in_doubt_remembers_is_first_seen_whatever_its_price_did(book: Book, price: int) -> None:
    assert book.see(fare(price, 5)) == [("opened", None, None, 5), ("first_seen", "a", 100, 5)]
    assert book.diff.counts.first_seen == 2
    assert book.doubted == [False]
    assert book.see(fare(price, 6)) == []


def test_a_cheaper_fare_of_the_remembered_time_is_first_seen(book: Book) -> None:
    assert book.see(fare(99)) == [("opened", None, None, 0), ("first_seen", "a", 100, 0)]


def test_within_the_noise_what_was_passed_on_is_the_new_anchor() -> None:
    book = Book()
    book.see(fare(10_000, source="noisy"))
    book.store.restart()
    assert book.see(fare(10_050, 1, source="noisy"))[1:] == [("first_seen", "a", 10_000, 1)]
    assert book.see(fare(10_150, 2, source="noisy")) == []
    assert book.see(fare(10_151, 3, source="noisy")) == [("rose", "a", 10_050, 3)]


@pytest.mark.parametrize(("price", "at", "count"), [(50, -1, "late"), (100, 0, "duplicates"), (120, 0, "duplicates")])
def test_an_observation_that_is_not_newer_leaves_the_doubt(book: Book, price: int, at: int, count: str) -> None:
    assert book.see(fare(price, at)) == [("opened", None, None, at), ("known", None, None, at)]
    assert asdict(book.diff.counts)[count] == 1
    assert book.doubted == [True]
    assert book.see(fare(100, 5)) == [("first_seen", "a", 100, 5)]


def test_what_is_not_observed_is_known_and_stays_in_doubt(book: Book) -> None:
    assert book.see(fare(80, 5, "b")) == [
        ("opened", None, None, 5), ("known", None, None, 5), ("first_seen", "b", None, 5)
    ]  # fmt: skip
    assert sorted(book.doubted) == [False, True]
    assert book.see(fare(80, 6, "b")) == []
    assert book.see(fare(100, 7)) == [("first_seen", "a", 100, 7)]


def test_what_is_doubted_and_no_longer_believed_is_gone(book: Book) -> None:
    late = 3 * DAY_MS + 1
    assert book.see(fare(80, late, "b")) == [
        ("opened", None, None, late), ("gone", None, 100, 3 * DAY_MS), ("first_seen", "b", None, late)
    ]  # fmt: skip
    assert book.doubted == [False]


def test_what_was_gone_and_comes_back_is_not_doubted(book: Book) -> None:
    late = 4 * DAY_MS
    assert book.see(fare(100, late))[1:] == [("gone", None, 100, 3 * DAY_MS), ("first_seen", "a", None, late)]
    assert book.doubted == [False]


def test_once_it_was_seen_a_series_of_the_same_batch_is_judged_as_ever(book: Book) -> None:
    assert book.see(fare(100, 1), fare(90, 2), fare(90, 3), fare(95, 4)) == [
        ("opened", None, None, 1), ("first_seen", "a", 100, 1), ("fell", "a", 100, 2), ("rose", "a", 90, 4)
    ]  # fmt: skip


def test_a_page_that_was_lost_remembers_nothing() -> None:
    book = Book()
    book.see(fare(), fare(80, brand="b"))
    book.store.lose()
    assert book.see(fare(100, 1)) == [("opened", None, None, 1), ("first_seen", "a", None, 1)]


def test_an_older_state_is_doubted_as_a_whole() -> None:
    book = Book()
    book.see(fare(100))
    old = book.store.saved()
    book.see(fare(60, 1), fare(50, 1, "b"))
    book.store.restart(old)
    assert book.see(fare(100, 2)) == [("opened", None, None, 2), ("first_seen", "a", 100, 2)]


def test_each_page_opens_at_its_own_first_tick(book: Book) -> None:
    next_day = {"departure_date": DAY + timedelta(1)}
    book.see(fare(brand="b", at=1))
    book.store.restart()
    seen = book.see(fare(70, 2, "c", **next_day), fare(70, 3, "c"), fare(60, 4, "c", **next_day))
    assert seen == [
        ("opened", None, None, 2), ("first_seen", "c", None, 2),
        ("opened", None, None, 3), ("known", None, None, 3), ("known", None, None, 3), ("first_seen", "c", None, 3),
        ("fell", "c", 70, 4),
    ]  # fmt: skip


def test_within_a_tick_what_the_page_says_comes_before_what_is_gone_or_rose() -> None:
    book = Book()
    later = 4 * DAY_MS
    book.see(fare(brand="lost"), fare(brand="kept", at=DAY_MS + 1), fare(50, DAY_MS + 1, "up"))
    book.store.restart()
    seen = book.see(fare(60, later, "up"), fare(10, later, "new"), fare(70, later + 1, "up"))
    assert [(kind, brand) for kind, brand, _, _ in seen] == [
        ("opened", None), ("known", None), ("gone", None), ("first_seen", "up"), ("first_seen", "new"), ("rose", "up")
    ]  # fmt: skip


def test_within_a_tick_what_may_have_risen_unheard_comes_before_what_is_new_and_the_dearest_first() -> None:
    book = Book()
    book.see(fare(50, brand="fell"), fare(50, brand="rose"), fare(50, brand="same"))
    book.store.restart()
    seen = book.see(fare(40, 1, "fell"), fare(60, 1, "rose"), fare(50, 1, "same"), fare(10, 1, "new"))
    assert [brand for kind, brand, _, _ in seen if kind == "first_seen"] == ["rose", "same", "fell", "new"]


def test_what_rose_for_certain_comes_before_what_may_have_risen() -> None:
    book = Book()
    next_day = {"departure_date": DAY + timedelta(1)}
    book.see(fare(50, brand="doubted"))
    book.store.restart()
    book.see(fare(50, 1, "risen", **next_day))
    seen = book.see(fare(40, 2, "doubted"), fare(60, 2, "risen", **next_day))
    assert [(kind, brand) for kind, brand, _, _ in seen[1:]] == [("rose", "risen"), ("first_seen", "doubted")]


def test_an_opened_row_says_only_which_page_and_when() -> None:
    book = Book()
    batch = book.changes(fare(at=5), fare(at=5, departure_date=DAY + timedelta(1)))
    opened = [row for row in batch.data.to_pylist() if row["kind"] == OPENED]
    given = {"kind", "series", "change_id", "market", "od", "departure_date", "observed_at"}
    assert [{name for name, value in row.items() if value is not None} for row in opened] == [given] * 2
    assert [(row["series"], row["market"], row["od"]) for row in opened] == [(0, 0, "JFK-LHR")] * 2
    assert [row["departure_date"] for row in opened] == [DAY, DAY + timedelta(1)]
    assert len(set(batch.ids.tolist())) == len(batch)


def test_a_known_row_says_only_which_series_and_when(book: Book) -> None:
    batch = book.changes(fare(brand="b", at=5))
    (known,) = [row for row in batch.data.to_pylist() if KIND_NAMES[row["kind"]] == "known"]
    given = {"kind", "series", "change_id", "market", "od", "departure_date", "observed_at"}
    assert {name for name, value in known.items() if value is not None} == given
    assert known["series"] == FareBatch.of_fares([fare()]).series[0]


@pytest.mark.parametrize("disturb", [lambda store: store.restart(), lambda store: store.lose()])
def test_a_batch_says_the_same_until_it_is_settled(disturb: Callable[[ForgetfulPageStore], None]) -> None:
    book = Book()
    book.see(fare(), fare(brand="b"))
    disturb(book.store)
    batch = FareBatch.of_fares([fare(100, 1)])
    first = book.diff.process(batch)
    assert book.diff.process(batch).data.equals(first.data)
    book.diff.settle()
    assert len(book.diff.process(batch)) == 0


def test_a_restart_between_reading_and_writing_is_noticed() -> None:
    book = Book()
    book.diff.process(FareBatch.of_fares([fare()]))
    book.store.restart()
    with pytest.raises(Transient):
        book.diff.settle()


def test_a_page_in_doubt_that_is_primed_stays_in_doubt(book: Book) -> None:
    prime = Diff(book.store, RULES, prime=True)
    assert len(prime.process(FareBatch.of_fares([fare(90, 1), fare(70, 1, "b")]))) == 0
    prime.settle()
    _, (page,) = book.store.get(0, [KEY])
    assert stamps_of([page or b""]) != book.store.incarnation
    assert book.see(fare(90, 2)) == [
        ("opened", None, None, 2), ("known", None, None, 2), ("first_seen", "a", 90, 2)
    ]  # fmt: skip


def test_a_page_that_is_primed_first_is_no_news_afterwards() -> None:
    book = Book()
    prime = Diff(book.store, RULES, prime=True)
    prime.process(FareBatch.of_fares([fare()]))
    prime.settle()
    assert book.see(fare(100, 1)) == []


def test_a_series_in_doubt_is_not_described_again(book: Book) -> None:
    before = book.store.describe(0, [KEY])
    book.see(fare(90, 1))
    assert book.store.describe(0, [KEY]) == before
