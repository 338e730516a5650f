"""Measure the workers on RabbitMQ, Redis and PostgreSQL of their own: each stage alone, and then all at once.

Each round makes a site of two shards and imports the alerts. Then, for cycle 1 (every fare first seen) and cycle 2 (a
fifth changed), ingest fills the queues, and each worker drains those before it; beside each stage stands the part alone
that limits it. Then the databases are put back, and workers that stay take both cycles as ingest publishes them.

Whatever burns a processor is counted: the workers, and all processes of the three servers. Seconds and CPU seconds of
a stage alone are from its first message to its last, without the start of its process; but notify's are those of the
whole command, since most of its work is to tell after the last message. Overlapped they are from the start of ingest
until the last message of any worker is acknowledged.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alone import SIZES
from crew import Crew
from measuring import FMS, Step, Workload, measure, options, parse_alone
from reporting import Row, summary, table
from servers import Meter, Servers, Used

IMPORT = """
import json, os, sys, time
from pathlib import Path
from fms.bootstrap import open_site
# Without a broker nothing is matched meanwhile that an evaluation could miss, and no alert is looked at again for that.
del os.environ["FMS_BROKER_URL"]
start = time.perf_counter()
with open_site() as site:
    for file in Path(sys.argv[1]).iterdir():
        site.alerts.import_file(file, f"{file.stem}@example.com")
    site.alerts.evaluate_owed()
print(json.dumps({"seconds": time.perf_counter() - start}))
"""
STAGES = ("ingest", "price", "alert", "notify", "overlapped")
LIMITS = Path(__file__).with_name("alone.py")


@dataclass(frozen=True)
class Made:
    """What ingest and diff make of a cycle, as files, for whatever works on it alone."""

    fares: Path
    changes: Path


@dataclass(frozen=True)
class Prepared:
    """What is made before anything is measured; ``alerts``: a file of alerts for each user."""

    cycles: Sequence[Made]
    alerts: Path


class Round:
    """One round on servers that are running; ``rows`` are its steps in order, by name."""

    def __init__(
        self, servers: Servers, work: Workload, made: Prepared, chosen: argparse.Namespace, folder: Path
    ) -> None:
        self._servers = servers
        self._work = work
        self._made = made
        self._chosen = chosen
        self._folder = folder
        self._log = folder / "log"
        self.rows: dict[str, Row] = {}
        self.memory: dict[str, float] = {}

    def run(self) -> None:
        """All steps that were chosen, and those that they need."""
        self._servers.clear()
        shards = [f"--shard={name}={self._servers.database(name)}" for name in ("a", "b")]
        self._fms("init", *shards)
        if self._work.alerts:
            self._note("import alerts", self._work.alerts, self._python, "-c", IMPORT, self._made.alerts)
        self._servers.save()
        last = max(map(STAGES.index, self._chosen.stages))
        for number in (1, 2):
            self._cycle(number, STAGES[: min(last, STAGES.index("notify")) + 1])
        if "overlapped" in self._chosen.stages:
            self._servers.restore()
            self._overlapped()

    def _python(self, *arguments: str | Path, items: int = 0) -> Step:
        environment = self._servers.environment(self._folder)
        return measure([sys.executable, *map(str, arguments)], items, environment, self._log)

    def _fms(self, *arguments: str | Path, items: int = 0) -> Step:
        return self._python(*FMS[1:], *arguments, items=items)

    def _part(self, *arguments: str | Path, items: int) -> Step:
        return self._python(LIMITS, *arguments, items=items)

    def _note(self, name: str, items: int, do: Callable[..., Step], *arguments: str | Path) -> Row:
        """Do a step, and measure it."""
        self._servers.rest()
        with Meter(self._servers.groups).running() as used:
            step = do(*arguments, items=items)
        report = step.report
        # Most of notify's work comes after its last message: to tell.
        whole = name.endswith("notify") or "cpu_seconds" not in report
        used["worker"] = Used(step.cpu if whole else report["cpu_seconds"], step.peak)
        seconds = step.work if whole else report.get("busy_seconds", step.work)
        row = self.rows[name] = Row(report.get("rows", items), seconds, used, _sent(report), report)
        return row

    def _cycle(self, number: int, stages: Sequence[str]) -> None:
        """One cycle, stage after stage, and the parts beside them."""
        note = self._note
        docs, file, made = self._work.docs, self._work.cycles[number - 1], self._made.cycles[number - 1]
        empty = self._servers.redis_memory()
        note(f"{number} parser alone", docs, lambda items: parse_alone(file, items))
        self._fms("queues", "declare")
        note(f"{number} ingest", docs, self._fms, "ingest", "--replay", file, "--json")
        with self._elsewhere() as url:
            found = note(f"{number} publish alone", docs, self._part, "publish", url, made.fares)
            note(f"{number} consume alone", docs, self._part, "consume", url, str(found.report["messages"]))
        if "price" in stages:
            note(f"{number} price", docs, self._fms, *self._worker("price"))
            used = self._servers.redis_memory() - empty
            places = (self._servers.redis_url(), self._servers.redis_url(1))
            pages = note(f"{number} pages alone", docs, self._part, "pages", *places, made.fares, str(number))
            if number == 1:
                self.memory = {"used": used / docs} | {name: pages.report[name] / docs for name in SIZES}
        if "alert" in stages:
            asked = note(f"{number} questions alone", 0, self._part, "questions", made.changes)
            changes = note(f"{number} alert", 0, self._fms, *self._worker("alert")).items
            self.rows[f"{number} questions alone"] = Row(changes, asked.seconds, asked.used, 0, asked.report)
        if "notify" in stages:
            note(f"{number} notify", 0, self._fms, *self._worker("notify"))

    def _worker(self, name: str) -> list[str]:
        processes = self._chosen.processes if name in {"price", "alert"} else 1
        return ["worker", name, "--once", "--json", "--processes", str(processes)]

    @contextmanager
    def _elsewhere(self) -> Iterator[str]:
        url = self._servers.new_host()
        yield url
        self._servers.drop_host(url)

    def _overlapped(self) -> None:
        self._fms("queues", "declare")
        environment = self._servers.environment(self._folder)
        with Crew(environment, self._folder, self._chosen.processes) as crew:
            for number, file in enumerate(self._work.cycles, 1):
                self._servers.rest()
                with Meter(self._servers.groups | crew.pids).running() as used:
                    began = time.time()
                    ingest = self._fms("ingest", "--replay", file, "--json")
                    sent = crew.wait(int(ingest.report["published"]))
                used["ingest"] = Used(ingest.cpu, ingest.peak)
                seconds = crew.last_done() - began
                sent |= {"ingest": ingest.report["published"]}
                self.rows[f"{number} overlapped"] = Row(self._work.docs, seconds, used, 0, {"messages": sent})


def _sent(report: Mapping[str, Any]) -> int:
    return int(report.get("published_bytes", 0))


def prepare(servers: Servers, work: Workload, users: int, folder: Path) -> Prepared:
    """See ``Prepared``; the changes by a price book in a database of Redis that is emptied afterwards."""
    alerts = folder / "alerts"
    alerts.mkdir()
    lines = work.alert_file.read_bytes().splitlines(keepends=True) if work.alerts else []
    for number in range(min(users, len(lines))):
        (alerts / f"user{number}.jsonl").write_bytes(b"".join(lines[number::users]))
    environment = {"FMS_DATA": str(folder / "prepared"), "FMS_PRICE_BOOK_URL": servers.redis_url(2)}
    made = []
    for number, file in enumerate(work.cycles, 1):
        one = Made(folder / f"fares{number}.arrow", folder / f"changes{number}.arrow")
        measure([*FMS, "ingest", "--replay", str(file), "--out", str(one.fares)], 0, environment)
        measure([*FMS, "diff", str(one.fares), "--out", str(one.changes)], 0, environment)
        made.append(one)
    servers.redis.flush()
    return Prepared(made, alerts)


def chosen_options() -> argparse.Namespace:
    parser = options(str(__doc__).splitlines()[0])
    parser.add_argument("--users", type=int, help="who share the alerts (a hundredth of them)")
    parser.add_argument("--processes", type=int, default=1, help="of price and of alert, each")
    parser.add_argument("--stages", default=",".join(STAGES), help="which, as a list; what they need is run as well")
    parser.add_argument("--no-fsync", action="store_true", help="PostgreSQL does not wait for the disk")
    chosen = parser.parse_args()
    chosen.stages = chosen.stages.split(",")
    if unknown := set(chosen.stages) - set(STAGES):
        parser.error(f"--stages: {', '.join(sorted(unknown))}: one of {', '.join(STAGES)} wanted")
    return chosen


def main() -> None:
    chosen = chosen_options()
    for name in [name for name in os.environ if name.startswith("FMS_")]:
        del os.environ[name]
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="fms-bench-") as folder:
        work = Workload.generate(Path(folder), chosen)
        with Servers(fsync=not chosen.no_fsync) as servers:
            made = prepare(servers, work, chosen.users or max(1, work.alerts // 100), Path(folder))
            for _ in range(chosen.repeat):
                with tempfile.TemporaryDirectory(dir=folder) as data:
                    one = Round(servers, work, made, chosen, Path(data))
                    one.run()
                rounds.append(one)
    found = summary([one.rows for one in rounds], [one.memory for one in rounds], work, vars(chosen))
    print(json.dumps(found) if chosen.json else table(found))


if __name__ == "__main__":
    main()
