"""What a worker does: a stage, where its output goes, and what is to be done between its messages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fms.model.batch import Batch
from fms.ports import Stage
from fms.runtime.delivery import Route


@dataclass(frozen=True)
class Chore:
    """Something that is due every so many seconds, between two messages.

    Attributes:
        name: for the log.
        seconds: from the end of one time to the next.
        do: may raise Transient: then it is tried again when it is due next. What takes long answers its steps, of which
            some are done at a time.
        idle: whether to do it only when no message came.
    """

    name: str
    seconds: float
    do: Callable[[], Iterator[object] | None]
    idle: bool = False


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Job:
    """One of the workers.

    Attributes:
        name: as people call it: ``price``, ``alert``, ``notify``.
        kind: of the batches that it takes.
        stage: what is done with them.
        route: where its output goes.
        counts: what the stage has counted so far.
        chores: of a long-lived worker.
        begin, finish: of one that drains its queues and ends: before the first message, after the last.
        puts_off: whether a message that fails for now is put off, and those behind it go first. Where order is part
            of the result it is held instead.
    """

    name: str
    kind: type[Batch]
    stage: Stage[Any, Any]
    route: Route
    counts: Callable[[], Mapping[str, int]]
    chores: Sequence[Chore] = field(default=())
    begin: Callable[[], None] = _nothing
    finish: Callable[[], None] = _nothing
    puts_off: bool = False
