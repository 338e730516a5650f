"""``fms queues``: the queues between the workers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fms.errors import Invalid
from fms_cli.options import Data, Json
from fms_cli.output import json_line, listing

if TYPE_CHECKING:
    from fms.queues.rabbitmq import RabbitMQ
    from fms.queues.topology import Queue

app = typer.Typer(help="The queues between the workers.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="Its name, as fms queues status shows it.")]


@contextmanager
def _connected(data: Data, consume: Sequence[str] = ()) -> Iterator[tuple["RabbitMQ", Sequence["Queue"]]]:
    from fms.bootstrap import open_broker, queue_rules
    from fms.queues.rabbitmq import Consuming
    from fms.queues.topology import topology
    from fms.settings import load_settings

    settings = load_settings(data)
    broker = open_broker(settings, Consuming(consume))
    try:
        yield broker, topology(queue_rules(settings))
    finally:
        broker.close()


@app.command()
def declare(data: Data = None, as_json: Json = False) -> None:
    """Make the queues that are not there. Every worker does this too when it starts."""
    with _connected(data) as (broker, queues):
        broker.connect()
    if as_json:
        json_line({"queues": len(queues)})
    else:
        typer.echo(f"{len(queues)} queues are there")


@app.command()
def status(
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, max=600, help="How long to look, for the rates.")
    ] = 1.0,
    everything: Annotated[bool, typer.Option("--all", help="Also queues that are empty and at rest.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what waits in each queue, how fast it changes, its consumers, and the age of what is at its head."""
    from fms.queues.admin import status as look

    with _connected(data) as (broker, queues):
        found = look(broker, queues, seconds)
    ages = _ages(data)
    rows = [asdict(one) | {"oldest_seconds": ages.get(one.queue) if one.waiting else None} for one in found]
    chosen = rows if as_json or everything else [row for row in rows if row["waiting"] or row["per_second"]]
    columns = ("queue", "waiting", "per_second", "consumers", "oldest_seconds")
    listing(chosen, as_json=as_json, columns=columns, nothing="every queue is empty (--all shows them)")


def _ages(data: Data) -> dict[str, float]:
    """Queue → seconds since the message at its head was published, by the last word of the worker that takes it."""
    from fms.bootstrap import open_site
    from fms.queues.topology import queue_of
    from fms.workers import CONSUMED

    with open_site(data) as site:
        reports, now = site.reports.read(), site.clock()
    return {
        queue_of(CONSUMED[one.stage], one.partition): round((now - one.published_at) / 1000, 1)
        for one in reports
        if one.published_at is not None
    }


@app.command()
def retry(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="fare, change or outbox; all three if not given.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give dead letters another try: each goes back to the queue that it came from."""
    from fms.model.clock import system_clock
    from fms.queues.admin import retry as give_back
    from fms.queues.topology import KINDS, dead_letters_of

    if kind is not None and kind not in KINDS:
        raise Invalid(f"KIND: one of {', '.join(KINDS)} wanted, not {kind[:40]!r}")
    counts = {}
    for one in [kind] if kind else KINDS:
        with _connected(data, [dead_letters_of(one)]) as (broker, _):
            counts[one] = give_back(broker, system_clock)
    if as_json:
        json_line(counts)
    else:
        typer.echo(", ".join(f"{count:,} {name}" for name, count in counts.items()) + " back in their queues")


@app.command()
def purge(
    queue: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Throw away what waits in a queue. What is thrown away is not told to anybody."""
    from fms.queues.admin import known

    with _connected(data) as (broker, queues):
        waiting = broker.depth([known(queues, queue)])
        if not yes:
            typer.confirm(f"Throw away {waiting:,} messages of {queue}?", abort=True, err=True)
        purged = broker.purge(queue)
    found: dict[str, Any] = {"queue": queue, "purged": purged}
    if as_json:
        json_line(found)
    else:
        typer.echo(f"{purged:,} messages of {queue} thrown away")
