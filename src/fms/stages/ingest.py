"""Ingest: check, normalise, and sort fares into the partitions in which they travel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fms.errors import Invalid
from fms.model.batch import BATCH_ROWS, ints
from fms.model.clock import Clock, system_clock
from fms.model.document import REASONS, Block, Reject, Source
from fms.model.fare import FareBatch
from fms.stages.checks import FUTURE_MS, Checked, Defaults, check
from fms.stages.gather import Gatherer

_REASON_OF_NUMBER = ("", *REASONS)


@dataclass
class IngestCounts:
    """What ingest has seen. ``documents = accepted + rejected``; ``newest``: the newest accepted ``observed_at``."""

    documents: int = 0
    accepted: int = 0
    rejected: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    newest: int | None = None


class Ingest:
    """Documents in, batches of fares out.

    Args:
        observed_at: UTC ms, of documents that do not say; default: the clock's time now.
        clock: asked once, now: what was observed more than five minutes later is rejected.
        batch_rows: rows a batch aims at.
        default_source: the source of documents that do not say.
        on_reject: given every document that was set aside, in the order of the file.
        on_progress: told now and then: name of the source, bytes read, bytes in all (None: not known), documents.
    """

    def __init__(
        self,
        *,
        observed_at: int | None = None,
        clock: Clock = system_clock,
        batch_rows: int = BATCH_ROWS,
        default_source: str = "default",
        on_reject: Callable[[Reject], None] | None = None,
        on_progress: Callable[[str, int, int | None, int], None] | None = None,
    ) -> None:
        now = clock()
        self._defaults = Defaults(now if observed_at is None else observed_at, now + FUTURE_MS, default_source)
        self._batch_rows = batch_rows
        self.on_reject = on_reject
        self.on_progress = on_progress
        self.counts = IngestCounts()

    def batches(self, source: Source) -> Iterator[FareBatch]:
        """The fares of a file, each batch of one partition; what is rejected is counted and passed to ``on_reject``.

        Raises Invalid when the file cannot be read to its end, after the batches of what could be read.
        """
        gatherer = Gatherer(self._batch_rows)
        try:
            for block in source.blocks():
                yield from self._block(source.name, block, gatherer)
                if self.on_progress:
                    self.on_progress(source.name, block.bytes_done, block.bytes_total, self.counts.documents)
        except Invalid:
            yield from gatherer.flush()
            raise
        yield from gatherer.flush()

    def _block(self, name: str, block: Block, gatherer: Gatherer) -> Iterator[FareBatch]:
        for reject in block.rejects:
            self._count_rejected(reject.reason, 1)
        if not block.columns.num_rows:
            self._pass_on(block.rejects)
            return
        checked = check(block.columns, self._defaults)
        rows = np.flatnonzero(checked.why == 0)
        self._count(checked)
        if self.on_reject:
            self._pass_on([*block.rejects, *_rejects(name, block, checked)])
        yield from gatherer.add(checked.fares, checked.partitions, rows)

    def _count(self, checked: Checked) -> None:
        by_reason = np.bincount(checked.why, minlength=1).tolist()
        accepted = by_reason[0]
        self.counts.accepted += accepted
        self.counts.documents += accepted
        for number in range(1, len(by_reason)):
            self._count_rejected(_REASON_OF_NUMBER[number], by_reason[number])
        if accepted:
            newest = int(ints(checked.fares.column("observed_at"))[checked.why == 0].max())
            self.counts.newest = max(newest, self.counts.newest or newest)

    def _count_rejected(self, reason: str, count: int) -> None:
        if count:
            self.counts.documents += count
            self.counts.rejected += count
            self.counts.rejected_by_reason[reason] = self.counts.rejected_by_reason.get(reason, 0) + count

    def _pass_on(self, rejects: Any) -> None:
        if self.on_reject:
            for reject in sorted(rejects, key=lambda one: one.number):
                self.on_reject(reject)


def _rejects(name: str, block: Block, checked: Checked) -> Iterator[Reject]:
    for row in np.flatnonzero(checked.why).tolist():
        yield Reject(name, int(block.numbers[row]), _REASON_OF_NUMBER[checked.why[row]], block.raw(row))
