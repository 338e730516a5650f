"""What diff writes down about series that it sees first, so that readers of the price book know what they are."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from fms.model.batch import I64
from fms.model.change import FIRST_SEEN
from fms.model.clock import days_of
from fms.model.description import (
    fares_of, first_description, frame_of, line_count, lines_of, products_of, with_frame,
)  # fmt: skip
from fms.model.fare import FareBatch
from fms.model.hashing import U64
from fms.model.page import split_key
from fms.ports import PageStore
from fms.stages.compare import Compared, by_small

SPARE_LINES = 16
"""A description may hold so many lines more than twice its page's series before those of lost series are dropped."""


def describe(store: PageStore, batch: FareBatch, keys: Sequence[str], found: Compared) -> dict[str, bytes]:
    """The new descriptions of the pages that got series of which they did not know. Reads the old ones."""
    first = np.flatnonzero((found.kind == FIRST_SEEN) & found.present[found.slot])
    if not len(first):
        return {}
    frames = _frames(batch, found.row[first], found.page[found.slot[first]], len(keys))
    touched = [page for page, frame in enumerate(frames) if frame]
    old = store.describe(batch.partition, [keys[page] for page in touched])
    described: dict[str, bytes] = {}
    for page, before in zip(touched, old, strict=True):
        count, frame = frames[page] or (0, b"")
        described[keys[page]] = with_frame(before, count, frame) if before else first_description(count, frame)
    return described | _compacted(described, keys, found)


def _frames(batch: FareBatch, rows: I64, page: I64, pages: int) -> list[tuple[int, bytes] | None]:
    """For each page how many of the rows are its own, and their frame."""
    products = products_of(batch.data, rows)
    order = np.argsort(products.places)
    order = order[by_small(page[order])]
    places, bounds = products.places[order], np.searchsorted(page[order], np.arange(pages + 1)).tolist()
    packed: dict[bytes, tuple[int, bytes]] = {}
    frames: list[tuple[int, bytes] | None] = []
    for start, end in pairwise(bounds):
        which = places[start:end].tobytes()
        if which and which not in packed:
            packed[which] = end - start, frame_of([products.lines[place] for place in places[start:end].tolist()])
        frames.append(packed.get(which))
    return frames


def _compacted(described: Mapping[str, bytes], keys: Sequence[str], found: Compared) -> dict[str, bytes]:
    """Those that hold too many lines, without the lines of series that are no longer in their pages."""
    room = {key: SPARE_LINES + 2 * count for key, count in zip(keys, found.counts.tolist(), strict=True)}
    large = [key for key, value in described.items() if line_count(value) > room[key]]
    bounds = dict(zip(keys, pairwise([0, *np.cumsum(found.counts).tolist()]), strict=True))
    return {key: _kept(key, described[key], found.entries.series[slice(*bounds[key])]) for key in large}


def _kept(key: str, description: bytes, series: U64) -> bytes:
    od, departure = split_key(key)
    lines = list(dict.fromkeys(lines_of(description)))
    fares = fares_of(lines, [od] * len(lines), np.full(len(lines), days_of(departure)))
    # A later line says the same series better: its carrier and departure time are not part of what it is.
    latest = {one: line for one, line in zip(fares.series.tolist(), lines, strict=True)}
    kept = [latest[one] for one in series.tolist() if one in latest]
    return first_description(len(kept), frame_of(kept))
