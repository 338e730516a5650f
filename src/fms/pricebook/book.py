"""The price book as its readers see it: the fares of O&Ds that are still believed. Many questions are read as one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from fms.model.batch import I64
from fms.model.clock import days_of
from fms.model.description import fares_of, lines_of
from fms.model.evaluation import KnownFare
from fms.model.fare import SERIES_BITS, FareRows
from fms.model.page import Entries, decode_pages, is_believed, newest_of, page_key, pages_of, split_key, stamps_of
from fms.model.route import partition_of_od
from fms.ports import Known, PageStore, Question

_OWN_BITS = np.uint64(SERIES_BITS)

SHORT_DAYS = 62
"""So many days of an O&D are asked for one by one, which costs less than to list all that it has."""


FEW, REMEMBERED = 64, 4_096
"""What so many pages or fewer are described by is remembered, of so many pages at most: it hardly ever changes, and to
read it costs several times as much as to read the prices."""

_Series = dict[int, tuple[FareRows, int]]
"""Where each series of a page is described: rows of fares, and the place in them."""

_Remembered = dict[tuple[str, bytes], _Series]
"""By page and description."""


class Book:
    """Reads the price book in a store: a ``KnownFares``."""

    def __init__(self, store: PageStore) -> None:
        self._store = store
        self._remembered: _Remembered = {}

    def known(self, questions: Sequence[Question]) -> list[Known]:
        """See ``KnownFares``. Of each fare the last known price, and when it was last seen; by date and series."""
        catalogue = _Catalogue(self._store)
        asked = [catalogue.keys(question) for question in questions]
        pages = _Pages.read(self._store, {key for keys in asked for key in keys})
        all_rows = [pages.rows(keys, question) for keys, question in zip(asked, questions, strict=True)]
        rows = [pages.cheapest(some, question.cheapest) for some, question in zip(all_rows, questions, strict=True)]
        if len(self._remembered) > REMEMBERED:
            self._remembered.clear()
        fares = pages.fares(self._store, sorted({row for some in rows for row in some.tolist()}), self._remembered)
        return [
            Known(
                [fares[row] for row in some.tolist() if row in fares],
                pages.dates(keys),
                pages.doubted(keys),
                len(whole),
            )
            for keys, some, whole in zip(asked, rows, all_rows, strict=True)
        ]

    def newest(self, ods: Sequence[str]) -> dict[str, int]:
        """See ``KnownFares``."""
        found: dict[str, int] = {}
        for od in set(ods):
            keys = list(self._store.keys(od))
            newest = _Pages.read(self._store, keys).newest
            if times := [time for time in newest.tolist() if time != np.iinfo(np.int64).min]:
                found[od] = max(times)
        return found


class _Catalogue:
    """Which pages there may be, by O&D and day; each O&D is listed once, and only for a long or open window."""

    def __init__(self, store: PageStore) -> None:
        self._store = store
        self._days: dict[str, dict[date, str]] = {}

    def keys(self, question: Question) -> list[str]:
        """The keys of the pages that a question is about, by date; there may be none under some of them."""
        od, first, last = question.od, question.first or date.min, question.last or date.max
        if od not in self._days and (last - first).days < SHORT_DAYS:
            return [page_key(od, day) for day in range(days_of(first), days_of(last) + 1)]
        if od not in self._days:
            self._days[od] = {split_key(key)[1]: key for key in self._store.keys(od)}
        return [key for day, key in self._days[od].items() if first <= day <= last]


@dataclass(frozen=True)
class _Pages:
    """Pages behind one another.

    ``number``: key → place; ``starts``: first entry of each place, and the end; ``trusted``: whether nothing that was
    put into the page is missing from it.
    """

    number: dict[str, int]
    entries: Entries
    believed: npt.NDArray[np.bool_]
    starts: I64
    newest: I64
    trusted: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, store: PageStore, keys: Sequence[str] | set[str]) -> "_Pages":
        """Read the pages that are there."""
        raw: dict[str, bytes] = {}
        incarnations: list[int] = []
        for partition, some in _by_partition(keys):
            version, found = store.get(partition, some)
            raw |= {key: page for key, page in zip(some, found, strict=True) if page is not None}
            incarnations += [version.incarnation] * (len(raw) - len(incarnations))
        entries, counts = decode_pages(list(raw), list(raw.values()))
        newest = newest_of(entries, counts)
        believed = is_believed(entries.seen, entries.believe, newest[pages_of(counts)])
        starts = np.concatenate(([0], np.cumsum(counts)))
        trusted = stamps_of(list(raw.values())) == np.array(incarnations, np.int64)
        return cls({key: place for place, key in enumerate(raw)}, entries, believed, starts, newest, trusted)

    def dates(self, keys: Sequence[str]) -> frozenset[date]:
        """The departure dates of those keys that have a page which can be trusted."""
        return frozenset(split_key(key)[1] for key in keys if key in self.number and self.trusted[self.number[key]])

    def doubted(self, keys: Sequence[str]) -> frozenset[int]:
        """The series that may have changed unheard, on the pages of those keys."""
        if self.trusted.all() and not self.entries.doubt.any():
            return frozenset()
        rows = self._entries_of(keys)
        place = np.searchsorted(self.starts, rows, side="right") - 1
        return frozenset(self.entries.series[rows[self.entries.doubt[rows] | ~self.trusted[place]]].tolist())

    def _entries_of(self, keys: Sequence[str]) -> I64:
        places = [self.number[key] for key in keys if key in self.number]
        spans = [np.arange(self.starts[place], self.starts[place + 1]) for place in places]
        return np.concatenate(spans) if spans else np.empty(0, np.int64)

    def rows(self, keys: Sequence[str], question: Question) -> I64:
        """The entries that answer a question."""
        rows = self._entries_of(keys)
        keep = self.believed[rows]
        if question.market is not None:
            keep = keep & (self.entries.series[rows] >> _OWN_BITS == np.uint64(question.market) >> _OWN_BITS)
        if question.at_most is not None:
            keep = keep & (self.entries.price[rows] <= question.at_most)
        chosen: I64 = rows[keep]
        return chosen

    def cheapest(self, rows: I64, count: int | None) -> I64:
        """So many of some entries with the lowest prices, and all that cost the same; in their order."""
        if count is None or count >= len(rows):
            return rows
        if not count:
            return rows[:0]
        prices = self.entries.price[rows]
        chosen: I64 = rows[prices <= np.partition(prices, count - 1)[count - 1]]
        return chosen

    def fares(self, store: PageStore, rows: Sequence[int], remembered: _Remembered) -> dict[int, KnownFare]:
        """The fares of entries; only the descriptions of their pages are read."""
        if not rows:
            return {}
        keys = list(self.number)
        place_of = (np.searchsorted(self.starts, np.asarray(rows, np.int64), side="right") - 1).tolist()
        described = _described(store, [keys[place] for place in sorted(set(place_of))], remembered)
        found: dict[int, KnownFare] = {}
        for row, place in zip(rows, place_of, strict=True):
            series = int(self.entries.series[row])
            view, line = described[keys[place]].get(series, (None, 0))
            # A series without a description cannot be shown; it is known all the same.
            if view is not None:
                price, seen = int(self.entries.price[row]), int(self.entries.seen[row])
                found[row] = KnownFare(series, replace(view[line], price=price, observed_at=seen))
        return found


def _described(store: PageStore, keys: Sequence[str], remembered: _Remembered) -> dict[str, _Series]:
    """Where the series of each page are described."""
    found: dict[str, _Series] = {}
    new: dict[str, bytes] = {}
    for partition, some in _by_partition(keys):
        for key, value in zip(some, store.describe(partition, some), strict=True):
            known = remembered.get((key, value or b""))
            if known is None:
                new[key] = value or b""
            found[key] = known or {}
    if new:
        found |= _read_descriptions(new)
    if len(new) <= FEW:
        remembered |= {(key, value): found[key] for key, value in new.items()}
    return found


def _read_descriptions(values: Mapping[str, bytes]) -> dict[str, _Series]:
    texts: list[str] = []
    owners: list[str] = []
    for key, value in values.items():
        lines = lines_of(value) if value else []
        texts += lines
        owners += [key] * len(lines)
    splits = {key: split_key(key) for key in values}
    days = np.array([days_of(splits[owner][1]) for owner in owners], np.int64)
    batch = fares_of(texts, [splits[owner][0] for owner in owners], days)
    view = FareRows(batch.data)
    found: dict[str, _Series] = {key: {} for key in values}
    # Later lines win: they say better what was seen last.
    for row, (owner, series) in enumerate(zip(owners, batch.series.tolist(), strict=True)):
        found[owner][series] = view, row
    return found


def _by_partition(keys: Sequence[str] | set[str]) -> Iterator[tuple[int, list[str]]]:
    parts: dict[int, list[str]] = defaultdict(list)
    for key in sorted(keys):
        parts[partition_of_od(split_key(key)[0])].append(key)
    return iter(parts.items())
