"""Which letters a stage's output becomes."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from fms.model.batch import TEXT, Batch
from fms.model.hashing import codes
from fms.model.notification import OutboxBatch
from fms.model.route import partition_of_slot, slot_of_user
from fms.ports import Headers
from fms.queues.topology import queue_of
from fms.queues.wire import Headings, Letter, packed

FEW = 500
"""Rows of what fired that are not worth more than one message. A message has its price, however small: a confirmation
to wait for, and a transaction in each shard when it is taken into the inboxes."""


class Routes:
    """Makes letters of batches. A batch without rows is none."""

    def __init__(self, headings: Headings) -> None:
        self._headings = headings

    def by_route(self, batch: Batch, made_from: Headers | None = None) -> Iterable[Letter]:
        """Fares and changes stay in their partition."""
        return [self._letter(batch, made_from)] if len(batch) else []

    def by_user(self, batch: OutboxBatch, made_from: Headers | None = None) -> Iterator[Letter]:
        """What fired goes to the partition of its user; a few rows go together, to that of the first one's.

        That decides only which worker takes them into the inboxes: whoever tells has a lease on the user.
        """
        users = batch.column("user")
        of_user = np.array([partition_of_slot(slot_of_user(email)) for email in users.dictionary.to_pylist()], np.int64)
        partition = of_user[codes(users)]
        if len(batch) <= FEW:
            partition[:] = partition[:1]
        for number in np.unique(partition).tolist():
            rows = np.flatnonzero(partition == number)
            data = batch.data if len(rows) == len(batch) else _some(batch, rows)
            yield self._letter(OutboxBatch(data, number), made_from)

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
