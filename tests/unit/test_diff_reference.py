"""Diff against the same rules written row by row.

However ticks are grouped, however often a batch is processed, and whatever the price book forgets in between.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fms.model.change import FELL, FIRST_SEEN, GONE, KNOWN, OPENED, ROSE, Change
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.fare import Fare, FareBatch
from fms.model.page import decode_pages
from fms.model.rules import SourceRule, SourceRules
from fms.ports import Question
from fms.pricebook.book import Book
from fms.pricebook.memory import MemoryPageStore
from fms.stages.diff import Diff, DiffCounts
from tests.builders import FARE
from tests.forgetful import ForgetfulPageStore

NOON = 1_790_000_000_000
RULES = SourceRules(own={"noisy": SourceRule(noise_bp=100), "lasting": SourceRule(believe_days=0)})

Page = dict[int, Fare]
Said = tuple[int, int, date, int, int | None, int]
"""Kind, price (0: none), departure, series, old price, observed at."""


TURNS = {OPENED: 0, KNOWN: 0, GONE: 1, ROSE: 2, FIRST_SEEN: 4, FELL: 4}
"""What comes first within a tick."""


@lru_cache
def series_of(fare: Fare) -> int:
    return int(FareBatch.of_fares([fare]).series[0])


class Reference:
    """What diff should do, one tick after another, with dictionaries; ``forgets``: over a book that may forget.

    A batch is the ticks between two calls of ``end_batch``.
    """

    def __init__(self, *, forgets: bool = False) -> None:
        self.pages: dict[date, Page] = {}
        self.trusted: set[date] = set()
        self.doubted: set[tuple[date, int]] = set()
        self.counts: Counter[str] = Counter()
        self.changes: list[Said] = []
        self._forgets = forgets
        self._ticks: list[list[Said]] = []
        self._opened: dict[date, tuple[int, int]] = {}

    def tick(self, fares: Sequence[Fare]) -> None:
        found: list[Said] = []
        self._ticks.append(found)
        offers: dict[int, list[Fare]] = {}
        for fare in fares:
            offers.setdefault(series_of(replace(fare, price=0, observed_at=0)), []).append(fare)
        for day in {fare.departure_date for fare in fares}:
            self.open(day, fares[0].observed_at)
            found += self.drop(self.pages.setdefault(day, {}), fares[0].observed_at)
        for series, some in offers.items():
            cheapest = min(some, key=lambda fare: fare.price)
            found += self.observe(self.pages[cheapest.departure_date], series, cheapest, len(some) - 1)

    def open(self, day: date, at: int) -> None:
        if self._forgets and day not in self.trusted and day not in self._opened:
            self._opened[day] = len(self._ticks) - 1, at
            self._ticks[-1].append((OPENED, 0, day, 0, None, at))
            self.doubted |= {(day, series) for series in self.pages.get(day, {})}

    def end_batch(self) -> None:
        for day, (tick, at) in self._opened.items():
            known = [series for series in self.pages[day] if (day, series) in self.doubted]
            self._ticks[tick] += [(KNOWN, 0, day, series, None, at) for series in known]
        for found in self._ticks:
            self.changes += sorted(found, key=place)
        self.trusted |= self._opened.keys()
        self._ticks, self._opened = [], {}

    def drop(self, page: Page, at: int) -> Iterator[Said]:
        newest = max([at, *(known.observed_at for known in page.values())])
        for series, known in list(page.items()):
            if is_old(known, newest):
                del page[series]
                self.doubted.discard((known.departure_date, series))
                self.counts["gone"] += 1
                yield GONE, 0, known.departure_date, series, known.price, known.observed_at + 3 * DAY_MS

    def observe(self, page: Page, series: int, fare: Fare, twins: int) -> Iterator[Said]:
        known = page.get(series)
        verdict = judge(page, known, fare)
        if (fare.departure_date, series) in self.doubted and verdict in ("fell", "rose", "unchanged"):
            self.doubted.remove((fare.departure_date, series))
            verdict = "first_seen"
        kinds = {"first_seen": FIRST_SEEN, "fell": FELL, "rose": ROSE}
        self.counts["moved" if verdict in ("fell", "rose") else verdict] += 1
        self.counts["late" if verdict == "late" else "duplicates"] += twins
        if verdict == "unchanged" and known:
            page[series] = replace(known, observed_at=fare.observed_at)
        if verdict in kinds:
            page[series] = fare
            old = known.price if known else None
            yield kinds[verdict], fare.price, fare.departure_date, series, old, fare.observed_at


def place(said: Said) -> tuple[Any, ...]:
    """Where a change comes in its tick: what may have risen unheard before what did not, the dearest of it first."""
    kind, price, day, series, old, _ = said
    doubted = kind == FIRST_SEEN and old is not None
    return (3, -price, day, series) if doubted else (TURNS[kind], price, day, series)


def judge(page: Page, known: Fare | None, fare: Fare) -> str:
    if known is None:
        newest = max([fare.observed_at, *(one.observed_at for one in page.values())])
        return "late" if is_old(fare, newest) else "first_seen"
    if fare.observed_at < known.observed_at:
        return "late"
    still = abs(fare.price - known.price) * 10_000 <= RULES.of(fare.source).noise_bp * known.price
    if fare.observed_at == known.observed_at and (still or fare.price > known.price):
        return "duplicates"
    return "unchanged" if still else "fell" if fare.price < known.price else "rose"


def is_old(fare: Fare, newest: int) -> bool:
    days = RULES.of(fare.source).believe_days
    return days > 0 and newest - fare.observed_at > days * DAY_MS


FARES = st.builds(
    lambda day, brand, source, price: replace(
        FARE, departure_date=FARE.departure_date + timedelta(day), fare_brand=brand, source=source, price=price
    ),
    st.integers(0, 2), st.sampled_from(["light", "flex", None]), st.sampled_from(["one", "noisy", "lasting"]),
    st.integers(95, 105) | st.sampled_from([10_000, 10_050, 10_100]),
)  # fmt: skip
TICKS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 40, 73, 75, 150]), st.lists(FARES, min_size=1, max_size=8)), max_size=9
)


def ticks_of(drawn: list[tuple[int, list[Fare]]]) -> Iterator[list[Fare]]:
    """The drawn fares with their times; neighbours of one time are one tick."""
    for hours, group in groupby(drawn, key=lambda one: one[0]):
        yield [replace(fare, observed_at=NOON + hours * HOUR_MS) for _, fares in group for fare in fares]


def settled(diff: Diff, fares: Sequence[Fare], *, repeat: bool) -> list[Said]:
    batch = FareBatch.of_fares(fares)
    if repeat:
        diff.process(batch)
    found = list(diff.process(batch).rows())
    diff.settle()
    return [said(change) for change in found]


def said(change: Change) -> Said:
    price = change.fare.price if change.kind <= ROSE else 0
    return change.kind, price, change.fare.departure_date, change.series, change.old_price, change.observed_at


@given(drawn=TICKS, cuts=st.sets(st.integers(0, 8)), repeated=st.sets(st.integers(0, 8)))
def test_the_result_is_that_of_row_by_row_however_ticks_are_grouped(
    drawn: list[tuple[int, list[Fare]]], cuts: set[int], repeated: set[int]
) -> None:
    reference, store = Reference(), MemoryPageStore()
    diff = Diff(store, RULES)
    changes: list[Said] = []
    waiting: list[Fare] = []
    for number, tick in enumerate(ticks_of(drawn)):
        reference.tick(tick)
        waiting += tick
        if number in cuts:
            changes += settled(diff, waiting, repeat=number in repeated)
            waiting = []
    changes += settled(diff, waiting, repeat=False)
    reference.end_batch()
    assert changes == reference.changes
    assert asdict(diff.counts) == {name: reference.counts[name] for name in asdict(DiffCounts())}
    assert pages_in(store) == {day: page_as_stored(page) for day, page in reference.pages.items()}
    known = {(found.series, found.fare) for found in Book(store).known([Question("JFK-LHR")])[0].fares}
    assert known == {
        (series, fare)
        for page in reference.pages.values()
        for series, fare in page.items()
        if not is_old(fare, max(one.observed_at for one in page.values()))
    }


EVENTS = st.sampled_from(["nothing", "save", "restart", "go back", "lose all", "lose one"])


@given(drawn=TICKS, events=st.dictionaries(st.integers(0, 8), EVENTS))
def test_the_result_is_that_of_row_by_row_whatever_the_book_forgets(
    drawn: list[tuple[int, list[Fare]]], events: dict[int, str]
) -> None:
    reference, store = Reference(forgets=True), ForgetfulPageStore()
    diff = Diff(store, RULES)
    changes: list[Said] = []
    waiting: list[Fare] = []
    saved = deepcopy((reference.pages, reference.doubted)), store.saved()
    for number, tick in enumerate(ticks_of(drawn)):
        reference.tick(tick)
        waiting += tick
        if number not in events:
            continue
        changes += settled(diff, waiting, repeat=False)
        waiting = []
        reference.end_batch()
        if events[number] == "save":
            saved = deepcopy((reference.pages, reference.doubted)), store.saved()
        disturb(events[number], reference, store, saved)
    changes += settled(diff, waiting, repeat=False)
    reference.end_batch()
    assert changes == reference.changes
    assert asdict(diff.counts) == {name: reference.counts[name] for name in asdict(DiffCounts())}
    assert pages_in(store) == {day: page_as_stored(page) for day, page in reference.pages.items()}


def disturb(event: str, reference: Reference, store: ForgetfulPageStore, saved: Any) -> None:
    if event == "restart":
        store.restart()
        reference.trusted.clear()
    if event == "go back":
        store.restart(saved[1])
        reference.pages, reference.doubted = deepcopy(saved[0])
        reference.trusted.clear()
    if event.startswith("lose"):
        lost = set(reference.pages) if event == "lose all" else {FARE.departure_date}
        store.lose(f"JFK-LHR:{day}" for day in lost)
        reference.trusted -= lost
        reference.doubted = {one for one in reference.doubted if one[0] not in lost}
        for day in lost:
            reference.pages.pop(day, None)


def pages_in(store: MemoryPageStore) -> dict[date, list[tuple[int, int, int]]]:
    found = {}
    for key in store.keys():  # noqa: SIM118  # a store is no mapping
        _, (page,) = store.get(0, [key])
        entries, _ = decode_pages([key], [page or b""])
        columns = (entries.series.tolist(), entries.price.tolist(), entries.seen.tolist())
        found[date.fromisoformat(key[8:])] = list(zip(*columns, strict=True))
    return found


def page_as_stored(page: Page) -> list[tuple[int, int, int]]:
    return sorted((series, fare.price, fare.observed_at) for series, fare in page.items())
