"""Diff: fares against the price book. What moved is passed on; the book follows when that is safe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from fms.errors import Transient
from fms.model.batch import I64, ints, one_batch
from fms.model.change import FIRST_SEEN, GONE, ChangeBatch
from fms.model.fare import FareBatch
from fms.model.hashing import codes
from fms.model.page import MOST_DAYS, Entries, decode_pages, encode_pages, page_key, stamps_of
from fms.model.rules import SourceRules
from fms.ports import PageStore, Version
from fms.stages.compare import UNCHANGED, Bools, Compared, Observations, compare
from fms.stages.describe import describe
from fms.stages.news import Pages, changes_of


@dataclass
class DiffCounts:
    """What settled rows were. All but ``gone`` add up to the rows taken."""

    duplicates: int = 0
    late: int = 0
    unchanged: int = 0
    first_seen: int = 0
    moved: int = 0
    gone: int = 0

    def add(self, other: "DiffCounts") -> None:
        """Count another batch's rows too."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(frozen=True)
class _Unsettled:
    partition: int
    version: Version
    pages: Mapping[str, bytes]
    descriptions: Mapping[str, bytes]
    newest: int
    counts: DiffCounts


class Diff:
    """The diff stage: ``process`` reads the price book and compares, ``settle`` writes it.

    Args:
        store: the price book's pages.
        rules: of the sources of fares.
        prime: load the book without passing changes on.

    A store that may forget makes it say more: see ``opened`` and ``known`` of ``ChangeBatch``.

    Attributes:
        counts: what the rows of all settled batches were.
    """

    def __init__(self, store: PageStore, rules: SourceRules | None = None, *, prime: bool = False) -> None:
        self._store = store
        self._rules = rules or SourceRules()
        self._prime = prime
        self._unsettled: _Unsettled | None = None
        self.counts = DiffCounts()

    def process(self, batch: FareBatch) -> ChangeBatch:
        """The changes that the batch makes, in the order that ``ChangeBatch`` states."""
        self._unsettled = None
        if not len(batch):
            return _no_changes(batch.partition)
        pages = _pages(batch)
        version, raw = self._store.get(batch.partition, pages.keys)
        stored = _stored(pages, raw)
        trusted = stored.trusted(version.incarnation)
        found = compare(stored.entries, stored.counts, trusted, _observations(batch, pages, self._rules))
        # What is primed is not passed on, so a page that may have forgotten must go on saying so.
        stamps = np.where(self._prime & (stored.stamps >= 0), stored.stamps, version.incarnation)
        written = encode_pages(found.entries, found.counts.tolist(), stamps.tolist())
        moved = {key: new for key, new, old in zip(pages.keys, written, raw, strict=True) if new != old}
        descriptions = describe(self._store, batch, dict(zip(pages.keys, raw, strict=True)), found)
        newest = int(ints(batch.column("observed_at")).max())
        self._unsettled = _Unsettled(batch.partition, version, moved, descriptions, newest, _counted(found))
        return _no_changes(batch.partition) if self._prime else changes_of(batch, pages, found)

    def settle(self) -> None:
        """Write the pages of the last ``process``. Raises Transient, with nothing written, if they moved meanwhile."""
        last, self._unsettled = self._unsettled, None
        if last is None:
            return
        if not self._store.put(last.partition, last.version, last.pages, last.descriptions, last.newest):
            raise Transient(f"somebody else wrote partition {last.partition} of the price book")
        self.counts.add(last.counts)


def _no_changes(partition: int) -> ChangeBatch:
    return ChangeBatch(one_batch(ChangeBatch.SCHEMA.empty_table()), partition)


def _pages(batch: FareBatch) -> Pages:
    od, day = codes(batch.column("od")), ints(batch.column("departure_date"))
    first, span = int(day.min()), int(day.max() - day.min()) + 1
    found, of_row = np.unique(od * span + (day - first), return_inverse=True)
    page_od, page_day = found // span, found % span + first
    names = batch.column("od").dictionary.to_pylist()
    keys = [page_key(names[code], day) for code, day in zip(page_od.tolist(), page_day.tolist(), strict=True)]
    return Pages(keys, page_od, page_day, of_row)


@dataclass(frozen=True)
class _Stored:
    """The pages of a batch as the store has them: entries, how many of each page, its stamp (-1: not there)."""

    entries: Entries
    counts: I64
    stamps: I64

    def trusted(self, incarnation: int) -> Bools:
        """Whether the page has everything that was ever put there."""
        # Where nothing is ever forgotten, a page that is not there never was.
        never_there = (self.stamps < 0) & (incarnation == 0)
        trusted: Bools = never_there | (self.stamps == incarnation)
        return trusted


def _stored(pages: Pages, raw: Sequence[bytes | None]) -> _Stored:
    there = {number: page for number, page in enumerate(raw) if page is not None}
    places, found = list(there), list(there.values())
    entries, sizes = decode_pages([pages.keys[number] for number in places], found)
    counts, stamps = np.zeros(len(raw), np.int64), np.full(len(raw), -1)
    counts[places], stamps[places] = sizes, stamps_of(found)
    return _Stored(entries, counts, stamps)


def _observations(batch: FareBatch, pages: Pages, rules: SourceRules) -> Observations:
    source = batch.column("source")
    known = [rules.of(name) for name in source.dictionary.to_pylist()] + [rules.default]
    code = codes(source)
    return Observations(
        page=pages.of_row,
        series=batch.series,
        price=ints(batch.column("price")),
        at=ints(batch.column("observed_at")),
        noise_bp=np.array([rule.noise_bp for rule in known])[code],
        believe=np.array([min(rule.believe_days, MOST_DAYS) for rule in known])[code],
    )


def _counted(found: Compared) -> DiffCounts:
    of_kind = np.bincount(found.kind, minlength=UNCHANGED + 1).tolist()
    return DiffCounts(
        duplicates=found.duplicates,
        late=found.late,
        unchanged=of_kind[UNCHANGED],
        first_seen=of_kind[FIRST_SEEN],
        moved=sum(of_kind[FIRST_SEEN + 1 : GONE]),
        gone=len(found.gone.slot),
    )
