"""Accepted fares gathered into batches of one partition each, cut in the same places however they arrive.

A *tick* is a run of rows of one partition of one file with the same ``observed_at``, at most ``TICK_ROWS`` long. A
batch is cut at the first start of a tick at or after so many rows, and at the end of the file.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fms.model.batch import I64, TICK_ROWS, ints, one_batch
from fms.model.fare import FARE_SCHEMA, FareBatch
from fms.model.route import PARTITIONS
from fms.stages.coded import compacted

_MOST_PIECES = 16
"""Slices that wait in a partition are copied together then: each one holds on to its whole block."""

_SMALL_DICTIONARY = 512
"""Below this a dictionary is not worth making smaller before its batch is complete."""


class Gatherer:
    """The fares of one file on their way into batches of about ``batch_rows``."""

    def __init__(self, batch_rows: int) -> None:
        self._partitions = [_Partition(number, batch_rows) for number in range(PARTITIONS)]

    def add(self, fares: pa.RecordBatch, partitions: npt.NDArray[np.uint8], rows: I64) -> Iterator[FareBatch]:
        """Take the given rows of ``fares``; answer the batches that are complete, in the order of the rows behind them.

        That order depends on the input alone, not on how much of it arrives at a time.
        """
        rows = rows[np.argsort(partitions[rows], kind="stable")]
        ordered = fares.take(pa.array(rows))
        edges = np.searchsorted(partitions[rows], np.arange(PARTITIONS + 1))
        complete: list[tuple[int, FareBatch]] = []
        for number in np.flatnonzero(np.diff(edges)).tolist():
            start, end = int(edges[number]), int(edges[number + 1])
            for cut, batch in self._partitions[number].add(ordered.slice(start, end - start)):
                complete.append((int(rows[start + cut]), batch))
        complete.sort(key=lambda one: one[0])
        return (batch for _, batch in complete)

    def flush(self) -> Iterator[FareBatch]:
        """All that still waits, by partition; for the end of a file."""
        return (partition.take() for partition in self._partitions if partition.rows)


class _Partition:
    """The fares of one partition that wait for their batch."""

    def __init__(self, number: int, batch_rows: int) -> None:
        self.rows = 0
        self._number = number
        self._batch_rows = batch_rows
        self._pieces: list[pa.RecordBatch] = []
        self._last: int | None = None
        self._run = 0

    def add(self, fares: pa.RecordBatch) -> Iterator[tuple[int, FareBatch]]:
        """Take fares; answer complete batches, each with the row of ``fares`` that comes after it."""
        done = 0
        for cut in self._cuts(ints(fares.column("observed_at"))):
            self._keep(fares.slice(done, cut - done))
            yield cut, self.take()
            done = cut
        self._keep(fares.slice(done))

    def take(self) -> FareBatch:
        """What waits, as a batch."""
        whole = self._pieces[0] if len(self._pieces) == 1 else _together(self._pieces)
        self.rows, self._pieces = 0, []
        return FareBatch(compacted(whole), self._number)

    def _keep(self, fares: pa.RecordBatch) -> None:
        if not fares.num_rows:
            return
        self.rows += fares.num_rows
        self._pieces.append(compacted(fares, above=_SMALL_DICTIONARY))
        if len(self._pieces) >= _MOST_PIECES:
            self._pieces = [_together(self._pieces)]

    def _cuts(self, observed: I64) -> list[int]:
        starts = self._tick_starts(observed)
        cuts: list[int] = []
        enough = self._batch_rows - self.rows
        while (place := int(np.searchsorted(starts, enough))) < len(starts):
            cuts.append(int(starts[place]))
            enough = cuts[-1] + self._batch_rows
        return cuts

    def _tick_starts(self, observed: I64) -> I64:
        rows = np.arange(len(observed))
        new = np.concatenate(([self._last != int(observed[0])], observed[1:] != observed[:-1]))
        begin = np.maximum.accumulate(np.where(new, rows, -1))
        # Before the first new run the rows continue the last one.
        place = np.where(begin < 0, rows + self._run, rows - begin)
        self._last, self._run = int(observed[-1]), int(place[-1]) + 1
        found: I64 = np.flatnonzero(place % TICK_ROWS == 0)
        return found


def _together(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    return one_batch(pa.Table.from_batches(pieces, FARE_SCHEMA))
