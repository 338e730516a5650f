"""A rebalance carried out: its moves one after the other or several at once, and what becomes of those that fail."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from time import monotonic

from fms.errors import FmsError, Transient
from fms.rebalance.journal import OPEN_MOVES, Job, Journal, Leased, Move, Refused
from fms.rebalance.mover import Mover, Pace, TooSlow

ATTEMPTS = 5
"""How often a move is begun anew that was given up for taking too long, or tried after a database did not answer."""

LOOK_SECONDS = 0.5
"""How often the job's state is looked at."""


class Halted(Transient):
    """The job was paused or is to be aborted: the move waits where it is."""


class Carrier:
    """Carries a job's moves out, several at once if they have no shard in common.

    Args:
        journal: of the catalog.
        mover: makes a mover that works at a pace.
        pace: report and pause limit; ``stop`` is asked twice a second, and what it raises ends ``carry``.
        parallel: moves at once, at most.
    """

    def __init__(self, journal: Journal, mover: Callable[[Pace], Mover], pace: Pace, parallel: int = 1) -> None:
        self._journal = journal
        self._stop = pace.stop
        self._mover = mover(Pace(pace.max_pause_ms, pace.report, self._check_halt))
        self._parallel = parallel
        self._job_id = 0
        self._looked = 0.0
        self._halt = Event()

    def carry(self, job: Job) -> Job:
        """Go on with a job until it ends or is paused; answers it as it is then.

        Raises Leased if another process is at work on it, and Transient if a service did not answer for too long: the
        job can be resumed.
        """
        self._job_id = job.id
        running: dict[Future[None], Move] = {}
        with ThreadPoolExecutor(self._parallel) as pool:
            try:
                while True:
                    self._stop()
                    job = self._journal.job(job.id)
                    moves = self._next(job, self._journal.moves(job.id), list(running.values()))
                    for move in moves:
                        running[pool.submit(self._end_well, move, undo=job.state == "aborting")] = move
                    if not running:
                        break
                    done, _ = wait(running, LOOK_SECONDS, FIRST_COMPLETED)
                    for future in done:
                        del running[future]
                        future.result()
            finally:
                # Whatever ends us: the others stop before their fence.
                self._halt.set()
        return self._conclude(job)

    def _check_halt(self) -> None:
        if self._halt.is_set():
            raise Halted("the rebalance has stopped")
        if monotonic() - self._looked > LOOK_SECONDS:
            state = self._journal.job(self._job_id).state
            if state != "running":
                raise Halted(f"the rebalance is {state}")
            self._looked = monotonic()

    def _next(self, job: Job, moves: Sequence[Move], running: Sequence[Move]) -> list[Move]:
        """What can be begun now: what is open first, and then what is planned."""
        if job.state not in ("running", "aborting"):
            return []
        wanted = [move for move in moves if move.state in OPEN_MOVES]
        if job.state == "running":
            wanted += [move for move in moves if move.state == "planned"]
        busy = {shard for move in running for shard in (move.source, move.target)}
        under_way = {move.id for move in running}
        found: list[Move] = []
        for move in wanted:
            if len(running) + len(found) == self._parallel:
                break
            if move.id not in under_way and not busy & {move.source, move.target}:
                found.append(move)
                busy |= {move.source, move.target}
        return found

    def _end_well(self, move: Move, *, undo: bool) -> None:
        """Make one move, or undo it; tries again what may go better then."""
        attempt = 0
        deadline = monotonic() + self._journal.lease_ms / 1000 + 1
        while True:
            try:
                self._try(move, undo=undo)
            except Leased:
                # Its mover may be gone, and its lease runs out; one that is at work takes a new one.
                if self._now(move).state not in ("planned", *OPEN_MOVES):
                    return
                if monotonic() > deadline or self._halt.wait(0.2):
                    raise
            except Refused:
                raise
            except Transient as error:
                attempt += 1
                if attempt == ATTEMPTS or self._halt.wait(0.2 * 2**attempt):
                    raise Transient(f"move {move.number} from {move.source} to {move.target}: {error}") from error
            else:
                return

    def _try(self, move: Move, *, undo: bool) -> None:
        try:
            if undo:
                self._mover.give_up(move, "aborted by request")
            else:
                self._mover.carry(move)
        except Halted as halted:
            self._mover.leave(move, str(halted))
        except TooSlow as slow:
            self._begin_anew(move, str(slow))
        except Transient:
            raise
        except FmsError as error:
            self._mover.give_up(move, str(error))

    def _begin_anew(self, move: Move, why: str) -> None:
        self._mover.give_up(move, why)
        now = self._now(move)
        if now.state == "aborted" and move.attempt < ATTEMPTS:
            self._journal.again(now)

    def _now(self, move: Move) -> Move:
        return next(one for one in self._journal.moves(move.job_id) if one.id == move.id)

    def _conclude(self, job: Job) -> Job:
        moves = self._journal.moves(job.id)
        if any(move.state in OPEN_MOVES for move in moves):
            return job
        if job.state == "aborting":
            self._journal.cancel(job.id)
            self._journal.change_job(job.id, "aborted", ["aborting"])
        elif job.state == "running":
            moved = {move.slots for move in moves if move.state == "done"}
            failed = {move.slots for move in moves if move.state == "aborted"} - moved
            self._journal.change_job(job.id, "failed" if failed else "done", ["running"])
        return self._journal.job(job.id)
