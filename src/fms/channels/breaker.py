"""A circuit per host: who fails again and again is left alone for a while, then asked with one request."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Of a circuit, named as usual."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Patience:
    """When a circuit opens, and for how long.

    Attributes:
        failures: in ``window_seconds`` that open it, if at least as much failed as succeeded meanwhile.
        window_seconds: for how long an outcome counts, at least; at most half as long again.
        rest_seconds: for how long it stays open, and how long the outcome of the one request is waited for.
    """

    failures: int = 5
    window_seconds: float = 30.0
    rest_seconds: float = 30.0


class Breaker:
    """The circuit of one host.

    Outcomes that come while it is open are of requests from before, and change nothing.

    Args:
        now: seconds that only grow.
        patience: when it opens, and for how long.
    """

    def __init__(self, now: Callable[[], float], patience: Patience = Patience()) -> None:
        self._now = now
        self._patience = patience
        self._until: float | None = None
        self._asked_at: float | None = None
        self._clear()

    @property
    def state(self) -> State:
        """Whether requests pass; ``HALF_OPEN``: one does."""
        if self._until is None:
            return State.CLOSED
        return State.OPEN if self._now() < self._until else State.HALF_OPEN

    def admits(self) -> bool:
        """Whether a request may be sent now. Half open it is the one: say what became of it."""
        match self.state:
            case State.CLOSED:
                return True
            case State.OPEN:
                return False
            case State.HALF_OPEN:
                now = self._now()
                if self._asked_at is not None and now < self._asked_at + self._patience.rest_seconds:
                    return False
                self._asked_at = now
                return True

    def rest(self) -> float:
        """Seconds until a request may be sent, if those under way change nothing; 0: now."""
        if self._until is None:
            return 0.0
        asked_until = 0.0 if self._asked_at is None else self._asked_at + self._patience.rest_seconds
        return max(0.0, max(self._until, asked_until) - self._now())

    def succeeded(self) -> None:
        """The host answered as hosts do; also 404 and the like."""
        match self.state:
            case State.CLOSED:
                self._turn()
                self._good[-1] += 1
            case State.HALF_OPEN if self._asked_at is not None:
                self._until = self._asked_at = None
                self._clear()

    def failed(self) -> None:
        """The host gave no answer, or one of 500 and above."""
        match self.state:
            case State.CLOSED:
                self._turn()
                self._bad[-1] += 1
                if sum(self._bad) >= max(self._patience.failures, sum(self._good)):
                    self._open()
            case State.HALF_OPEN if self._asked_at is not None:
                self._open()

    def _open(self) -> None:
        self._until = self._now() + self._patience.rest_seconds
        self._asked_at = None

    def _clear(self) -> None:
        self._good, self._bad = [0, 0, 0], [0, 0, 0]
        self._turned_at = self._now()

    def _turn(self) -> None:
        """Forget what is too old: counts are kept in three parts, each of half a window."""
        half = self._patience.window_seconds / 2
        parts = int((self._now() - self._turned_at) / half)
        if parts:
            self._turned_at += parts * half
            gone = min(parts, 3)
            self._good = self._good[gone:] + [0] * gone
            self._bad = self._bad[gone:] + [0] * gone
