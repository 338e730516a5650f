"""How a worker named on the command line is run: in this process, or in several that this one looks after."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import typer

from fms.errors import Invalid, Transient
from fms.model.route import PARTITIONS
from fms_cli.options import Data
from fms_cli.output import json_line

if TYPE_CHECKING:
    from fms.bootstrap import Site
    from fms.runtime.job import Job
    from fms.runtime.shutdown import Shutdown
    from fms.settings import Settings
    from fms.workers import Plant


def load_worker_settings(data: Data, log: str | None, metrics_port: int | None) -> "Settings":
    """The settings of a worker; raises Fatal if no broker is configured."""
    from fms.settings import load_settings

    return load_settings(data, log_format=log, metrics_port=metrics_port)


class Running:
    """One worker as it was told on the command line, run in this process or in several."""

    def __init__(
        self,
        name: str,
        data: Data,
        partitions: str,
        log: str | None,
        metrics_port: int | None,
        *,
        once: bool,
        as_json: bool,
        more: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.data = data
        self.partitions = parse_partitions(partitions)
        self.once = once
        self.as_json = as_json
        self._more = more
        self.settings = load_worker_settings(data, log, metrics_port)

    def run(self, processes: int, job_of: "Callable[[Plant], Job]", *, supervised: bool) -> None:
        """In this process, or in several that this one looks after."""
        from fms.runtime.shutdown import Shutdown, Stopped

        # One without partitions would have nothing to do.
        processes = min(processes, len(self.partitions))
        try:
            if processes > 1:
                shutdown = Shutdown(self.settings.drain_seconds + 5)
                with shutdown.listening():
                    code = self._supervise(processes, shutdown)
            else:
                shutdown = Shutdown(self.settings.drain_seconds)
                with shutdown.listening():
                    code = self._work(job_of, shutdown, supervised=supervised)
        except Stopped:
            code = 130
        if code:
            raise typer.Exit(code)

    def _work(self, job_of: "Callable[[Plant], Job]", shutdown: "Shutdown", *, supervised: bool) -> int:
        from fms_cli.working import Station

        with ExitStack() as stack:
            site = stack.enter_context(self._site(shutdown))
            station = stack.enter_context(Station(site, self.name, self.partitions, shutdown, supervised=supervised))
            job = job_of(station.plant)
            worker = station.worker(job)
            if self.once:
                worker.drain()
            else:
                worker.run()
            with suppress(Transient):
                station.report()
            if self.once or not self.as_json:
                self._summary(station.summary(worker, job))
        return 0

    def _site(self, shutdown: "Shutdown") -> "Site":
        """The site, opened. One that stays waits for databases that are away; one that drains says so and ends."""
        from fms.bootstrap import open_site
        from fms.runtime.logs import log_to_stderr
        from fms.runtime.retry import Backoff

        backoff, tries = Backoff(first=0.5), 0
        while True:
            try:
                return open_site(self.data, **self._changed())
            except Transient as error:
                if self.once or shutdown.wanted:
                    raise
                tries += 1
                seconds = backoff.seconds(tries)
                log = log_to_stderr(self.settings.log_format, worker=self.name)
                log.warning("tried again", what="databases", why=str(error), seconds=round(seconds, 2))
                time.sleep(seconds)

    def _changed(self) -> dict[str, Any]:
        return {"log_format": self.settings.log_format, "metrics_port": self.settings.metrics_port}

    def _summary(self, counts: dict[str, Any]) -> None:
        if self.as_json:
            json_line(counts)
        else:
            typer.echo(", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))

    def _supervise(self, processes: int, shutdown: "Shutdown") -> int:
        from fms.runtime.logs import log_to_stderr
        from fms.runtime.supervisor import Supervisor

        log = log_to_stderr(self.settings.log_format, worker=self.name)
        with _outputs(processes if self.once and self.as_json else 0) as outputs:
            commands = [self._command(number, processes) for number in range(processes)]
            code = Supervisor(commands, shutdown, log, outputs).run()
            if outputs and code == 0:
                json_line(_added_up(outputs))
        return code

    def _command(self, number: int, processes: int) -> list[str]:
        """The command of one of several processes: every so-manieth partition is its own."""
        mine = ",".join(map(str, self.partitions[number::processes]))
        command = [sys.executable, "-m", "fms_cli", "worker", self.name, "--partitions", mine, "--supervised"]
        command += ["--data", str(self.settings.data), "--log", self.settings.log_format, *self._more]
        port = self.settings.metrics_port
        command += [] if port is None else ["--metrics-port", str(port + number if port else 0)]
        return command + ["--once"] * self.once + ["--json"] * self.as_json


def parse_partitions(text: str) -> list[int]:
    """``0-3,8`` is 0, 1, 2, 3 and 8; raises Invalid."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise Invalid(f"--partitions: not a list like 0-7,12: {text[:40]!r}")
        some = range(int(first), int(last or first) + 1)
        if not some or some[-1] >= PARTITIONS:
            raise Invalid(f"--partitions: 0 to {PARTITIONS - 1} wanted: {part.strip()[:40]!r}")
        found.update(some)
    return sorted(found)


@contextmanager
def _outputs(count: int) -> Iterator[list[IO[bytes]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(tempfile.TemporaryFile()) for _ in range(count)]


def _added_up(outputs: Sequence[IO[bytes]]) -> dict[str, Any]:
    """The summaries that the processes printed last, as one."""
    whole: dict[str, Any] = {}
    for output in outputs:
        output.seek(0)
        lines = output.read().splitlines()
        for name, count in (json.loads(lines[-1]) if lines else {}).items():
            before = whole.get(name, 0)
            whole[name] = max(before, count) if name in {"seconds", "busy_seconds"} else before + count
    return whole
