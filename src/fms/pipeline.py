"""The order of the stages in one process: a batch goes down the chain, and settles when what it led to is safe."""

from collections.abc import Sequence
from typing import Any

from fms.errors import Transient
from fms.model.batch import Batch
from fms.ports import Stage

TRIES = 5
"""How often a batch is processed again when somebody else wrote in between."""


class Pipeline:
    """Stages one after the other: ``Pipeline(Diff(…), Match(…), Notify(…)).feed(fares)``.

    Args:
        stages: each takes what the one before answers.
        deliveries: how often every stage is given every batch, as a broker may after a crash: 2 is a crash before
            ``settle``, 3 another one after it. The outcome must be that of 1.
    """

    def __init__(self, *stages: Stage[Any, Any], deliveries: int = 1) -> None:
        self._stages = stages
        self._deliveries = deliveries

    def feed(self, batch: Batch) -> None:
        """Take one batch through all stages. Raises Transient after ``TRIES`` lost races, with nothing settled."""
        self._deliver(batch, self._stages)

    def _deliver(self, batch: Batch, stages: Sequence[Stage[Any, Any]]) -> None:
        if not stages:
            return
        for delivery in range(self._deliveries):
            self._attempt(batch, stages, settle=delivery > 0 or self._deliveries == 1)

    def _attempt(self, batch: Batch, stages: Sequence[Stage[Any, Any]], *, settle: bool) -> None:
        stage, *following = stages
        for left in reversed(range(TRIES)):
            try:
                output: Batch = stage.process(batch)
                self._deliver(output, following)
                if settle:
                    stage.settle()
            except Transient:
                if not left:
                    raise
            else:
                return
