"""Changes: what diff passes on. A series was first seen, fell, rose, or is gone."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pyarrow as pa

from fms.model.batch import Batch, ints
from fms.model.fare import FARE_SCHEMA, Fare, FareRows
from fms.model.hashing import U64

FIRST_SEEN, FELL, ROSE, GONE = 0, 1, 2, 3
KIND_NAMES = ("first_seen", "fell", "rose", "gone")

CHANGE_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.uint8(), nullable=False),  # 0 first_seen, 1 fell, 2 rose, 3 gone
        pa.field("series", pa.uint64(), nullable=False),
        pa.field("change_id", pa.uint64(), nullable=False),  # of the series and the new observation, not of two prices
        pa.field("market", pa.uint64(), nullable=False),  # 0 for gone
        pa.field("old_price", pa.int64()),  # null: first seen
        *[field.with_nullable(True) if field.name == "price" else field for field in FARE_SCHEMA],
    ]
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change. ``fare`` is the new observation; of a ``gone`` series only O&D, date and time are known."""

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

    That order: ticks as they came (see ``fms.stages.diff``); within one: gone, rose, then the cheaper, then the
    earlier departure, then the series. Of a ``gone`` row only kind, series, id, O&D, departure date, observed_at
    (last seen + believed) and old_price (the last known) are set.
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
        """The id of each row: of the series, the time and the new price (0: gone)."""
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
