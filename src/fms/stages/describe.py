"""What diff writes down about series that it sees first, so that readers of the price book know what they are."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from fms.model.batch import I64
from fms.model.change import FIRST_SEEN
from fms.model.clock import days_of
from fms.model.description import (
    fares_of,
    first_description,
    frame_of,
    line_count,
    lines_of,
    products_of,
    with_frame,
)
from fms.model.fare import FareBatch
from fms.model.hashing import U64
from fms.model.page import split_key
from fms.ports import PageStore
from fms.stages.compare import Compared, by_small

SPARE_LINES = 16
"""A description may hold so many lines more than twice its page's series before those of lost series are dropped."""


def describe(
    store: PageStore, batch: FareBatch, pages: Mapping[str, bytes | None], found: Compared
) -> dict[str, bytes]:
    """The new descriptions of the pages that got series of which they did not know.

    ``pages``: those of the batch as they are stored (None: not there); only their old descriptions are read.
    """
    # What a page remembers is described there, also if it is passed on as first seen because the page is in doubt.
    first = np.flatnonzero((found.kind == FIRST_SEEN) & (found.old < 0) & found.present[found.slot])
    if not len(first):
        return {}
    frames = _frames(batch, found.row[first], found.page[found.slot[first]], len(pages))
    whole = {frame: first_description(*frame) for frame in set(frames) if frame}
    fresh = {key: whole[frame] for key, frame in zip(pages, frames, strict=True) if frame}
    known = {key: n for n, (key, old) in enumerate(pages.items()) if old is not None and frames[n]}
    return fresh | _grown(store, batch.partition, frames, known, found) if known else fresh


def _frames(batch: FareBatch, rows: I64, page: I64, pages: int) -> list[tuple[int, bytes] | None]:
    """For each page how many of the rows are its own, and their frame; None: none."""
    products = products_of(batch.data, rows)
    order = np.argsort(products.places)
    order = order[by_small(page[order])]
    places = products.places[order]
    bounds = np.searchsorted(page[order], np.arange(pages + 1)).tolist()
    packed: dict[bytes, tuple[int, bytes] | None] = {b"": None}
    frames = []
    for start, end in pairwise(bounds):
        which = places[start:end].tobytes()
        if which not in packed:
            packed[which] = end - start, frame_of([products.lines[place] for place in places[start:end].tolist()])
        frames.append(packed[which])
    return frames


def _grown(
    store: PageStore,
    partition: int,
    frames: Sequence[tuple[int, bytes] | None],
    known: Mapping[str, int],
    found: Compared,
) -> dict[str, bytes]:
    """The descriptions of pages that have one, with their frame added. ``known``: the place of each page."""
    ends = np.cumsum(found.counts)
    grown = {}
    for (key, place), old in zip(known.items(), store.describe(partition, list(known)), strict=True):
        frame = frames[place] or (0, b"")
        value = with_frame(old, *frame) if old else first_description(*frame)
        series = found.entries.series[ends[place] - found.counts[place] : ends[place]]
        roomy = line_count(value) <= 2 * len(series) + SPARE_LINES
        grown[key] = value if roomy else _compacted(key, value, series)
    return grown


def _compacted(key: str, description: bytes, series: U64) -> bytes:
    """The description without the lines of series that are no longer in the page."""
    od, departure = split_key(key)
    lines = lines_of(description)
    fares = fares_of(lines, [od] * len(lines), np.full(len(lines), days_of(departure)))
    # A later line says the same series better: its carrier and departure time are not part of what it is.
    latest = dict(zip(fares.series.tolist(), lines, strict=True))
    kept = [latest[one] for one in series.tolist() if one in latest]
    return first_description(len(kept), frame_of(kept))
