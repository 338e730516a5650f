"""Fares as they arrive: files that are put into a directory, and lines that come on a stream."""

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

from fms.errors import Fatal
from fms.model.document import Source
from fms.sources.jsonl import JsonLines
from fms.sources.lines import BLOCK_BYTES, Input

DONE, FAILED = "done", "failed"
"""Folders within the directory, where files go when they are through."""

FLUSH_SECONDS = 0.5
"""Lines of a stream travel at the latest so long after they came."""


class Inbox:
    """A directory into which somebody puts files; better under another name first, and then renamed.

    Files whose names begin with a dot or end with ``.partial`` or ``.tmp`` are still being written. So are those that
    changed in the last ``settled`` seconds. Raises Fatal if the directory cannot be used.
    """

    def __init__(self, path: Path, settled: float = 1.0) -> None:
        self._path = path
        self._settled = settled
        try:
            for name in (DONE, FAILED):
                (path / name).mkdir(exist_ok=True)
        except OSError as error:
            raise Fatal(f"{path}: {error.strerror}") from None

    def waiting(self) -> list[Path]:
        """The files that are complete, by name."""
        try:
            return sorted(path for path in self._path.iterdir() if self._is_complete(path))
        except OSError as error:
            raise Fatal(f"{self._path}: {error.strerror}") from None

    def _is_complete(self, path: Path) -> bool:
        if path.name.startswith(".") or path.suffix in (".partial", ".tmp"):
            return False
        try:
            return path.is_file() and time.time() - path.stat().st_mtime >= self._settled
        except FileNotFoundError:
            return False

    def put_away(self, path: Path, folder: str) -> Path:
        """Move a file that is through to ``done`` or ``failed``, under a name that is free there."""
        goal = self._path / folder / path.name
        number = 1
        while goal.exists():
            number += 1
            goal = goal.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            return path.rename(goal)
        except OSError as error:
            raise Fatal(f"{path}: {error.strerror}") from None


def pieces_of(handle: int, name: str, tick: Callable[[], bool]) -> Iterator[Source]:
    """What comes on a stream, as documents of half a second or a block's size each, until its end.

    Args:
        handle: of an open file; what it brings is JSON lines.
        name: for messages.
        tick: called at least every half second; answers whether to go on.
    """
    first, held = 1, b""
    while tick():
        data, ended = _gathered(handle)
        held += data
        cut = len(held) if ended else held.rfind(b"\n") + 1
        # A line without an end that fills a whole block is no line: let the reader set it aside.
        if not cut and len(held) > BLOCK_BYTES:
            cut = len(held)
        if cut:
            yield _piece(name, held[:cut], first)
            first += held[:cut].count(b"\n")
            held = held[cut:]
        if ended:
            return


def _gathered(handle: int) -> tuple[bytes, bool]:
    """What comes within half a second, at most about a block; and whether that was the end."""
    parts: list[bytes] = []
    size, end = 0, time.monotonic() + FLUSH_SECONDS
    while size < BLOCK_BYTES and (left := end - time.monotonic()) > 0:
        if not select.select([handle], [], [], left)[0]:
            break
        part = os.read(handle, BLOCK_BYTES)
        if not part:
            return b"".join(parts), True
        parts.append(part)
        size += len(part)
    return b"".join(parts), False


def _piece(name: str, data: bytes, first: int) -> Source:
    return JsonLines(Input(name, lambda: nullcontext(BytesIO(data)), len(data)), first=first)
