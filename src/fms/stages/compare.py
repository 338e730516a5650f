"""The kernel of diff: observations against the series of their pages, in numpy. No store, no Arrow.

A *tick* is a run of observations of one time. All series of the pages that a batch touches, stored or seen now, form
one table; the ticks of a page are its *rounds*, and round k of every page is compared at once, since pages do not
know of one another. An ordinary feed has one round.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from fms.model.batch import I64, TICK_ROWS
from fms.model.change import FELL, FIRST_SEEN, ROSE
from fms.model.clock import DAY_MS
from fms.model.hashing import U64
from fms.model.page import Entries, is_believed, newest_of, pages_of

DUPLICATE, LATE, UNCHANGED = 6, 7, 8
"""What an observation can be if it is no change; the others are the kinds of ``fms.model.change``."""

U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Observations:
    """Rows of a batch in input order.

    Page: a number from 0; price in minor units; at: UTC ms; the rule of its source in basis points and days.
    """

    page: I64
    series: U64
    price: I64
    at: I64
    noise_bp: I64
    believe: I64


@dataclass(frozen=True)
class Gone:
    """Series that are no longer believed. ``slot`` is their place in the table, ``at`` last seen + believed, UTC ms."""

    slot: I64
    tick: I64
    at: I64
    price: I64


@dataclass(frozen=True)
class Opened:
    """What the book says of pages that may have forgotten, with the tick and time of the first row of each.

    ``page``, ``tick``, ``at``: such a page. ``slot``, ``slot_tick``, ``slot_at``: a series that it still has and of
    which the batch says nothing new.
    """

    page: I64
    tick: I64
    at: I64
    slot: I64
    slot_tick: I64
    slot_at: I64


@dataclass(frozen=True)
class Compared:
    """What the observations of a batch were, and the pages as they are afterwards.

    Attributes:
        row: the cheapest row of each series in each tick, which counts; the next four say more of each.
        kind: what it was; ``old``: the price before it, -1: none; ``tick``: the number of its tick, from 0.
        slot: the place of its series in the table.
        twins: further rows of the same series and tick.
        gone: the series that were dropped.
        opened: the pages that were not trusted.
        page, series: of each slot of the table.
        present: whether the slot is in its page afterwards; ``entries``, ``counts``: those that are, for the codec.
    """

    row: I64
    kind: U8
    old: I64
    tick: I64
    slot: I64
    twins: I64
    gone: Gone
    opened: Opened
    page: I64
    series: U64
    present: Bools
    entries: Entries
    counts: I64

    @property
    def duplicates(self) -> int:
        """Rows that say nothing new of a time that is known."""
        return int((self.kind == DUPLICATE).sum() + self.twins[self.kind != LATE].sum())

    @property
    def late(self) -> int:
        """Rows older than what is known."""
        return int((self.kind == LATE).sum() + self.twins[self.kind == LATE].sum())


def compare(stored: Entries, counts: I64, trusted: Bools, rows: Observations) -> Compared:
    """Observations (at least one) against the stored pages.

    ``counts``: entries of each page, which may be none. ``trusted``: whether the page is known not to have forgotten
    anything; all that others hold is doubted, and what is doubted is first seen again when it is seen next.
    """
    table, slot = _tabulate(stored, counts, trusted, rows)
    every_tick = ticks_of(rows.at)
    row, twins = _cheapest(slot, every_tick, rows.price)
    slot, tick = slot[row], every_tick[row]
    kind, old = np.empty(len(row), np.uint8), np.empty(len(row), np.int64)
    gone = []
    for round_number, turn in enumerate(_rounds(rows.page[row], tick)):
        page, at = rows.page[row[turn]], rows.at[row[turn]]
        gone.append(table.forget(page, at, tick[turn], everywhere=round_number == 0))
        kind[turn], old[turn] = table.observe(slot[turn], _pick(rows, row[turn]))
    here = table.here
    entries = Entries(table.series[here], table.price[here], table.seen[here], table.believe[here], table.doubt[here])
    left = np.bincount(table.page[here], minlength=len(counts))
    return Compared(
        row=row,
        kind=kind,
        old=old,
        tick=tick,
        slot=slot,
        twins=twins,
        gone=_joined(gone),
        opened=_opened(table, trusted, rows, every_tick),
        page=table.page,
        series=table.series,
        present=here,
        entries=entries,
        counts=left,
    )


def _pick(rows: Observations, which: I64) -> Observations:
    return Observations(*(getattr(rows, one.name)[which] for one in fields(rows)))


def _joined(parts: list[Gone]) -> Gone:
    if len(parts) == 1:
        return parts[0]
    return Gone(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("slot", "tick", "at", "price")))


def _opened(table: "_Table", trusted: Bools, rows: Observations, tick: I64) -> Opened:
    if trusted.all():
        return Opened(*(np.empty(0, np.int64) for _ in fields(Opened)))
    first = np.full(len(trusted), len(rows.at))
    np.minimum.at(first, rows.page, np.arange(len(rows.at)))
    page = np.flatnonzero(~trusted)
    slot = np.flatnonzero(table.here & table.doubt & ~trusted[table.page])
    slot_first = first[table.page[slot]]
    return Opened(page, tick[first[page]], rows.at[first[page]], slot, tick[slot_first], rows.at[slot_first])


def ticks_of(at: I64) -> I64:
    """The number of each row's tick, from 0: runs of equal time, chopped every ``TICK_ROWS`` rows."""
    place = np.arange(len(at))
    starts = np.ones(len(at), bool)
    starts[1:] = at[1:] != at[:-1]
    run_start = np.maximum.accumulate(np.where(starts, place, 0))
    return np.cumsum((place - run_start) % TICK_ROWS == 0) - 1


def _cheapest(slot: I64, tick: I64, price: I64) -> tuple[I64, I64]:
    """The cheapest row (the first of equals) of each series in each tick, and how many other rows each has."""
    if np.bincount(slot).max() == 1:
        return np.arange(len(slot)), np.zeros(len(slot), np.int64)
    order = np.lexsort((price, slot, tick))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (slot[order][1:] != slot[order][:-1]) | (tick[order][1:] != tick[order][:-1])
    starts = np.flatnonzero(fresh)
    return order[starts], np.diff(starts, append=len(order)) - 1


def _rounds(page: I64, tick: I64) -> Iterator[I64]:
    """The rows of each page's first tick, then those of each page's second, and so on."""
    pairs, pair = np.unique(page * (int(tick.max()) + 1) + tick, return_inverse=True)
    of_page = pairs // (int(tick.max()) + 1)
    number = (np.arange(len(pairs)) - np.searchsorted(of_page, of_page))[pair]
    order: I64 = np.argsort(number, kind="stable")
    ends = np.cumsum(np.bincount(number)).tolist()
    return (order[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True))


@dataclass
class _Table:
    """The series of some pages, by page and series. Changed in place.

    ``here``: whether it is in the page; ``doubt``: whether it may have changed while the page forgot.
    """

    page: I64
    series: U64
    starts: I64
    newest: I64
    price: I64
    seen: I64
    believe: I64
    doubt: Bools
    here: Bools
    _tick_of_page: I64 = field(init=False)

    def __post_init__(self) -> None:
        self._tick_of_page = np.zeros(len(self.newest), np.int64)

    def forget(self, page: I64, at: I64, tick: I64, *, everywhere: bool) -> Gone:
        """Let a tick's times into its pages, and drop what is no longer believed beside them."""
        self.newest[page] = np.maximum(self.newest[page], at)
        self._tick_of_page[page] = tick
        slots = np.arange(len(self.page)) if everywhere else self._slots_of(np.unique(page))
        kept = is_believed(self.seen[slots], self.believe[slots], self.newest[self.page[slots]])
        lost = slots[self.here[slots] & ~kept]
        self.here[lost] = self.doubt[lost] = False
        until = self.seen[lost] + self.believe[lost] * DAY_MS
        return Gone(lost, self._tick_of_page[self.page[lost]], until, self.price[lost])

    def _slots_of(self, pages: I64) -> I64:
        sizes = self.starts[pages + 1] - self.starts[pages]
        before = np.cumsum(sizes) - sizes
        slots: I64 = np.arange(int(sizes.sum())) + np.repeat(self.starts[pages] - before, sizes)
        return slots

    def observe(self, slot: I64, rows: Observations) -> tuple[U8, I64]:
        """Take one observation of each slot; answers what it was, and the price before (-1: none)."""
        here, old, seen = self.here[slot], self.price[slot], self.seen[slot]
        kind = _judge(rows, old, seen)
        kind[self.doubt[slot] & (kind != DUPLICATE) & (kind != LATE)] = FIRST_SEEN
        absent = ~here
        expected = is_believed(rows.at[absent], rows.believe[absent], self.newest[rows.page[absent]])
        kind[absent] = np.where(expected, FIRST_SEEN, LATE)
        self._take(slot, rows, kind)
        return kind, np.where(here, old, -1)

    def _take(self, slot: I64, rows: Observations, kind: U8) -> None:
        news = kind <= ROSE
        self.price[slot[news]] = rows.price[news]
        newer = news | (kind == UNCHANGED)
        self.seen[slot[newer]] = rows.at[newer]
        self.believe[slot[newer]] = rows.believe[newer]
        self.doubt[slot[newer]] = False
        self.here[slot[news]] = True


def _judge(rows: Observations, old: I64, seen: I64) -> U8:
    """What observations of series that are in their page are."""
    price, at = rows.price, rows.at
    still = price == old
    if rows.noise_bp.any():
        still = np.abs(price - old) * 10_000 <= rows.noise_bp * old
    kind = np.where(price < old, FELL, ROSE).astype(np.uint8)
    kind[still] = UNCHANGED
    kind[(at == seen) & (kind != FELL)] = DUPLICATE
    kind[at < seen] = LATE
    return kind


def _tabulate(stored: Entries, counts: I64, trusted: Bools, rows: Observations) -> tuple[_Table, I64]:
    """The table of all series, stored or observed, and for each observation its slot."""
    page = np.concatenate((pages_of(counts), rows.page))
    series = np.concatenate((stored.series, rows.series))
    slot, examples = _slots(page, series)
    known, size = slot[: len(stored)], len(examples)
    price, seen, believe = (np.zeros(size, np.int64) for _ in range(3))
    price[known], seen[known], believe[known] = stored.price, stored.seen, stored.believe
    doubt, here = np.zeros(size, bool), np.zeros(size, bool)
    doubt[known], here[known] = stored.doubt | ~trusted[pages_of(counts)], True
    starts = np.searchsorted(page[examples], np.arange(len(counts) + 1))
    newest = newest_of(stored, counts)
    table = _Table(page[examples], series[examples], starts, newest, price, seen, believe, doubt, here)
    return table, slot[len(stored) :]


def _slots(page: I64, series: U64) -> tuple[I64, I64]:
    """For each row the place of its (page, series) among the distinct ones, sorted; and one row of each."""
    # An unstable sort of the hashes and a radix sort of the small page numbers: a fifth of lexsort's time.
    order = np.argsort(series)
    order = order[by_small(page[order])]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (page[order][1:] != page[order][:-1]) | (series[order][1:] != series[order][:-1])
    slot = np.empty(len(order), np.int64)
    slot[order] = np.cumsum(fresh) - 1
    return slot, order[fresh]


def by_small(values: I64) -> I64:
    """A stable order of values from 0; quick if all are below 65,536."""
    order: I64 = np.argsort(values.astype(np.min_scalar_type(int(values.max(initial=0)))), kind="stable")
    return order
