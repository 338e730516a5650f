"""``fms worker``: each stage as a process between its queues."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fms.model.route import PARTITIONS
from fms_cli.options import Data, Json, Mapping, ObservedAt, instant
from fms_cli.output import json_line
from fms_cli.running import Running, load_worker_settings

if TYPE_CHECKING:
    from fms.ports import Channel

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

    options = Running("price", data, partitions, log, metrics_port, once=once, as_json=as_json)
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

    options = Running("alert", data, partitions, log, metrics_port, once=once, as_json=as_json)
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
    options = Running("notify", data, partitions, log, metrics_port, once=once, as_json=as_json, more=more)
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
