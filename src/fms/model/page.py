"""Pages of the price book: all series of one O&D and departure date, as bytes.

A page is a format byte and a stamp (uint32: the incarnation of the store in which it was written), then entries of 24
bytes in the order of their series: series uint64, price int64 in minor units, and a uint64 of the time last seen (UTC
ms, signed, the lower 48 bits), of the days for which that is believed (15 bits; 0: always) and of doubt (the highest
bit). All little endian. A page that bears another stamp than that of the store as it is now is not *trusted*: it may be
older than what the store had forgotten. A *doubted* entry comes from such a page and was not seen since.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from fms.errors import Fatal
from fms.model.batch import I64
from fms.model.clock import DAY_MS, date_of, parse_date
from fms.model.hashing import U64

FORMAT = b"\x02"
MOST_DAYS = 0x7FFF
"""The longest belief that a page can hold; sources that are believed for longer are believed as long as this."""

_HEADER = 5
_ENTRY = np.dtype([("series", "<u8"), ("price", "<i8"), ("seen", "<u8")])
_TIME_BITS = np.uint64(48)
_DOUBT_BIT = np.uint64(63)
_TIME = np.uint64((1 << 48) - 1)


@dataclass(frozen=True)
class Entries:
    """Entries of one or many pages in columns.

    Series; price in minor units; last seen in UTC ms; believed, days; whether it is doubted.
    """

    series: U64
    price: I64
    seen: I64
    believe: I64
    doubt: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.series)


def page_key(od: str, day: int) -> str:
    """The key of an O&D's page for a departure day (days since 1970): ``JFK-LHR:2026-12-01``."""
    return f"{od}:{_iso(day)}"


@lru_cache(maxsize=4096)
def _iso(day: int) -> str:
    return date_of(day).isoformat()


def split_key(key: str) -> tuple[str, date]:
    """O&D and departure date of a page's key; raises Invalid."""
    od, _, day = key.rpartition(":")
    return od, parse_date(day)


def decode_pages(keys: Sequence[str], pages: Sequence[bytes]) -> tuple[Entries, I64]:
    """The entries of pages, behind one another, and how many are of each page. Raises Fatal, naming the key."""
    sizes = np.fromiter(map(len, pages), np.int64, len(pages))
    if {page[:1] for page in pages} - {FORMAT} or np.any(sizes % _ENTRY.itemsize != _HEADER):
        raise Fatal(_unreadable(keys, pages))
    raw = np.frombuffer(b"".join([page[_HEADER:] for page in pages]), _ENTRY)
    packed = raw["seen"]
    entries = Entries(
        series=raw["series"].astype(np.uint64),
        price=raw["price"].astype(np.int64),
        # The shift to the left and back spreads the sign of times before 1970.
        seen=(packed << np.uint64(16)).astype(np.uint64).view(np.int64) >> 16,
        believe=(packed >> _TIME_BITS).astype(np.int64) & MOST_DAYS,
        doubt=packed >> _DOUBT_BIT != 0,
    )
    return entries, sizes // _ENTRY.itemsize


def _unreadable(keys: Sequence[str], pages: Sequence[bytes]) -> str:
    for key, page in zip(keys, pages, strict=True):
        if page[:1] != FORMAT:
            return f"page {key} of the price book has a format that this version does not know: {page[:1].hex()}"
        if len(page) % _ENTRY.itemsize != _HEADER:
            return f"page {key} of the price book is damaged: {len(page)} bytes"
    raise AssertionError("every page is readable")


def stamps_of(pages: Sequence[bytes]) -> I64:
    """The stamps of pages that ``decode_pages`` has read."""
    return np.frombuffer(b"".join([page[1:_HEADER] for page in pages]), "<u4").astype(np.int64)


def encode_pages(entries: Entries, counts: Iterable[int], stamps: Sequence[int]) -> list[bytes]:
    """The pages of entries that lie behind one another, ``counts`` of them in each, sorted by series within it."""
    raw = np.empty(len(entries), _ENTRY)
    raw["series"], raw["price"] = entries.series, entries.price
    upper = entries.believe.astype(np.uint64) << _TIME_BITS | entries.doubt.astype(np.uint64) << _DOUBT_BIT
    raw["seen"] = (entries.seen.view(np.uint64) & _TIME) | upper
    whole = raw.tobytes()
    heads = {stamp: FORMAT + stamp.to_bytes(_HEADER - 1, "little") for stamp in set(stamps)}
    bounds = accumulate((count * _ENTRY.itemsize for count in counts), initial=0)
    return [heads[stamp] + whole[start:end] for stamp, (start, end) in zip(stamps, pairwise(bounds), strict=True)]


def pages_of(counts: I64) -> I64:
    """For each entry the number of its page."""
    return np.repeat(np.arange(len(counts)), counts)


def newest_of(entries: Entries, counts: I64) -> I64:
    """The newest observation in each page, UTC ms; of an empty page the smallest integer."""
    newest = np.full(len(counts), np.iinfo(np.int64).min)
    np.maximum.at(newest, pages_of(counts), entries.seen)
    return newest


def is_believed(seen: I64, believe: I64, newest: I64) -> npt.NDArray[np.bool_]:
    """Whether observations of that time (UTC ms) and belief (days) still count beside the page's newest one."""
    old: npt.NDArray[np.bool_] = (believe > 0) & (newest - seen > believe * DAY_MS)
    return ~old
