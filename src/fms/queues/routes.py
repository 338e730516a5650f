"""Which letters a stage's output becomes."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from fms.model.batch import TEXT, Batch
from fms.model.hashing import codes
from fms.model.notification import OutboxBatch
from fms.model.route import PARTITIONS, partition_of_slot, slot_of_user
from fms.ports import Headers
from fms.queues.topology import queue_of
from fms.queues.wire import Headings, Letter, packed


class Routes:
    """Makes letters of batches. A batch without rows is none."""

    def __init__(self, headings: Headings) -> None:
        self._headings = headings

    def by_route(self, batch: Batch, made_from: Headers | None = None) -> Iterable[Letter]:
        """Fares and changes stay in their partition."""
        return [self._letter(batch, made_from)] if len(batch) else []

    def by_user(self, batch: OutboxBatch, made_from: Headers | None = None) -> Iterator[Letter]:
        """What fired goes to the partition of its user."""
        users = batch.column("user")
        of_user = np.array([partition_of_slot(slot_of_user(email)) for email in users.dictionary.to_pylist()], np.int64)
        partition = of_user[codes(users)] if len(batch) else np.empty(0, np.int64)
        for number in range(PARTITIONS):
            rows = np.flatnonzero(partition == number)
            if len(rows):
                yield self._letter(OutboxBatch(_some(batch, rows), number), made_from)

    def nowhere(self, _batch: Batch, _made_from: Headers | None = None) -> Iterable[Letter]:
        """The last stage has nobody behind it."""
        return []

    def _letter(self, batch: Batch, made_from: Headers | None) -> Letter:
        queue = queue_of(batch.KIND, batch.partition)
        return Letter(queue, packed(batch), self._headings.of(batch, made_from))


def _some(batch: Batch, rows: Any) -> pa.RecordBatch:
    """Some rows, with only the texts that they use: a message of five shall not carry the words of five hundred."""
    columns = [
        column.dictionary_decode().dictionary_encode().cast(TEXT) if column.type == TEXT else column
        for column in batch.data.take(pa.array(rows)).columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.data.schema)
