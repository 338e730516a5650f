"""One move of slots from shard to shard, while they are written to: rsync twice, the second time under the fence.

Copy all rows while they are live, and again what has changed, until little does. Then fence the slots, copy what is
left, compare once more, and decide in the catalog: from there on the target owns them. Retire the source before the
target opens, so that a shard that says it is fenced never has old rows. Every step is one transaction of one database
and may be repeated; a move that was left is taken up by another mover, which asks the catalog what was decided.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep

from sqlalchemy import Engine

from fms.errors import Transient
from fms.rebalance.ends import (
    activate,
    begin_import,
    claim_source,
    claim_target,
    delete_rows,
    fence,
    lift_fence,
    retire,
    undo_target,
)
from fms.rebalance.journal import Journal, Move, Refused
from fms.rebalance.syncing import Syncing, digest_of
from fms.shards.ownership import FENCED, MOVED

FEW_ROWS = 200
"""So few rows that differ are copied under the fence."""

ROUNDS = 8
"""How often what has changed is copied before the fence, if it never gets few."""

FENCE_TRIES = 20

Report = Callable[[Move, str, int], None]
"""Is told of a move, its step, and how many rows it has copied by now."""


class TooSlow(Transient):
    """The slots would have taken no writes for too long: the move is to be given up, and may be tried again."""


@dataclass(frozen=True)
class Pace:
    """How a move is made.

    Attributes:
        max_pause_ms: for so long at most the slots take no writes before it is decided.
        report: is told how far it is.
        stop: asked before the fence; what it raises ends the mover there.
    """

    max_pause_ms: int = 2_500
    report: Report = lambda _move, _step, _rows: None
    stop: Callable[[], None] = lambda: None


class Mover:
    """Makes moves.

    Args:
        journal: of the catalog.
        shards: their engines by name.
        holder: by what name this mover is known.
        pace: how.
    """

    def __init__(self, journal: Journal, shards: Mapping[str, Engine], holder: str, pace: Pace) -> None:
        self._journal = journal
        self._shards = shards
        self._holder = holder
        self._pace = pace

    def carry(self, move: Move) -> None:
        """Begin or take up a move, and bring it to its end.

        Raises Leased if another mover is at work on it, Refused if one took it from this one, TooSlow or Transient if
        it is as far as it could come, and Fatal if it cannot be made.
        """
        self._through(self._journal.lease(move, self._holder))

    def give_up(self, move: Move, why: str) -> None:
        """Undo a move, or if it was decided bring it to its end; raises as ``carry``."""
        mine = self._journal.lease(move, self._holder)
        if mine.state == "copying":
            self._journal.give_up(mine, why)
            self._undo(mine)
        else:
            self._through(mine)

    def leave(self, move: Move, why: str) -> None:
        """Give a move back as it is, for whoever goes on with it."""
        self._journal.leave(move, self._holder, why)

    def _through(self, move: Move) -> None:
        # What was decided is read after the lease, and the target is touched after that only.
        if move.state == "aborting":
            self._undo(move)
            return
        source, target = self._shards[move.source], self._shards[move.target]
        if move.state == "committed":
            claim_source(source, move)
            claim_target(target, move)
            self._finish(move, None)
            return
        states = claim_source(source, move)
        begin_import(target, move)
        self._copy(move, source, target, fenced=FENCED in states)

    def _copy(self, move: Move, source: Engine, target: Engine, *, fenced: bool) -> None:
        work = _Work(self._journal, move, self._pace.report)
        syncing = Syncing(source, target, move, work.wrote)
        # Slots whose mover died under the fence wait: nothing is done twice then.
        for _ in range(1 if fenced else ROUNDS):
            work.step("copying")
            if syncing.level(syncing.compare()) <= FEW_ROWS:
                break
            if not fenced:
                self._pace.stop()
        if not fenced:
            work.step("verifying")
            syncing.check()
            self._pace.stop()
            syncing.level(syncing.compare())
        work.step("fencing", copied_rows=work.rows, copy_ms=work.copy_ms)
        began = self._fence(source, move)
        work.step("fenced")
        syncing.level(syncing.compare())
        self._in_time(began)
        left = syncing.compare()
        if any(found.changed or found.gone for found in left):
            raise TooSlow("both ends differ under the fence")
        self._in_time(began)
        self._journal.commit(move, digest_of(left))
        self._finish(move, began)

    def _fence(self, source: Engine, move: Move) -> float:
        """Fence the slots; answers since when writers may have had to wait."""
        for attempt in range(FENCE_TRIES):
            began = monotonic()
            try:
                fence(source, move)
            except Transient as error:
                # Somebody writes for long. Meanwhile others waited behind us, so they come first now.
                if attempt == FENCE_TRIES - 1 or not _is_lock(error):
                    raise
                sleep(min(0.1 * (attempt + 1), 1))
                self._journal.note(move, "fencing")
            else:
                return began
        raise AssertionError

    def _in_time(self, began: float) -> None:
        if (monotonic() - began) * 1000 > self._pace.max_pause_ms:
            raise TooSlow(f"more than {self._pace.max_pause_ms} ms under the fence")

    def _finish(self, move: Move, began: float | None) -> None:
        source, target = self._shards[move.source], self._shards[move.target]
        retire(source, move)
        activate(source, target, move)
        paused = {} if began is None else {"pause_ms": round((monotonic() - began) * 1000)}
        self._journal.end(move, "done", **paused)
        self._pace.report(move, "done", 0)

    def _undo(self, move: Move) -> None:
        undo_target(self._shards[move.target], move)
        # Stamped also here: who takes up an abort has a token that the source has not seen.
        claim_source(self._shards[move.source], move)
        lift_fence(self._shards[move.source], move)
        self._journal.end(move, "aborted")
        self._pace.report(move, "aborted", 0)
        with suppress(Refused):
            # Nobody waits for this any more. Who takes up the slots meanwhile uses what is there.
            delete_rows(self._shards[move.target], move, MOVED)


class _Work:
    """What has been copied so far, and that the mover is alive."""

    def __init__(self, journal: Journal, move: Move, report: Report) -> None:
        self._journal = journal
        self._move = move
        self._report = report
        self._step = ""
        self._began = monotonic()
        self._noted = self._began
        self.rows = move.copied_rows

    @property
    def copy_ms(self) -> int:
        return self._move.copy_ms + round((monotonic() - self._began) * 1000)

    def step(self, step: str, **values: int) -> None:
        self._step = step
        self._journal.note(self._move, step, **values)
        self._noted = monotonic()
        self._report(self._move, step, self.rows)

    def wrote(self, rows: int) -> None:
        self.rows += rows
        self._report(self._move, self._step, self.rows)
        if monotonic() - self._noted > 1:
            self.step(self._step, copied_rows=self.rows, copy_ms=self.copy_ms)


def _is_lock(error: Transient) -> bool:
    cause = error.__cause__
    return getattr(getattr(cause, "orig", None), "pgcode", None) == "55P03" or "locked" in str(error)
