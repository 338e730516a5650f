"""Push to the terminal: what ``fms run`` shows."""

from collections.abc import Callable
from functools import partial

from fms.channels.words import lines
from fms.model.notification import Push


class Console:
    """Writes each push as text.

    Args:
        write: takes one line, and has passed it on when it returns: what it holds back could be lost and count as told.
        shown: rows shown of one push.
    """

    def __init__(self, write: Callable[[str], object] = partial(print, flush=True), shown: int = 5) -> None:
        self._write = write
        self._shown = shown

    def send(self, push: Push, now: int) -> None:
        """Write the push. ``now`` (UTC ms) is what the age of a fare is counted to."""
        for line in lines(push, now, self._shown):
            self._write(line)
