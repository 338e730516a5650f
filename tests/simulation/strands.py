"""Several lines of work in one process, of which one runs at a time: where it gives way, chance says who goes on."""

from collections.abc import Callable
from random import Random
from threading import Lock, Thread


class Abandoned(BaseException):
    """Another strand has failed: this one ends where it is."""


class _Strand:
    """One line of work. It has a thread only because Python cannot leave a function in the middle otherwise."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.turn = Lock()
        self.turn.acquire()
        self.asleep_until = 0


class Strands:
    """Runs some strands to their end; the order of all that they do depends on ``random`` alone.

    Attributes:
        turns: how often somebody gave way.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._strands: list[_Strand] = []
        self._running: _Strand | None = None
        self._finished = Lock()
        self._failure: BaseException | None = None
        self.turns = 0

    def run(self, *works: Callable[[], None]) -> None:
        """Let them all come to their end. Raises what the first one that fails raises."""
        self._strands = [_Strand(work) for work in works]
        threads = [Thread(target=self._live, args=(strand,)) for strand in self._strands]
        self._finished.acquire()
        for thread in threads:
            thread.start()
        self._resume(self._chosen())
        with self._finished:
            pass
        for thread in threads:
            thread.join()
        self._running = None
        if self._failure:
            raise self._failure

    def give_way(self, asleep: int = 0) -> None:
        """Let another strand go on, perhaps; for ``asleep`` turns it is not this one. Does nothing without others."""
        me = self._running
        if me is None:
            return
        self.turns += 1
        me.asleep_until = self.turns + asleep
        other = self._chosen()
        if other is not me:
            self._resume(other)
            me.turn.acquire()
        if self._failure:
            raise Abandoned

    def _chosen(self) -> _Strand:
        awake = [strand for strand in self._strands if strand.asleep_until <= self.turns]
        if not awake:
            self.turns = min(strand.asleep_until for strand in self._strands)
            return self._chosen()
        return awake[int(self._random.random() * len(awake))]

    def _resume(self, strand: _Strand) -> None:
        self._running = strand
        strand.turn.release()

    def _live(self, strand: _Strand) -> None:
        strand.turn.acquire()
        try:
            if not self._failure:
                strand.work()
        except Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001  # raised by run
            self._failure = self._failure or error
        self._strands.remove(strand)
        if self._strands:
            self._resume(self._chosen())
        else:
            self._finished.release()
