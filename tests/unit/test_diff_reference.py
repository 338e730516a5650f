"""Diff against the same rules written row by row: however ticks are grouped, and however often a batch is processed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from fms.model.change import FELL, FIRST_SEEN, GONE, ROSE, Change
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.fare import Fare, FareBatch
from fms.model.page import decode_pages
from fms.model.rules import SourceRule, SourceRules
from fms.ports import Question
from fms.pricebook.book import Book
from fms.pricebook.memory import MemoryPageStore
from fms.stages.diff import Diff, DiffCounts
from tests.builders import FARE

NOON = 1_790_000_000_000
RULES = SourceRules(own={"noisy": SourceRule(noise_bp=100), "lasting": SourceRule(believe_days=0)})

Page = dict[int, Fare]
Said = tuple[int, int, date, int, int | None, int]
"""Kind, price (0: gone), departure, series, old price, observed at."""


@lru_cache
def series_of(fare: Fare) -> int:
    return int(FareBatch.of_fares([fare]).series[0])


class Reference:
    """What diff should do, one tick after another, with dictionaries."""

    def __init__(self) -> None:
        self.pages: dict[date, Page] = {}
        self.counts: Counter[str] = Counter()
        self.changes: list[Said] = []

    def tick(self, fares: Sequence[Fare]) -> None:
        found: list[Said] = []
        offers: dict[int, list[Fare]] = {}
        for fare in fares:
            offers.setdefault(series_of(replace(fare, price=0, observed_at=0)), []).append(fare)
        for day in {fare.departure_date for fare in fares}:
            found += self.drop(self.pages.setdefault(day, {}), fares[0].observed_at)
        for series, some in offers.items():
            cheapest = min(some, key=lambda fare: fare.price)
            found += self.observe(self.pages[cheapest.departure_date], series, cheapest, len(some) - 1)
        self.changes += sorted(
            found, key=lambda said: ((GONE, ROSE).index(said[0]) if said[0] >= ROSE else 9, *said[1:4])
        )

    def drop(self, page: Page, at: int) -> Iterator[Said]:
        newest = max([at, *(known.observed_at for known in page.values())])
        for series, known in list(page.items()):
            if is_old(known, newest):
                del page[series]
                self.counts["gone"] += 1
                yield GONE, 0, known.departure_date, series, known.price, known.observed_at + 3 * DAY_MS

    def observe(self, page: Page, series: int, fare: Fare, twins: int) -> Iterator[Said]:
        known = page.get(series)
        verdict = judge(page, known, fare)
        kinds = {"first_seen": FIRST_SEEN, "fell": FELL, "rose": ROSE}
        self.counts["moved" if verdict in ("fell", "rose") else verdict] += 1
        self.counts["late" if verdict == "late" else "duplicates"] += twins
        if verdict == "unchanged" and known:
            page[series] = replace(known, observed_at=fare.observed_at)
        if verdict in kinds:
            page[series] = fare
            old = known.price if known else None
            yield kinds[verdict], fare.price, fare.departure_date, series, old, fare.observed_at


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
    price = 0 if change.kind == GONE else change.fare.price
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
