"""How many requests a provider takes in a time: a bucket of tokens."""

from collections.abc import Callable

_ROUNDING = 1e-6
"""What may be missing of a token, or one that is due might never be there."""


class Pace:
    """At most ``burst`` at once, and ``per_second`` on average.

    Args:
        per_second: how fast the bucket fills; FCM takes 10,000 for a project.
        burst: what it holds, and holds at first.
        now: seconds that only grow.
    """

    def __init__(self, per_second: float, burst: int, now: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._now = now
        self._tokens = float(burst)
        self._filled_at = now()

    def take(self, wanted: int = 1) -> int:
        """How many of so many may be sent now; they count as sent."""
        self._fill()
        given = max(0, min(wanted, int(self._tokens + _ROUNDING)))
        self._tokens -= given
        return given

    def rest(self) -> float:
        """Seconds until one may be sent; 0: now."""
        self._fill()
        held = max(0.0, self._filled_at - self._now())
        return held + max(0.0, 1.0 - self._tokens) / self._per_second

    def hold(self, seconds: float) -> None:
        """Send nothing for so long, as the provider asks; after that no burst. A longer hold stays."""
        self._fill()
        self._tokens = 0.0
        self._filled_at = max(self._filled_at, self._now() + seconds)

    def _fill(self) -> None:
        now = self._now()
        if now > self._filled_at:
            self._tokens = min(float(self._burst), self._tokens + (now - self._filled_at) * self._per_second)
            self._filled_at = now
