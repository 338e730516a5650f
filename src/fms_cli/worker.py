"""``fms worker``: each stage as a process between its queues."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from fms.errors import Invalid, Transient
from fms.model.route import PARTITIONS
from fms_cli.options import Data, Json, Mapping, ObservedAt, instant
from fms_cli.output import json_line

if TYPE_CHECKING:
    from fms.ports import Channel
    from fms.runtime.job import Job
    from fms.runtime.shutdown import Shutdown
    from fms.settings import Settings
    from fms.workers import Plant

app = typer.Typer(
    help="Run a stage between its queues. SIGTERM lets it finish what it holds; a second one ends it at once.",
    no_args_is_help=True,
)

Partitions = Annotated[
    str, typer.Option("--partitions", metavar="LIST", help="Which of the 16 partitions, like 0-7,12.")
]
Processes = Annotated[
    int, typer.Option("--processes", metavar="N", min=1, max=PARTITIONS, help="Processes that share the partitions.")
]
Once = Annotated[bool, typer.Option("--once", help="Drain the queues and exit.")]
LogForm = Annotated[
    Literal["text", "json"] | None, typer.Option("--log", help="Form of the log lines on stderr.", show_default=False)
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", metavar="PORT", min=0, max=65_535, show_default=False,
        help="Where /livez, /readyz and /metrics are answered; the next ones with --processes.",
    ),
]  # fmt: skip
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True, help="End when stdin does.")]
ClockOf = Annotated[
    Literal["system", "newest"] | None,
    typer.Option(
        "--clock", show_default=False,
        help="Tell by the time of the system (default), or of the newest observation, as a replay does"
        " (default with --once).",
    ),
]  # fmt: skip

_NAMES = ("price", "alert", "notify")


@app.command()
def price(
    partitions: Partitions = "0-15",
    processes: Processes = 1,
    once: Once = False,
    data: Data = None,
    log: LogForm = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
    supervised: Supervised = False,
) -> None:
    """Diff: compare fares with the price book and pass on what moved."""
    from fms.workers import price_job

    options = _Options("price", data, partitions, log, metrics_port, once=once, as_json=as_json)
    options.run(processes, price_job, supervised=supervised)


@app.command()
def alert(
    partitions: Partitions = "0-15",
    processes: Processes = 1,
    once: Once = False,
    data: Data = None,
    log: LogForm = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
    supervised: Supervised = False,
) -> None:
    """Match: find the alerts that changes fire."""
    from fms.workers import alert_job

    options = _Options("alert", data, partitions, log, metrics_port, once=once, as_json=as_json)
    options.run(processes, lambda plant: alert_job(plant, options.partitions), supervised=supervised)


@app.command()
def notify(
    partitions: Partitions = "0-15",
    processes: Processes = 1,
    once: Once = False,
    clock: ClockOf = None,
    data: Data = None,
    log: LogForm = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
    supervised: Supervised = False,
) -> None:
    """Notify: take what fired into the inboxes, and tell what is due and still true."""
    from fms.workers import notify_job
    from fms_cli.report import silent

    channel: Channel | None = silent() if as_json else None
    by_clock = clock == "system" if clock else not once
    more = ["--clock", "system" if by_clock else "newest"]
    options = _Options("notify", data, partitions, log, metrics_port, once=once, as_json=as_json, more=more)
    options.run(processes, lambda plant: notify_job(plant, channel, by_clock=by_clock), supervised=supervised)


@app.command()
def ingest(
    follow: Annotated[
        str,
        typer.Option(
            "--follow",
            metavar="DIR",
            help="Take the files that are put there; they end in DIR/done or DIR/failed. - for JSON lines on stdin.",
        ),
    ],
    once: Annotated[bool, typer.Option("--once", help="Take the files that are there now, and exit.")] = False,
    mapping: Mapping = None,
    observed_at: ObservedAt = None,
    data: Data = None,
    log: LogForm = None,
    metrics_port: MetricsPort = None,
    as_json: Json = False,
) -> None:
    """Ingest: check fares as they arrive and publish them; what is rejected goes to its own queue."""
    from fms.runtime.shutdown import Shutdown, Stopped
    from fms_cli.feeding import follow as take

    settings = load_worker_settings(data, log, metrics_port)
    shutdown = Shutdown(settings.drain_seconds)
    try:
        with shutdown.listening():
            counts = take(settings, follow, mapping, instant(observed_at), shutdown, once=once)
    except Stopped:
        raise typer.Exit(130) from None
    if as_json:
        json_line(counts)
    else:
        typer.echo(", ".join(f"{count:,} {name}" for name, count in counts.items() if isinstance(count, int)))


def load_worker_settings(data: Data, log: str | None, metrics_port: int | None) -> "Settings":
    """The settings of a worker; raises Fatal if no broker is configured."""
    from fms.settings import load_settings

    return load_settings(data, log_format=log, metrics_port=metrics_port)


class _Options:
    """What every worker is told on the command line."""

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
        from fms.bootstrap import open_site
        from fms_cli.working import Station

        with ExitStack() as stack:
            site = stack.enter_context(open_site(self.data, **self._changed()))
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
