"""Runs one server and ends all that descends from it, at the latest when the process that owns it ends, even killed.

It is run as ``python -I -S guard.py OWNER SIGNAL FOLDER KEEP COMMAND…``: the command runs in FOLDER until it ends by
itself, the process OWNER ends, or SIGHUP comes. In the last two cases the server is sent SIGNAL, and the folder goes
unless KEEP is 1. Whatever is left of the server then is killed. SIGINT and SIGTERM are passed on.

A process group would not do: PostgreSQL's and Erlang's helpers leave it. So the guard is who inherits their orphans.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from time import sleep

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 3
"""For how many seconds a server whose owner has ended may go about ending in its own way."""


def family(root: int) -> dict[int, str]:
    """The living processes that descend from ``root``, which is not among them: pid → state ("T" = stopped)."""
    known = dict(_processes())
    found: dict[int, str] = {}
    generation = {root}
    while generation:
        generation = {pid for pid, (parent, _) in known.items() if parent in generation}
        found |= {pid: known[pid][1] for pid in generation}
    return {pid: state for pid, state in found.items() if state not in "ZX"}


def _processes() -> list[tuple[int, tuple[int, str]]]:
    found = []
    for entry in Path("/proc").iterdir():
        # A process may end between the listing and the reading.
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid = int(entry.name)
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            found.append((pid, (int(parent), state)))
    return found


def send(pids: list[int], number: int) -> None:
    """Send a signal to processes, some of which may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def halt(root: int) -> None:
    """Stop all that descends from ``root``; returns when every one stands still, those born meanwhile too."""
    while moving := [pid for pid, state in family(root).items() if state != "T"]:
        send(moving, signal.SIGSTOP)
        sleep(0.001)


def kill(root: int) -> None:
    """Kill all that descends from ``root``, at a moment at which all of it stands still."""
    halt(root)
    send(list(family(root)), signal.SIGKILL)


class _Over(Exception):  # noqa: N818  # named after what has happened
    """The owner wants no more of the server."""


def _over(*_: object) -> None:
    raise _Over


def _ended_by_itself(server: subprocess.Popen[bytes], owner: int) -> bool:
    """Wait until the server ends, or its owner does or has had enough; whether it was the server."""
    ended = os.pidfd_open(server.pid)
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    try:
        waiting.register(os.pidfd_open(owner), select.POLLIN)
        return any(handle == ended for handle, _ in waiting.poll())
    except (ProcessLookupError, _Over):
        return False


def _ask_to_end(server: subprocess.Popen[bytes], number: int) -> None:
    send(list(family(os.getpid())), signal.SIGCONT)
    server.send_signal(number)
    with suppress(subprocess.TimeoutExpired):
        server.wait(PATIENCE)


def main(owner: str, last_signal: str, folder: str, keep: str, *command: str) -> None:
    """See the module."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.chdir(folder)
    by_itself = False
    try:
        server = subprocess.Popen(command)
        for passed_on in (signal.SIGINT, signal.SIGTERM):
            signal.signal(passed_on, lambda number, _: server.send_signal(number))
        signal.signal(signal.SIGHUP, _over)
        by_itself = _ended_by_itself(server, int(owner))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if not by_itself:
            _ask_to_end(server, int(last_signal))
    finally:
        kill(os.getpid())
        with suppress(ChildProcessError):
            while True:
                os.wait()
    if not by_itself and keep != "1":
        rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
