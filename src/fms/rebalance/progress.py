"""How far a rebalance has come, in numbers, from what the catalog knows of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from fms.rebalance.journal import OPEN_MOVES, Job, Move


@dataclass(frozen=True)
class Pauses:
    """For how long the slots of a move took no writes, over the moves that are done; ms."""

    p50: int
    p99: int
    most: int


@dataclass(frozen=True)
class Progress:
    """How far a job has come. A move that was begun anew counts once.

    Attributes:
        moves, done, failed: how many there are, are done, and were given up for good.
        slots, rows: in all moves, as planned.
        copied: rows that were copied, some of them more than once.
        rows_per_second: of one mover while it copied; None: nothing was copied yet.
        seconds_left: an estimate; None: there is nothing to go by.
        pauses: None: no move is done.
        current: the moves that were begun and have not ended.
        failures: the last try of each move that failed.
        is_left: whether moves were begun and nobody has a lease of any.
        idle_ms: for how long nobody has written anything.
    """

    moves: int
    done: int
    failed: int
    slots: int
    rows: int
    copied: int
    rows_per_second: float | None
    seconds_left: float | None
    pauses: Pauses | None
    current: tuple[Move, ...]
    failures: tuple[Move, ...]
    is_left: bool
    idle_ms: int


def progress_of(job: Job, moves: Sequence[Move], now: int) -> Progress:
    """How far a job with these moves has come; ``now`` in UTC ms."""
    last = {move.slots: move for move in moves}
    done = [move for move in moves if move.state == "done"]
    failures = tuple(move for move in last.values() if move.state == "aborted")
    current = tuple(move for move in moves if move.state in OPEN_MOVES)
    copied, copy_ms = sum(move.copied_rows for move in moves), sum(move.copy_ms for move in moves)
    speed = copied * 1000 / copy_ms if copied and copy_ms else None
    return Progress(
        len(last),
        len(done),
        len(failures),
        sum(map(len, last)),
        sum(move.planned_rows for move in last.values()),
        copied,
        speed,
        _seconds_left(job, list(last.values()), done, speed),
        pauses_of([move.pause_ms for move in done if move.pause_ms is not None]),
        current,
        failures,
        bool(current) and all(move.lease_until <= now for move in current),
        now - max([job.changed_at, *(move.changed_at for move in moves)]),
    )


def pauses_of(pauses: Sequence[int]) -> Pauses | None:
    """Of pauses in ms: half of them, 99 of 100 and all are no longer than …; None: there are none."""
    if not pauses:
        return None
    ordered = sorted(pauses)
    return Pauses(*(ordered[ceil(len(ordered) * part) - 1] for part in (0.5, 0.99, 1)))


def _seconds_left(job: Job, last: Sequence[Move], done: Sequence[Move], speed: float | None) -> float | None:
    left = [move for move in last if move.state in ("planned", *OPEN_MOVES)]
    if not left:
        return 0.0
    if not done and speed is None:
        return None
    # No more movers than pairs of shards have something to do.
    pairs = len({name for move in left for name in (move.source, move.target)}) // 2
    at_once = max(1, min(int(job.options.get("parallel", 1)), pairs))
    if done:
        spent = sum(move.copy_ms + (move.pause_ms or 0) for move in done) / 1000
        return spent * sum(map(_weight_left, left)) / sum(map(_weight, done)) / at_once
    return sum(map(_weight_left, left)) / (speed or 1) / at_once


def _weight(move: Move) -> int:
    return len(move.slots) + move.planned_rows


def _weight_left(move: Move) -> int:
    return len(move.slots) + max(0, move.planned_rows - move.copied_rows)
