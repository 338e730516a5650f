"""Changes: what diff passes on. A series was first seen, fell, rose, or is gone.

A price book that may have forgotten says more (docs/decisions/0007): a page is opened, and which series it still knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pyarrow as pa

from fms.model.batch import Batch, ints
from fms.model.fare import FARE_SCHEMA, Fare, FareRows
from fms.model.hashing import U64

FIRST_SEEN, FELL, ROSE, GONE, OPENED, KNOWN = range(6)
KIND_NAMES = ("first_seen", "fell", "rose", "gone", "opened", "known")

CHANGE_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.uint8(), nullable=False),  # its place in KIND_NAMES
        pa.field("series", pa.uint64(), nullable=False),  # 0 for opened
        pa.field("change_id", pa.uint64(), nullable=False),  # of the series and the new observation, not of two prices
        pa.field("market", pa.uint64(), nullable=False),  # 0 for gone, opened and known
        pa.field("old_price", pa.int64()),  # null: first seen, unless the book doubts what it remembers
        *[field.with_nullable(True) if field.name == "price" else field for field in FARE_SCHEMA],
    ]
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change. ``fare`` is the new observation; of ``gone``, ``opened`` and ``known`` only O&D, date and time."""

    kind: int
    series: int
    id: int
    old_price: int | None
    fare: Fare

    @property
    def observed_at(self) -> int:
        """UTC ms; of ``gone``: last seen plus the time that its source is believed."""
        return self.fare.observed_at


@dataclass(frozen=True)
class ChangeBatch(Batch):
    """Changes of one partition in the order in which alerts are to be folded over them.

    That order: ticks as they came (see ``fms.stages.diff``); within one: opened and known, gone, rose, what is first
    seen with an old price (the dearest first), then the cheaper, then the earlier departure, then the series. Of a
    ``gone`` row only kind, series, id, O&D, departure date,
    observed_at (last seen + believed) and old_price (the last known) are set.

    ``opened``: the page of this O&D and departure date begins here or begins again, and what was known of it before
    may be lost; no series. ``known``: a series that such a page still has and of which the batch says nothing new.
    Both bear the time of the page's first tick. A ``first_seen`` row with an old price is a series that such a page
    remembers, passed on whatever its price did, because what it did in between may be forgotten.
    """

    KIND: ClassVar[str] = "change"
    SCHEMA: ClassVar[pa.Schema] = CHANGE_SCHEMA

    @cached_property
    def kinds(self) -> U64:
        """The kind of each row."""
        return self.column("kind").to_numpy()  # type: ignore[no-any-return]  # pyarrow is untyped

    @cached_property
    def series(self) -> U64:
        """The series of each row."""
        return self.column("series").to_numpy()  # type: ignore[no-any-return]  # pyarrow is untyped

    @cached_property
    def ids(self) -> U64:
        """The id of each row: of the series (opened: the page), the time and the new price (0: none)."""
        return self.column("change_id").to_numpy()  # type: ignore[no-any-return]  # pyarrow is untyped

    @cached_property
    def view(self) -> "ChangeRows":
        """Row access, decoded once."""
        return ChangeRows(self)

    def rows(self) -> Iterator[Change]:
        """The changes one by one."""
        return iter(self.view)


class ChangeRows:
    """Changes one by one."""

    def __init__(self, batch: ChangeBatch) -> None:
        self._batch = batch
        self._old = ints(batch.column("old_price"), null=-1)
        self._fares = FareRows(batch.data)

    def __getitem__(self, row: int) -> Change:
        old = int(self._old[row])
        return Change(
            kind=int(self._batch.kinds[row]),
            series=int(self._batch.series[row]),
            id=int(self._batch.ids[row]),
            old_price=None if old < 0 else old,
            fare=self._fares[row],
        )

    def __iter__(self) -> Iterator[Change]:
        return (self[row] for row in range(len(self._batch)))
