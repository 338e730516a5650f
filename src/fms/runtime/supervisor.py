"""Several processes of one worker: started, started again when they die, and stopped together."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from fms.runtime.retry import Backoff
from fms.runtime.shutdown import Shutdown, Stopped
from fms.runtime.watching import Log

LIVED_LONG_SECONDS = 60
"""A process that lived so long starts again at once."""

LOOK_SECONDS = 0.1

FATAL = 4
"""The exit code of a process that somebody must see to: starting it again would not help."""


@dataclass
class _Child:
    command: Sequence[str]
    output: IO[bytes] | None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    not_before: float = 0.0
    code: int | None = None


@dataclass
class Supervisor:
    """Runs commands as child processes.

    Each child gets the read end of a pipe as its stdin. It ends when this process ends, however that happens.

    Args:
        commands: one per process.
        shutdown: when to stop; every child is told so.
        log: told of deaths.
        outputs: a file per command that takes its stdout; none: they write to ours.
    """

    commands: Sequence[Sequence[str]]
    shutdown: Shutdown
    log: Log
    outputs: Sequence[IO[bytes]] = ()
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, most=30))

    def run(self) -> int:
        """Until every child has ended for good; answers 0, or the worst exit code among them.

        A child that ends with 0 is done; one that ends with ``FATAL`` stops the others; any other is started again.
        """
        outputs: Sequence[IO[bytes] | None] = self.outputs or [None] * len(self.commands)
        children = [_Child(command, output) for command, output in zip(self.commands, outputs, strict=True)]
        try:
            return self._run(children)
        except Stopped:
            # Asked twice: so are they.
            self._stop(children)
            raise

    def _run(self, children: Sequence[_Child]) -> int:
        told = False
        while any(child.code is None for child in children):
            if self.shutdown.wanted and not told:
                told = True
                self._stop(children)
            for child in children:
                self._look_after(child)
            time.sleep(LOOK_SECONDS)
        return max((child.code or 0 for child in children), default=0)

    def _look_after(self, child: _Child) -> None:
        if child.code is not None:
            return
        if child.process is None:
            self._start(child)
            return
        code = child.process.poll()
        if code is not None:
            self._bury(child, code)

    def _start(self, child: _Child) -> None:
        if self.shutdown.wanted:
            child.code = 0
        elif time.monotonic() >= child.not_before:
            # Nothing is ever written: the pipe's end says that this process has ended. In a group of its own the child
            # does not get the terminal's Ctrl-C beside our word.
            child.process = subprocess.Popen(  # noqa: S603  # our own command
                child.command, stdin=subprocess.PIPE, stdout=child.output, process_group=0
            )
            child.started = time.monotonic()

    def _bury(self, child: _Child, code: int) -> None:
        child.process = None
        if code == 0 or self.shutdown.wanted:
            child.code = max(code, 0)
            return
        if code == FATAL:
            child.code = code
            self.log.error("process cannot go on; the others are stopped", code=code)
            self.shutdown.ask()
            return
        lived = time.monotonic() - child.started
        child.deaths = 0 if lived > LIVED_LONG_SECONDS else child.deaths + 1
        wait = self.backoff.seconds(child.deaths) if child.deaths else 0.0
        child.not_before = time.monotonic() + wait
        self.log.warning("process died, started again", code=code, lived=round(lived, 1), seconds=round(wait, 2))

    def _stop(self, children: Sequence[_Child]) -> None:
        for child in children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)


def parent_is_gone() -> bool:
    """Whether whoever supervises this process has ended: its end of our stdin is closed."""
    import select

    readable, _, _ = select.select([0], [], [], 0)
    return bool(readable) and os.read(0, 1) == b""
