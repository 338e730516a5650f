"""The price book as its readers see it: the fares of an O&D that are still believed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from fms.model.batch import I64
from fms.model.clock import days_of
from fms.model.description import fares_of, lines_of
from fms.model.evaluation import KnownFare
from fms.model.fare import FareRows
from fms.model.page import Entries, decode_pages, is_believed, newest_of, pages_of, split_key
from fms.model.route import partition_of_od
from fms.ports import Known, PageStore

CACHED_PAGES = 4096
"""Pages whose fares are kept decoded; beyond that all are forgotten."""


@dataclass(frozen=True)
class _Decoded:
    """A page's bytes, its newest observation (UTC ms; None: it is empty) and its believed fares."""

    page: bytes
    newest: int | None
    fares: Sequence[KnownFare]


class Book:
    """Reads the price book in a store: a ``KnownFares``."""

    def __init__(self, store: PageStore) -> None:
        self._store = store
        self._decoded: dict[str, _Decoded] = {}

    def known(self, od: str, first: date | None = None, last: date | None = None) -> Known:
        """What is known of an O&D, departing within the dates (inclusive; None: open).

        Of each fare: the last known price, and when it was last seen. Sorted by date and series.
        """
        dates = {key: split_key(key)[1] for key in self._store.keys(od)}
        keys = [key for key, day in dates.items() if (first or day) <= day <= (last or day)]
        pages = self._read(partition_of_od(od), keys)
        return Known(
            fares=[fare for page in pages.values() for fare in page.fares],
            dates=frozenset(dates[key] for key in pages),
            newest=max((page.newest for page in pages.values() if page.newest is not None), default=None),
        )

    def _read(self, partition: int, keys: Sequence[str]) -> dict[str, _Decoded]:
        _, found = self._store.get(partition, keys)
        pages = {key: page for key, page in zip(keys, found, strict=True) if page is not None}
        if len(self._decoded) + len(pages) > CACHED_PAGES:
            self._decoded.clear()
        decoded = {key: self._decoded[key] for key, page in pages.items() if self._is_fresh(key, page)}
        stale = {key: page for key, page in pages.items() if key not in decoded}
        if stale:
            decoded |= _decoded(stale, self._store.describe(partition, list(stale)))
            self._decoded |= decoded
        return {key: decoded[key] for key in pages}

    def _is_fresh(self, key: str, page: bytes) -> bool:
        known = self._decoded.get(key)
        return known is not None and known.page == page


def _decoded(pages: dict[str, bytes], descriptions: Sequence[bytes | None]) -> dict[str, _Decoded]:
    keys = list(pages)
    entries, counts = decode_pages(keys, list(pages.values()))
    page, newest = pages_of(counts), newest_of(entries, counts)
    rows = np.flatnonzero(is_believed(entries.seen, entries.believe, newest[page]))
    fares = _fares(keys, [lines_of(value) if value else [] for value in descriptions], entries, page, rows)
    times = [time if count else None for time, count in zip(newest.tolist(), counts.tolist(), strict=True)]
    return {
        key: _Decoded(raw, time, found)
        for (key, raw), time, found in zip(pages.items(), times, fares, strict=True)
    }  # fmt: skip


def _fares(
    keys: Sequence[str], lines: Sequence[Sequence[str]], entries: Entries, page: I64, rows: I64
) -> list[list[KnownFare]]:
    """For each page the fares of those ``rows`` of the entries that are its own."""
    splits = [split_key(key) for key in keys]
    of_line = np.repeat(np.arange(len(keys)), [len(some) for some in lines])
    days = np.array([days_of(day) for _, day in splits], np.int64)[of_line]
    batch = fares_of([line for some in lines for line in some], [splits[n][0] for n in of_line.tolist()], days)
    view = FareRows(batch.data)
    # Later lines win: they say better what was seen last.
    places = {place: n for n, place in enumerate(zip(of_line.tolist(), batch.series.tolist(), strict=True))}
    found: list[list[KnownFare]] = [[] for _ in keys]
    for row in rows.tolist():
        series = int(entries.series[row])
        line = places.get((int(page[row]), series))
        if line is not None:
            fare = replace(view[line], price=int(entries.price[row]), observed_at=int(entries.seen[row]))
            found[int(page[row])].append(KnownFare(series, fare))
    return found
