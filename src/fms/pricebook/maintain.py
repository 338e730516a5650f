"""Housekeeping of the price book: pages whose flights have left."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from fms.errors import Transient
from fms.model.clock import date_of, utc_day
from fms.model.page import split_key
from fms.model.route import partition_of_od
from fms.ports import PageStore

TRIES = 100
"""How often it is tried to write between two puts of a worker that is busy."""

KEPT_DAYS = 2
"""Pages are kept for so many days after departure, by the time of the newest observation."""

PAGES_AT_ONCE = 5_000
TRIES = 10
"""How often somebody else may write in between: workers go on while pages are dropped."""


def drop_departed(store: PageStore, newest: int) -> int:
    """Drop the pages departed more than ``KEPT_DAYS`` before ``newest`` (UTC ms); answers how many.

    Raises Transient if somebody else writes the book all the time; what is dropped by then stays dropped.
    """
    end = date_of(utc_day(newest)) - timedelta(days=KEPT_DAYS)
    departed: dict[int, list[str]] = defaultdict(list)
    for key in store.keys():  # noqa: SIM118  # a store is no mapping
        od, departure = split_key(key)
        if departure < end:
            departed[partition_of_od(od)].append(key)
    for partition, keys in departed.items():
        for start in range(0, len(keys), PAGES_AT_ONCE):
            _drop(store, partition, keys[start : start + PAGES_AT_ONCE])
    return sum(map(len, departed.values()))


def _drop(store: PageStore, partition: int, keys: Sequence[str]) -> None:
    nothing = dict.fromkeys(keys)
    for _ in range(TRIES):
        version, _pages = store.get(partition, [])
        if store.put(partition, version, nothing, nothing):
            return
    raise Transient(f"somebody else keeps writing partition {partition} of the price book")
