"""Commands that kill or stop themselves at a named point, each in a process of its own."""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, Self

from fms_cli.app import main as run
from tests.acceptance.commands import ROOT, Done

Call = Callable[..., Any]


class Point(Protocol):
    """A moment at which a process ends."""

    def set(self) -> None:
        """Arm it."""
        ...


@dataclass(frozen=True)
class At:
    """Before or after the nth call of a function or method, named ``module:Class.method``; ``by``: the signal."""

    place: str
    before: bool
    nth: int = 1
    by: signal.Signals = signal.SIGKILL

    def set(self) -> None:
        """Make the call deadly."""
        owner, name, call = found(self.place)
        calls = count(1)

        def deadly(*arguments: Any, **named: Any) -> Any:
            last = next(calls) == self.nth
            if last and self.before:
                strike(self.by)
            result = call(*arguments, **named)
            if last and not self.before:
                strike(self.by)
            return result

        setattr(owner, name, deadly)


@dataclass(frozen=True)
class BetweenShards:
    """After the first of two shards in which a method of a class with a router writes the items it is given."""

    place: str

    def set(self) -> None:
        """Make the call deadly, if its items live in two shards."""
        from fms.model.ids import slot_of_id

        owner, name, call = found(self.place)

        def slot(item: Any) -> int:
            return slot_of_id(item.id if hasattr(item, "id") else item.alert.id)

        def deadly(rows: Any, items: Any) -> Any:
            parts = rows._router.split(items, slot)
            if len(parts) < 2:
                return call(rows, items)
            call(rows, parts[0][1])
            return strike()

        setattr(owner, name, deadly)


def found(place: str) -> tuple[Any, str, Call]:
    """Where a function or method lives, its name, and the function itself."""
    module, _, path = place.partition(":")
    owner = importlib.import_module(module)
    *classes, name = path.split(".")
    for one in classes:
        owner = getattr(owner, one)
    return owner, name, getattr(owner, name)


def strike(number: signal.Signals = signal.SIGKILL) -> None:
    """End or stand still as by the system's hand: nothing is flushed, closed or rolled back."""
    os.kill(os.getpid(), number)


class Renamed:
    """Before or after a file gets the name under which it is looked for."""

    def __init__(self, *, before: bool) -> None:
        self._before = before

    def set(self) -> None:
        """Make the renaming deadly."""
        At("pathlib:Path.replace", self._before).set()


MAKING: dict[str, Point] = {
    "before a new directory has its catalog": At("fms.db.initialise:fill_catalog", before=True),
    "after a new directory has its catalog": At("fms.db.initialise:fill_catalog", before=False),
    "after the user was made": At("fms.db.users:Users._add", before=False),
    "after one shard has its alerts": BetweenShards("fms.db.alerts:AlertRows.add"),
    "after the import": At("fms.alerts:Alerts.import_file", before=False),
    "before the second shard is evaluated": At("fms.db.alerts:AlertRows._evaluate_some", before=True, nth=2),
    "after the evaluation": At("fms.alerts:Alerts.evaluate_owed", before=False),
}
"""Points of a run that begins with an import into a directory that is not there."""

RUNNING: dict[str, Point] = {
    "after diff has compared": At("fms.stages.diff:Diff.process", before=False, nth=9),
    "after one shard has matched": BetweenShards("fms.db.matching:SqlAlertLedger.record"),
    "after the second match": At("fms.stages.match:Match.process", before=False, nth=2),
    "after match": At("fms.stages.match:Match.process", before=False, nth=9),
    "after notify has taken": At("fms.stages.notify:Notify.process", before=False, nth=9),
    "before the price book is written": At("fms.pricebook.sqlite:SqlitePageStore.put", before=True, nth=14),
    "after the price book was written": At("fms.pricebook.sqlite:SqlitePageStore.put", before=False, nth=14),
    "after a batch was settled": At("fms.stages.diff:Diff.settle", before=False, nth=11),
}
"""Points of a run between its first and its last batch."""

TELLING: dict[str, Point] = {
    "before the outbox knows what was handed over": At("fms.db.notifications:mark_handed_over", before=True),
    "before the other outbox knows what was handed over": At(
        "fms.db.notifications:mark_handed_over", before=True, nth=2
    ),
    "after the hand-over": At("fms.db.notifications:SqlNotifications.hand_over", before=False),
    "after the first intent": At("fms.db.notifications:SqlNotifications.write", before=False),
    "before a push": At("fms.channels.console:Console.send", before=True, nth=2),
    "after a push": At("fms.channels.console:Console.send", before=False, nth=2),
    "after a push was noted": At("fms.db.notifications:SqlNotifications.write", before=False, nth=4),
    "after everything was told": At("fms.stages.notify:Notify.deliver", before=False),
}
"""Points at the end of a run."""

STAGES: dict[str, Point] = {
    "before the file is in place": Renamed(before=True),
    "after the file is in place": Renamed(before=False),
    "after one partition was flushed": At("fms.pricebook.sqlite:SqlitePageStore.put", before=False),
    "after every partition was flushed": At("fms.pricebook.overlay:Overlay.flush", before=False),
}
"""Points of a stage that is run alone."""


_TAKEN = "fms.queues.rabbitmq:RabbitMQ.next"
_PUBLISHED = "fms.queues.rabbitmq:RabbitMQ.publish"
_ACKNOWLEDGED = "fms.queues.rabbitmq:RabbitMQ.acknowledge"
_DECODED = "fms.runtime.delivery:unpacked"

FEEDING: dict[str, Point] = {
    "ingest: before the first fares are published": At(_PUBLISHED, before=True),
    "ingest: after some fares are published": At(_PUBLISHED, before=False, nth=5),
    "ingest: before the last part is published": At(_PUBLISHED, before=True, nth=12),
}
"""Points of ingest into the queues."""

PRICING: dict[str, Point] = {
    "price: before a message is read": At(_TAKEN, before=True),
    "price: after a message was read": At(_TAKEN, before=False, nth=3),
    "price: before it is decoded": At(_DECODED, before=True, nth=2),
    "price: after it was decoded": At(_DECODED, before=False, nth=2),
    "price: after it was processed": At("fms.stages.diff:Diff.process", before=False, nth=2),
    "price: before changes are published": At(_PUBLISHED, before=True, nth=2),
    "price: after changes are published": At(_PUBLISHED, before=False, nth=2),
    "price: before pages are put": At("fms.pricebook.redis:RedisPageStore.put", before=True, nth=2),
    "price: after pages were put": At("fms.pricebook.redis:RedisPageStore.put", before=False, nth=2),
    "price: after it was settled": At("fms.stages.diff:Diff.settle", before=False, nth=2),
    "price: before it is acknowledged": At(_ACKNOWLEDGED, before=True, nth=2),
    "price: after it was acknowledged": At(_ACKNOWLEDGED, before=False, nth=2),
}
"""Points of the price worker."""

ALERTING: dict[str, Point] = {
    "alert: after a message was read": At(_TAKEN, before=False, nth=2),
    "alert: after it was decoded": At(_DECODED, before=False, nth=1),
    "alert: after the alerts were found": At("fms.db.matching:SqlAlertLedger.candidates", before=False),
    "alert: before firings are recorded": At("fms.db.matching:SqlAlertLedger.record", before=True),
    "alert: after one shard has its firings": BetweenShards("fms.db.matching:SqlAlertLedger.record"),
    "alert: after firings are recorded": At("fms.db.matching:SqlAlertLedger.record", before=False),
    "alert: before firings are published": At(_PUBLISHED, before=True),
    "alert: after some firings are published": At(_PUBLISHED, before=False),
    "alert: after it was settled": At("fms.stages.match:Match.settle", before=False),
    "alert: before it is acknowledged": At(_ACKNOWLEDGED, before=True),
    "alert: after it was acknowledged": At(_ACKNOWLEDGED, before=False),
}
"""Points of the alert worker."""

NOTIFYING: dict[str, Point] = {
    "notify: after a message was read": At(_TAKEN, before=False, nth=2),
    "notify: after it was decoded": At(_DECODED, before=False),
    "notify: before the inbox has it": At("fms.db.notifications:SqlNotifications.hand_over", before=True),
    "notify: after the inbox has it": At("fms.db.notifications:SqlNotifications.hand_over", before=False),
    "notify: before it is acknowledged": At(_ACKNOWLEDGED, before=True),
    "notify: after it was acknowledged": At(_ACKNOWLEDGED, before=False),
    "notify: after the first intent": At("fms.db.notifications:SqlNotifications.write", before=False),
    "notify: before a push": At("fms.channels.console:Console.send", before=True),
    "notify: after a push": At("fms.channels.console:Console.send", before=False),
    "notify: after a push was noted": At("fms.db.notifications:SqlNotifications.write", before=False, nth=3),
}
"""Points of the notify worker."""


STOPPING: dict[str, Point] = {
    "price": At("fms.pricebook.redis:RedisPageStore.put", before=True, nth=2, by=signal.SIGSTOP),
    "alert": At("fms.db.matching:SqlAlertLedger.record", before=True, nth=2, by=signal.SIGSTOP),
    "notify": At("fms.stages.notify:Notify.process", before=True, nth=2, by=signal.SIGSTOP),
}
"""Worker → where it stands still with a message in hand, just before it writes what follows from that."""


@dataclass(frozen=True)
class Held:
    """Before the nth call of a function or method, whose thread waits until the FIFO that HELD names was written to.

    Other threads go on: one that stands still with them may have the lock of a file for ever.
    """

    place: str
    nth: int = 1

    def set(self) -> None:
        """Let the call wait."""
        owner, name, call = found(self.place)
        calls = count(1)

        def held(*arguments: Any, **named: Any) -> Any:
            if next(calls) == self.nth:
                Path(os.environ["HELD"]).read_bytes()
            return call(*arguments, **named)

        setattr(owner, name, held)


MOVING: dict[str, Point] = {"second move": Held("fms.rebalance.journal:Journal.commit", nth=2)}
"""Where a rebalance waits, under the fence of a move that it is about to decide."""

POINTS = MAKING | RUNNING | TELLING | STAGES | FEEDING | PRICING | ALERTING | NOTIFYING


class Scaffold:
    """A process that has imported everything and forks one that dies for every command that it is given."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.acceptance.killed"]
        self._server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_error: object) -> None:
        with self._server:
            pass

    def run(self, point: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Done:
        """How ``fms ARGUMENT…`` ended that was to be killed at a point: its negative signal, or exit code."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            order = [point, str(out), str(err), dict(env or {}), *map(str, arguments)]
            print(json.dumps(order), file=self._server.stdin, flush=True)
            code = int(self._server.stdout.readline())
            return Done(code, out.read_text(), err.read_text())

    def kill(self, point: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Done:
        """The same, and it was killed."""
        done = self.run(point, *arguments, env=env)
        assert done.code == -signal.SIGKILL, f"{point} was never reached: {done.code}\n{done.err}"
        return done


def serve() -> None:
    """Answer every command on stdin with how the process ended that did it."""
    for line in sys.stdin:
        point, out, err, env, *arguments = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.update(env)
            os._exit(_run_in(out, err, point, arguments))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run_in(out: str, err: str, point: str, arguments: list[str]) -> int:
    for stream, name in ((sys.stdout, out), (sys.stderr, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), stream.fileno())
    POINTS[point].set()
    try:
        return run(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """``POINT ARGUMENT…``: one command that stops there, see STOPPING and MOVING; nothing: a scaffold's server."""
    if arguments:
        (STOPPING | MOVING)[arguments[0]].set()
        return run(arguments[1:])
    for module in ("fms.bootstrap", "fms.runs", "fms_cli.working", "fms_cli.feeding"):
        importlib.import_module(module)
    serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
