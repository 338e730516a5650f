"""One run per data directory at a time: a file lock, which the system lets go however its process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fms.errors import Fatal, Transient

_held: set[int] = set()


def let_go_after_fork() -> None:
    """In a child process: close the copies of this process's locks, which would outlive it there."""
    while _held:
        os.close(_held.pop())


@contextmanager
def exclusive(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file for the length of the block.

    Raises Transient if another process holds it and ``wait`` is false; Fatal if the file cannot be written.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Fatal(f"{path}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            owner = os.pread(handle, 20, 0).decode(errors="replace").strip()
            raise Transient(f"{path.parent} is in use by another run (process {owner or 'unknown'})") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        _held.add(handle)
        yield
    finally:
        _held.discard(handle)
        os.close(handle)
