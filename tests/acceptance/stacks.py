"""A site on real services, driven through ``fms``: workers that drain their queues, and workers that stay."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from tests.acceptance.commands import Done, Ledger, ended, start
from tests.acceptance.commands import fms as fms_here
from tests.acceptance.harness import by_ref, environment, in_order
from tests.services.postgres import Databases
from tests.services.processes import until

STAGES = ("price", "alert", "notify")

FIRED = ("ref", "user", "kind", "revision", "origin", "destination", "departure_date", "flights", "price_minor",
         "old_price_minor", "currency", "trigger_minor", "observed_at", "unusual")  # fmt: skip
"""What a notification says of the firing, apart from when and whether somebody was told."""


@dataclass
class Stack:
    """A site whose data directory holds nothing but settings.

    Args:
        folder: for its files.
        env: where its services are.
    """

    folder: Path
    env: dict[str, str]
    workers: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def fms(self, *arguments: str | Path) -> Done:
        """One command in this process, which must succeed."""
        with environment(**self.env):
            return fms_here(*arguments).checked()

    def once(self, stage: str) -> dict[str, Any]:
        """Drain a stage; answers its summary."""
        return self.fms("worker", stage, "--once", "--json").report

    def drained(self, stages: Sequence[str] = STAGES) -> None:
        """Drain the stages one after the other."""
        for stage in stages:
            self.once(stage)

    def process(
        self, *arguments: str | Path, program: Sequence[str] = ("fms_cli",), **env: str
    ) -> "subprocess.Popen[bytes]":
        """One command in a process of its own. Its stderr goes to a file, which nobody has to read."""
        log = self.folder / f"log-{len(list(self.folder.glob('log-*')))}"
        with log.open("wb") as out:
            return start(*arguments, env=self.env | env, stderr=out.fileno(), program=program)

    def begin(self, *stages: str, program: Sequence[str] = ("fms_cli",), **env: str) -> None:
        """Start long-lived workers."""
        for stage in stages:
            more = ["--clock", "newest"] if stage == "notify" else []
            self.workers[stage] = self.process("worker", stage, *more, "--json", program=program, **env)

    def begin_and_stop(self, stage: str) -> "subprocess.Popen[bytes]":
        """Start a worker that stands still with a message in hand; answers when it does: see ``killed.STOPPING``."""
        self.begin(stage, program=("tests.acceptance.killed", stage))
        worker = self.workers[stage]
        until(lambda: changed_state(worker.pid) is not None, "the worker stops or ends", 90)
        assert changed_state(worker.pid) == os.CLD_STOPPED
        return worker

    def stop(self) -> dict[str, int]:
        """Ask every worker to finish; answers their exit codes."""
        for worker in self.workers.values():
            worker.send_signal(signal.SIGCONT)
            worker.terminate()
        codes = {stage: ended(worker).code for stage, worker in self.workers.items()}
        self.workers.clear()
        return codes

    def ledger(self) -> Ledger:
        """Everything that lists say of alerts and notifications, apart from ids."""
        return by_ref(self.fms("alerts", "list", "--json").lines), in_order(self.notifications())

    def fired(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The alerts, and of notifications what fired."""
        alerts, rows = self.ledger()
        return alerts, fired(rows)

    def notifications(self) -> list[dict[str, Any]]:
        """The notifications as listed."""
        return self.fms("notifications", "list", "--json").lines

    def waiting(self) -> dict[str, int]:
        """What waits in the queues, by name; empty ones are left out."""
        rows = self.fms("queues", "status", "--seconds", "0.1", "--json").lines
        return {row["queue"]: row["waiting"] for row in rows if row["waiting"]}


def fired(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of notifications what fired, in order."""
    return sorted(({name: row[name] for name in FIRED} for row in rows), key=json.dumps)


def changed_state(pid: int) -> int | None:
    """How a child came to a standstill, as ``os.CLD_STOPPED``; None: it did not."""
    found = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found and found.si_code


LOOK_SECONDS = 0.3


def seen(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait until a condition holds that costs a command to look at: not more often than those at work can bear."""
    looked = 0.0

    def look() -> bool:
        nonlocal looked
        if monotonic() - looked < LOOK_SECONDS:
            return False
        found = condition()
        looked = monotonic()
        return found

    until(look, what, seconds)


class Prepared:
    """A site on two PostgreSQL shards whose users have alerts; copies of it are made in no time.

    Args:
        server: URL of a database of the server, as somebody who may make others.
        folder: for files.
        wishes: alert files, by whose alerts they are.
        commands: more to do to the site.
    """

    def __init__(
        self, server: str, folder: Path, wishes: Mapping[str, Path], commands: Sequence[Sequence[str]] = ()
    ) -> None:
        self._server = server
        self._folder = folder
        self._databases = Databases(server)
        self._bases = {name: self._databases.new_database() for name in ("catalog", "a", "b")}
        stack = Stack(_made(folder / "prepared"), self._env(self._bases, folder / "prepared"))
        stack.fms("init", "--shard", "a=${SHARD_A}", "--shard", "b=${SHARD_B}")
        for user, file in wishes.items():
            stack.fms("alerts", "import", file, "--user", user)
        for command in commands:
            stack.fms(*command)
        self._copies = 0

    def _env(self, places: Mapping[str, str], folder: Path) -> dict[str, str]:
        return {
            "FMS_DATA": str(folder / "data"),
            "FMS_CATALOG_URL": places["catalog"],
            "SHARD_A": places["a"],
            "SHARD_B": places["b"],
            "FMS_LEASE_SECONDS": "1",
            "FMS_SWEEP_SECONDS": "2",
            "FMS_DELIVER_SECONDS": "0.2",
        }

    def copy(self, broker_url: str, price_book_url: str, **env: str) -> Stack:
        """A site like it, on a broker and a price book of its own."""
        self._copies += 1
        folder = _made(self._folder / f"copy-{self._copies}")
        places = {name: self._databases.new_database(template) for name, template in self._bases.items()}
        services = {"FMS_BROKER_URL": broker_url, "FMS_PRICE_BOOK_URL": price_book_url}
        return Stack(folder, self._env(places, folder) | services | env)

    def drop(self) -> None:
        """Drop all databases."""
        self._databases.drop()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
