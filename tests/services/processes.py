"""What the private servers have in common: how they start, answer, stand still, die and come back."""

import os
import shutil
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from time import monotonic, sleep
from typing import Self

from tests.services import guard

PATIENCE = 60
"""Seconds after which a server that should have started or ended is a failure."""

ROOM = 2 << 30
"""Bytes that must be free in memory for the data of servers to be there."""


class Missing(Exception):  # noqa: N818  # named after what is the matter
    """A program that a server needs is not on this machine; the text says which."""


class Broken(Exception):  # noqa: N818
    """A server did not start or end; the text has the last lines of its log."""


def program(name: str, folders: Iterable[Path] = ()) -> Path:
    """The path of a program, looked for in ``folders`` and then on PATH; raises Missing."""
    if not hasattr(os, "pidfd_open") or not Path("/proc/self/stat").exists():
        raise Missing("private servers need Linux")
    found = next((folder / name for folder in folders if (folder / name).exists()), None) or shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return Path(found)


def free_port() -> int:
    """A port of the loopback that nobody has, never the same twice, from below those that the system gives to clients.

    A client that tries again and again to reach a killed server might else be given the server's port for its own end.
    """
    return next(port for port in _ports() if _is_free(port))


def memory() -> Path | None:
    """A file system in memory with much room, if there is one: to write to it is to keep it, also from a kill.

    On a disk servers that wait for it, as RabbitMQ for each queue that it declares, take several times as long.
    """
    found = Path("/dev/shm")  # noqa: S108  # each server makes a folder of its own there
    return found if os.access(found, os.W_OK) and shutil.disk_usage(found).free > ROOM else None


@cache
def _ports() -> Iterator[int]:
    return iter(Random().sample(range(11_000, 32_000), 21_000))


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; raises Broken."""
    deadline = monotonic() + seconds
    while not true():
        if monotonic() > deadline:
            raise Broken(f"not within {seconds} s: {what}")
        sleep(0.01)


class Server(ABC):
    """One private server on a port of its own, with its data in a folder of its own.

    ``with Redis() as server: …`` starts it and ends it; so does the end of the process ``owner``, however it comes.

    Args:
        folder: where its data and log are, kept afterwards; a temporary one without it.
        owner: the process whose end is the server's; this one by default.
    """

    orderly = signal.SIGTERM
    """What asks it to write down what it has and end."""
    last = signal.SIGKILL
    """What ends it when its data is of no use any more."""

    def __init__(self, folder: Path | None = None, *, owner: int | None = None) -> None:
        self.port = free_port()
        self._keep = folder is not None
        self.folder = folder or Path(mkdtemp(prefix="fms-", dir=memory()))
        self._owner = owner or os.getpid()
        self._guard: int | None = None

    @abstractmethod
    def _command(self) -> list[str]:
        """How it is started, after making what its folder needs."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it does what clients ask."""

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}

    @property
    def log(self) -> Path:
        """All it ever printed."""
        return self.folder / "log"

    @property
    def running(self) -> bool:
        """Whether its process is there, paused or not."""
        if self._guard is not None and _has_ended(self._guard):
            self._guard = None
        return self._guard is not None

    @property
    def pid(self) -> int:
        """The process from which all of its own descend; raises Broken if it is not running."""
        return self._here()

    def start(self) -> Self:
        """Start it, again perhaps, on its port and with the data that is there; returns when it answers."""
        if not self.running:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._guard = self._spawned(self._command())
        until(lambda: not self.running or self._answers(), f"{self.folder} answers")
        if not self.running:
            raise Broken(f"ended at its start: {self._tail()}")
        return self

    def _spawned(self, command: list[str]) -> int:
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        fate = [str(self._owner), str(int(self.last)), str(self.folder), str(int(self._keep))]
        # Isolated and without site packages: it starts at once, and coverage does not follow it.
        line = [sys.executable, "-I", "-S", guard.__file__, *fate, *command]
        return os.posix_spawn(sys.executable, line, self._environment(), file_actions=files, setsid=True)

    def pause(self) -> None:
        """Stop the clock for it: it keeps its connections and answers nothing."""
        guard.halt(self._here())

    def resume(self) -> None:
        """Let it go on after a pause."""
        guard.send(list(guard.family(self._here())), signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and all its helpers at once, without a warning."""
        guard.kill(self._here())
        self._end()

    def stop(self) -> None:
        """Let it end in its own way and keep what it has."""
        self._end_by(self.orderly)

    def restart(self) -> None:
        """Start it again, after an orderly stop if it is running."""
        if self.running:
            self.stop()
        self.start()

    def close(self) -> None:
        """End it for good; a temporary folder goes with it."""
        if self.running:
            self._end_by(signal.SIGHUP)
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _here(self) -> int:
        """Its guard; raises Broken if it is not running."""
        if self._guard is None or not self.running:
            raise Broken(f"is not running: {self._tail()}")
        return self._guard

    def _end_by(self, number: int) -> None:
        self.resume()
        guard.send([self._here()], number)
        self._end()

    def _end(self) -> None:
        until(lambda: not self.running, f"{self.folder} ends")

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:]) if self.log.exists() else "no log"


def _has_ended(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True
