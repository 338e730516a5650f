"""Movers that die, or stand still, right before or after one of their commits; each in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

from tests.acceptance.commands import ROOT
from tests.acceptance.killed import At


@dataclass(frozen=True)
class Fate:
    """What becomes of a mover at a commit of its own: the nth one, counted from its start; 0: nothing.

    ``place``: instead at the nth call of a function, as ``At`` names it.
    """

    nth: int = 0
    before: bool = True
    by: int = signal.SIGKILL
    place: str = ""

    def set(self) -> None:
        """Let it happen."""
        if self.place:
            At(self.place, self.before, self.nth, signal.Signals(self.by)).set()
            return
        from sqlalchemy.engine import Connection

        commit = Connection._commit_impl  # where every commit goes through
        commits = count(1)

        def watched(connection: Connection) -> None:
            options = connection.get_execution_options()
            if options.get("fms_reading") or options.get("postgresql_readonly"):
                commit(connection)
                return
            struck = next(commits) == self.nth
            if struck and self.before:
                os.kill(os.getpid(), self.by)
            commit(connection)
            if struck and not self.before:
                os.kill(os.getpid(), self.by)

        Connection._commit_impl = watched  # type: ignore[assignment, method-assign]


class Movers:
    """A process that has imported everything and forks a mover for every order."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.rebalance.dying"]
        self._server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_error: object) -> None:
        with self._server:
            pass

    def begin(self, options: Mapping[str, Any], fate: Fate, act: str = "carry") -> int:
        """Let a mover carry the open job on; answers its process id."""
        return self._ask({"options": dict(options), "fate": vars(fate), "act": act})

    def ended(self, process: int) -> int:
        """Wait until it ends or stands still; answers its exit code, its negative signal, or 1000 if it stands."""
        return self._ask({"wait": process})

    def wake(self, process: int) -> None:
        """Let one that stands still go on."""
        os.kill(process, signal.SIGCONT)

    def run(self, options: Mapping[str, Any], fate: Fate, act: str = "carry") -> int:
        """Both."""
        return self.ended(self.begin(options, fate, act))

    def _ask(self, order: dict[str, Any]) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(order), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())


STANDS = 1000
REFUSED = 5


def serve() -> None:
    """Obey the orders on stdin."""
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], os.WUNTRACED)
            print(STANDS if os.WIFSTOPPED(status) else os.waitstatus_to_exitcode(status), flush=True)
            continue
        child = os.fork()
        if not child:
            os._exit(_carry(order["options"], Fate(**order["fate"]), order["act"]))
        print(child, flush=True)


def _carry(options: dict[str, Any], fate: Fate, act: str) -> int:
    from fms.bootstrap import open_site
    from fms.rebalance.journal import Leased, Refused
    from fms.rebalance.mover import Pace

    try:
        with open_site(**options) as site, site.shards() as shards:
            job = shards.journal.open_job()
            if job is None:
                return 0
            if act == "abort":
                shards.journal.change_job(job.id, "aborting", ["running", "paused"])
            if act == "one move":
                # In this thread and no other: one that stands still may have a file locked.
                mover = shards.mover(Pace())
                fate.set()
                mover.carry(next(move for move in shards.journal.moves(job.id) if move.state != "done"))
                return 0
            fate.set()
            ended = shards.carrier(Pace()).carry(job)
            return 0 if ended.state in ("done", "aborted") else 3
    except (Refused, Leased) as error:
        print(error, file=sys.stderr)
        return REFUSED
    except BaseException as error:  # noqa: BLE001  # a fork must not go on with what its parent does
        import traceback

        traceback.print_exception(error)
        return 4


if __name__ == "__main__":
    for module in ("fms.bootstrap", "fms.rebalance.service"):
        __import__(module)
    serve()
