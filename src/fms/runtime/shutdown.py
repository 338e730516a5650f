"""How a worker ends: asked once it finishes what it holds, asked twice or too slow it ends at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """The process must end now; what it held is delivered again. No ``except Exception`` may stop it."""


class Shutdown:
    """Turns SIGTERM and SIGINT into a wish to stop.

    Args:
        seconds: how long what is held may take after that.

    Attributes:
        wanted: whether to take nothing more.
    """

    def __init__(self, seconds: int = 25) -> None:
        self._seconds = seconds
        self.wanted = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Mind the signals for the length of the block."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
        before = {number: signal.getsignal(number) for number in numbers}
        signal.signal(signal.SIGALRM, self._at_once)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        try:
            yield
        finally:
            signal.alarm(0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def ask(self) -> None:
        """Wish for the end, and give it the time it has."""
        self.wanted = True
        signal.alarm(self._seconds)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            self._at_once(number, frame)
        self.ask()

    def _at_once(self, _number: int, _frame: FrameType | None) -> None:
        raise Stopped
