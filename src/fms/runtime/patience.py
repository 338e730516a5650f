"""Trying again: as long as it takes, with waits that grow, while the connection is kept alive."""

import time
from collections.abc import Callable
from typing import Protocol

from fms.errors import Transient
from fms.ports import Broker
from fms.runtime.retry import Backoff
from fms.runtime.shutdown import Shutdown

TICK_SECONDS = 0.25
"""The longest time for which nobody looks whether there is something else to do."""


class Troubles(Protocol):
    """Whoever wants to know of waits."""

    def away(self, what: str, error: Transient, seconds: float) -> None:
        """Something failed for now, and is tried again after so many seconds."""
        ...

    def beat(self) -> None:
        """The process is alive: called at least every ``TICK_SECONDS`` while nothing is at work."""
        ...


class Patience:
    """Waits and tries again.

    Args:
        broker: whose connection is kept alive meanwhile.
        shutdown: ends every wait.
        troubles: told of them.
        now: seconds that only grow.
        backoff: how long to wait.
    """

    def __init__(
        self,
        broker: Broker,
        shutdown: Shutdown,
        troubles: Troubles,
        now: Callable[[], float] = time.monotonic,
        backoff: Backoff = Backoff(),
    ) -> None:
        self._broker = broker
        self._shutdown = shutdown
        self._troubles = troubles
        self._now = now
        self.backoff = backoff

    def insist(self, what: str, do: Callable[[], None]) -> bool:
        """Do something until it succeeds; whether it did before the wish to stop came."""
        tries = 0
        while not self._shutdown.wanted:
            try:
                do()
            except Transient as error:
                tries += 1
                self.rest(what, error, tries)
            else:
                return True
        return False

    def rest(self, what: str, error: Transient, tries: int) -> None:
        """Wait after a failure; raises nothing, whatever becomes of the connection meanwhile."""
        seconds = self.backoff.seconds(tries)
        self._troubles.away(what, error, seconds)
        try:
            self.wait(seconds)
        except Transient as lost:
            self._troubles.away("broker", lost, 0)

    def wait(self, seconds: float) -> None:
        """Let time pass, but not the wish to stop; raises Transient if the connection is lost."""
        end = self._now() + seconds
        while (left := end - self._now()) > 0 and not self._shutdown.wanted:
            self._broker.wait(min(left, TICK_SECONDS))
            self._troubles.beat()
