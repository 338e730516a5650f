"""Batches that travel between simulated workers as they are: to pack and unpack them takes most of the time."""

from collections.abc import Iterator
from contextlib import contextmanager

from fms.model.batch import AnyBatch, Batch
from fms.ports import Delivery
from fms.queues import routes, wire
from fms.runtime import delivery as order

_MARK = b"batch "


class Wire:
    """Stands for packing and unpacking.

    Attributes:
        real: whether batches do travel as bytes.
    """

    def __init__(self) -> None:
        self.real = False
        self._travelling: list[Batch] = []

    def packed(self, batch: Batch) -> bytes:
        """A body: a number that stands for the batch, or its bytes."""
        if self.real:
            return wire.packed(batch)
        self._travelling.append(batch)
        return b"%s%d" % (_MARK, len(self._travelling) - 1)

    def unpacked(self, delivery: Delivery, kind: type[AnyBatch]) -> AnyBatch:
        """The batch in a message; raises Invalid."""
        if not delivery.body.startswith(_MARK):
            return wire.unpacked(delivery, kind)
        found = self._travelling[int(delivery.body[len(_MARK) :])]
        assert isinstance(found, kind)
        return found

    def clear(self) -> None:
        """Forget what travelled."""
        self._travelling.clear()

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Stand for them within the block."""
        routes.packed, order.unpacked = self.packed, self.unpacked
        try:
            yield
        finally:
            routes.packed, order.unpacked = wire.packed, wire.unpacked
