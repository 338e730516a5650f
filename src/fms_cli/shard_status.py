"""``fms shard status``: how far a rebalance has come."""

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from fms_cli.options import Data, Json
from fms_cli.output import is_terminal, json_line

if TYPE_CHECKING:
    from fms.rebalance.journal import Job, Journal, Move
    from fms.rebalance.progress import Progress

WATCH_SECONDS = 0.5

Found = tuple["Job", "Progress"]


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until it ends.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show how far the rebalance has come that is under way, or how the last one ended."""
    from fms.bootstrap import open_shards

    with open_shards(data, catalog_only=True) as shards:
        found = _look(shards.journal)
        if found is None:
            _print_nothing(as_json=as_json)
        elif not watch:
            _print(found, as_json=as_json)
        elif is_terminal(sys.stdout) and not as_json:
            _draw(shards.journal, found)
        else:
            _follow(shards.journal, found, as_json=as_json)


def _look(journal: "Journal", number: int | None = None) -> "Found | None":
    from fms.model.clock import system_clock
    from fms.rebalance.progress import progress_of

    jobs = [job for job in journal.jobs() if number in (None, job.id)]
    begun = [job for job in jobs if job.state != "planned"]
    if not jobs:
        return None
    job = (begun or jobs)[-1]
    return job, progress_of(job, journal.moves(job.id), system_clock())


def _watched(journal: "Journal", found: "Found") -> Iterator["Found"]:
    """It, again and again until it has ended."""
    from fms.rebalance.journal import OPEN_JOBS

    yield found
    while found[0].state in OPEN_JOBS:
        time.sleep(WATCH_SECONDS)
        found = _look(journal, found[0].id) or found
        yield found


def _draw(journal: "Journal", found: "Found") -> None:
    try:
        with Live(console=Console(), auto_refresh=False) as live:
            for seen in _watched(journal, found):
                live.update(Text("\n".join(lines_of(*seen))), refresh=True)
    except KeyboardInterrupt:
        return  # whoever looks has seen enough


def _follow(journal: "Journal", found: "Found", *, as_json: bool) -> None:
    before: object = None
    for job, progress in _watched(journal, found):
        now: object = document_of(job, progress) if as_json else _in_short(job, progress)
        if now != before:
            json_line(document_of(job, progress)) if as_json else typer.echo(now)
        before = now


def _print_nothing(*, as_json: bool) -> None:
    if as_json:
        json_line({"job": None})
    else:
        typer.echo("there was no rebalance yet: fms shard list shows how the slots lie")


def _print(found: "Found", *, as_json: bool) -> None:
    if as_json:
        json_line(document_of(*found))
    else:
        typer.echo("\n".join(lines_of(*found)))


def document_of(job: "Job", progress: "Progress") -> dict[str, Any]:
    """A job as one object."""
    pauses = progress.pauses
    return {
        "job": job.id,
        "state": job.state,
        "moves": progress.moves,
        "done": progress.done,
        "failed": progress.failed,
        "rows": progress.rows,
        "copied": progress.copied,
        "rows_per_second": _rounded(progress.rows_per_second),
        "seconds_left": _rounded(progress.seconds_left) if _is_running(job) else None,
        "pause_p50_ms": pauses and pauses.p50,
        "pause_p99_ms": pauses and pauses.p99,
        "pause_max_ms": pauses and pauses.most,
        "current": [_current(one) for one in progress.current],
        "failures": [{"number": one.number, "error": one.error} for one in progress.failures],
    }


def _current(move: "Move") -> dict[str, Any]:
    names = ("number", "source", "target", "step", "attempt", "holder", "planned_rows", "copied_rows")
    return {name: getattr(move, name) for name in names} | {"slots": len(move.slots)}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)


def _is_running(job: "Job") -> bool:
    return job.state == "running"


def lines_of(job: "Job", progress: "Progress") -> list[str]:
    """A job in words."""
    lines = [_in_short(job, progress), *(f"  {_line_of(move)}" for move in progress.current)]
    if pauses := progress.pauses:
        lines.append(f"writes waited {pauses.p50:,} ms (p50), {pauses.p99:,} ms (p99), {pauses.most:,} ms at most")
    lines += failures_of(progress)
    return lines + _advice(job, progress)


def _line_of(move: "Move") -> str:
    what = f"move {move.number}, {len(move.slots):,} slots from {move.source} to {move.target}"
    return f"{what}: {move.step}, {move.copied_rows:,} of {move.planned_rows:,} rows"


def _in_short(job: "Job", progress: "Progress") -> str:
    if job.state == "planned":
        return f"plan {job.id}: {progress.moves:,} moves, not begun: fms shard rebalance --plan {job.id} makes them"
    text = f"rebalance {job.id}: {job.state}, {progress.done:,} of {progress.moves:,} moves done"
    text += f", {progress.copied:,} rows copied"
    if progress.rows_per_second:
        text += f", {progress.rows_per_second:,.0f} rows/s"
    if _is_running(job) and progress.seconds_left is not None:
        text += f", about {seconds_of(progress.seconds_left)} left"
    return text


def failures_of(progress: "Progress") -> list[str]:
    """Why moves were not made, one line for each."""
    return [
        f"move {one.number} from {one.source} to {one.target} was not made: {one.error}" for one in progress.failures
    ]


STILL_MS = 10_000
"""After so long without a word whoever carries a rebalance out between two moves is probably gone."""


def _advice(job: "Job", progress: "Progress") -> list[str]:
    if job.state == "paused":
        return ["fms shard resume goes on with it, fms shard abort undoes what is not done"]
    if job.state in ("running", "aborting") and (progress.is_left or progress.idle_ms > STILL_MS):
        return [f"nobody is at work on it, for {seconds_of(progress.idle_ms / 1000)} now: fms shard resume goes on"]
    return []


def seconds_of(seconds: float) -> str:
    """A length of time for people: ``8 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
