"""Stages as batch jobs: every batch of a stream through one of them, settled when the next one is asked for."""

from collections.abc import Iterable, Iterator

from fms.model.batch import AnyBatch, ints
from fms.ports import In_contra, Out_co, Stage


def through(stage: Stage[In_contra, Out_co], batches: Iterable[In_contra]) -> Iterator[Out_co]:
    """What the stage makes of each batch. A batch is settled after whoever asked has dealt with its output."""
    for batch in batches:
        yield stage.process(batch)
        stage.settle()


class Newest:
    """The newest observation in a stream of batches: ``at``, UTC ms; None as long as there was none."""

    def __init__(self) -> None:
        self.at: int | None = None

    def of(self, batches: Iterable[AnyBatch]) -> Iterator[AnyBatch]:
        """The batches as they come; their newest time is remembered."""
        for batch in batches:
            if len(batch):
                newest = int(ints(batch.column("observed_at")).max())
                self.at = newest if self.at is None else max(self.at, newest)
            yield batch
