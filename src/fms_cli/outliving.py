"""A command that outlives its terminal, ends when it is asked to, and ends at once when it is asked again."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from types import FrameType
from typing import Any, TextIO


class Interrupted(Exception):  # noqa: N818  # named after the outcome, as the others
    """The command was asked to end, by a signal of this number; the text says how to go on."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.code = 128 + number


class Wish:
    """Whether somebody wants the command to end: SIGINT or SIGTERM came.

    Args:
        text: of Interrupted.
        heard: is told that the wish was heard, once.
    """

    def __init__(self, text: str, heard: Callable[[], None] = lambda: None) -> None:
        self._text = text
        self._heard = heard
        self._number: int | None = None

    @property
    def came(self) -> bool:
        """Whether there is such a wish."""
        return self._number is not None

    def check(self) -> None:
        """Raise Interrupted if so."""
        if self._number is not None:
            self._heard()
            raise Interrupted(self._text, self._number)

    def hear(self, number: int, _frame: FrameType | None) -> None:
        """Handle the signal. The second one ends the process where it is, whatever it waits for."""
        if self._number is not None:
            if (stderr := sys.__stderr__) is not None and stderr.isatty():
                os.write(stderr.fileno(), b"\x1b[?25h\n")  # a progress bar hides the cursor
            os._exit(128 + number)
        self._number = number


@contextmanager
def outliving(wish: Wish) -> Iterator[None]:
    """Within the block SIGINT and SIGTERM are wishes, SIGHUP is nothing, and who reads our output may go away."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, wish.hear)
    signal.signal(signal.SIGTERM, wish.hear)
    try:
        with ExitStack() as stack:
            # Python has None for a stream that was closed before it started.
            if sys.stdout is not None:
                stack.enter_context(redirect_stdout(_Outlet(sys.stdout)))
            if sys.stderr is not None:
                stack.enter_context(redirect_stderr(_Outlet(sys.stderr)))
            yield
    finally:
        # Else the second signal would surprise those who close files on the way out.
        if not wish.came:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Outlet:
    """A stream that leads nowhere from the moment that nobody can read it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._lead_nowhere()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._lead_nowhere()

    def _lead_nowhere(self) -> None:
        # The file itself, not only this object: Python flushes it once more when it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
