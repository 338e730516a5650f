"""A stage as a batch job: every batch of a stream through it, settled when the next one is asked for."""

from collections.abc import Iterable, Iterator

from fms.ports import In_contra, Out_co, Stage


def through(stage: Stage[In_contra, Out_co], batches: Iterable[In_contra]) -> Iterator[Out_co]:
    """What the stage makes of each batch. A batch is settled after whoever asked has dealt with its output."""
    for batch in batches:
        yield stage.process(batch)
        stage.settle()
