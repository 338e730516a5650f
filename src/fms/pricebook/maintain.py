"""Housekeeping of the price book: pages whose flights have left."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice

from fms.errors import Transient
from fms.model.clock import date_of, utc_day
from fms.model.page import Entries, decode_pages, split_key
from fms.model.route import partition_of_od
from fms.ports import PageStore

KEPT_DAYS = 2
"""Pages are kept for so many days after departure, by the time of the newest observation."""

PAGES_AT_ONCE = 5_000


def newest_observation(store: PageStore) -> int | None:
    """The time of the newest observation in any page, UTC ms; None if there is none. Reads the whole book."""
    newest = [int(entries.seen.max()) for entries in _all_entries(store) if len(entries)]
    return max(newest, default=None)


def _all_entries(store: PageStore) -> Iterator[Entries]:
    keys = store.keys()
    while some := list(islice(keys, PAGES_AT_ONCE)):
        _, found = store.get(0, some)
        pages = {key: page for key, page in zip(some, found, strict=True) if page is not None}
        yield decode_pages(list(pages), list(pages.values()))[0]


def drop_departed(store: PageStore, newest: int) -> int:
    """Drop the pages departed more than ``KEPT_DAYS`` before ``newest`` (UTC ms); answers how many.

    Raises Transient if somebody else writes the book meanwhile; what is dropped by then stays dropped.
    """
    end = date_of(utc_day(newest)) - timedelta(days=KEPT_DAYS)
    departed: dict[int, list[str]] = defaultdict(list)
    for key in store.keys():  # noqa: SIM118  # a store is no mapping
        od, departure = split_key(key)
        if departure < end:
            departed[partition_of_od(od)].append(key)
    for partition, keys in departed.items():
        _drop(store, partition, keys)
    return sum(map(len, departed.values()))


def _drop(store: PageStore, partition: int, keys: Sequence[str]) -> None:
    version, _ = store.get(partition, [])
    nothing = dict.fromkeys(keys)
    if not store.put(partition, version, nothing, nothing):
        raise Transient(f"somebody else wrote partition {partition} of the price book")
