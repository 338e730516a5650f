"""A rebalance carried out before somebody's eyes: progress bars, signals, and what is told at its end."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fms.errors import FmsError, Transient
from fms_cli.outliving import Wish, outliving
from fms_cli.output import is_terminal, json_line, table
from fms_cli.shard_status import document_of, failures_of, seconds_of

if TYPE_CHECKING:
    from fms.rebalance.journal import Job, Move
    from fms.rebalance.plan import Load
    from fms.rebalance.service import Shards

DRAWN_SECONDS = 0.1
"""Bars are drawn again no sooner than that after the last time."""


def carry(shards: "Shards", job: "Job", *, as_json: bool, aborting: bool = False) -> None:
    """Carry a job that is under way to its end, and tell how it went.

    Exits with 1 if moves failed, or the job was aborted although ``aborting`` does not say that it should be. Raises
    Transient if it was paused, is under way elsewhere, or a service did not answer; Interrupted if it was asked to end.
    """
    with _Bars(shards.journal.moves(job.id)) as bars:
        wish = Wish(f"rebalance {job.id} has stopped where it was: fms shard resume goes on with it", bars.stopping)
        with outliving(wish):
            began = monotonic()
            ended = _carried(shards, job, bars, wish)
            bars.close()
            _tell(shards, ended, monotonic() - began, as_json=as_json)
    if ended.state == "failed" or (ended.state == "aborted" and not aborting):
        raise typer.Exit(1)
    if ended.state == "paused":
        raise Transient(f"rebalance {job.id} was paused: fms shard resume goes on with it")


def _carried(shards: "Shards", job: "Job", bars: "_Bars", wish: Wish) -> "Job":
    from fms.rebalance.journal import OPEN_JOBS, Leased, Refused
    from fms.rebalance.mover import Pace

    def stop() -> None:
        bars.draw()
        wish.check()

    given = {"max_pause_ms": job.options["max_pause_ms"]} if "max_pause_ms" in job.options else {}
    pace = replace(Pace(report=bars.report, stop=stop), **given)
    try:
        return shards.carrier(pace, int(job.options.get("parallel", 1))).carry(job)
    except (Leased, Refused) as error:
        # Whoever took a move from us may have brought all of them to their end.
        now = shards.journal.job(job.id)
        if now.state not in OPEN_JOBS:
            return now
        raise Transient(f"rebalance {job.id} is under way elsewhere: {error}") from error


def _tell(shards: "Shards", job: "Job", seconds: float, *, as_json: bool) -> None:
    from fms.rebalance.journal import OPEN_JOBS
    from fms.rebalance.progress import progress_of

    moves = shards.journal.moves(job.id)
    made = progress_of(job, moves, job.changed_at)
    balance = _balance(shards, job)
    if as_json:
        json_line(document_of(job, made) | {"seconds": round(seconds, 1), "balance": [asdict(one) for one in balance]})
        return
    typer.echo(f"rebalance {job.id} {_ENDED.get(job.state, job.state)} after {seconds_of(seconds)}: {_made(made)}")
    if made.pauses:
        typer.echo(
            f"writes to a move's slots waited {made.pauses.p50:,} ms (p50), {made.pauses.p99:,} ms (p99),"
            f" {made.pauses.most:,} ms at most"
        )
    if balance:
        show_balance(balance)
    for line in failures_of(made):
        typer.echo(line, err=True)
    if job.state not in OPEN_JOBS and made.failed:
        typer.echo("fms shard rebalance makes a new plan of what is left", err=True)


def _balance(shards: "Shards", job: "Job") -> Sequence["Load"]:
    """What the shards carry now; nothing if one of them does not answer: what was moved is moved all the same."""
    with suppress(FmsError):
        # Even is counted as it was planned: over the shards that were to keep something.
        drained = {load.shard for load in job.after if not load.slots} & shards.urls().keys()
        return shards.draft(drained).before
    return ()


_ENDED = {"done": "is done", "failed": "failed", "aborted": "was aborted", "paused": "was paused"}


def _made(made: Any) -> str:
    speed = f", {made.rows_per_second:,.0f} rows/s" if made.rows_per_second else ""
    return f"{made.done:,} of {made.moves:,} moves made, {made.copied:,} rows copied{speed}"


def show_balance(before: Sequence["Load"], after: Sequence["Load"] = ()) -> None:
    """Print what shards carry, and what they will."""
    columns = ("shard", "slots", "rows", "of_even")
    then: Mapping[str, Load] = {load.shard: load for load in after}

    def cells(load: "Load") -> list[str]:
        planned = then.get(load.shard, load)
        pairs = (
            (f"{load.slots:,}", f"{planned.slots:,}"),
            (f"{load.rows:,}", f"{planned.rows:,}"),
            (f"{load.share:.0%}", f"{planned.share:.0%}"),
        )
        return [load.shard, *(now if now == later else f"{now} → {later}" for now, later in pairs)]

    table(columns, [cells(load) for load in before])


class _Bars:
    """Bars on stderr if that is a terminal: all moves, and each that is under way. A context.

    Movers report from threads of their own. No thread draws by itself: see ``Bar``.
    """

    def __init__(self, moves: Sequence["Move"]) -> None:
        self._lock = Lock()
        self._drawn = 0.0
        self._done = {move.slots for move in moves if move.state == "done"}
        self._all = {move.slots for move in moves}
        self._under_way: dict[object, TaskID] = {}
        self._progress: Progress | None = None

    def __enter__(self) -> "_Bars":
        if is_terminal(sys.stderr):
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[shown]}"),
                TimeElapsedColumn(),
            )
            self._progress = Progress(
                *columns, console=Console(stderr=True), transient=True, auto_refresh=False,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._moves = self._progress.add_task("moves", total=len(self._all), shown="")
            self._progress.start()
            self.draw()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bars away; may be done twice."""
        with self._lock:
            if self._progress:
                self._progress.stop()
            self._progress = None

    def report(self, move: "Move", step: str, rows: int) -> None:
        """Hear of a move, its step, and how many rows it has copied; see ``Report``."""
        with self._lock:
            if self._progress is None:
                return
            if step in ("done", "aborted"):
                self._end(self._progress, move, step)
            else:
                self._go_on(self._progress, move, step, rows)
        self.draw()

    def _end(self, progress: Progress, move: "Move", step: str) -> None:
        if step == "done":
            self._done.add(move.slots)
        if move.id in self._under_way:
            progress.remove_task(self._under_way.pop(move.id))

    def _go_on(self, progress: Progress, move: "Move", step: str, rows: int) -> None:
        what = f"move {move.number}, {move.source} to {move.target}: {step}"
        shown = f"{rows:,} of {move.planned_rows:,} rows"
        # Rows that are written meanwhile come on top of the plan's.
        done = min(rows, move.planned_rows)
        if move.id in self._under_way:
            progress.update(self._under_way[move.id], description=what, completed=done, shown=shown)
        else:
            self._under_way[move.id] = progress.add_task(what, total=move.planned_rows, completed=done, shown=shown)

    def draw(self) -> None:
        """Draw them as they are now, if that was not done a moment ago."""
        with self._lock:
            if self._progress is None or monotonic() - self._drawn < DRAWN_SECONDS:
                return
            self._drawn = monotonic()
            shown = f"{len(self._done):,} of {len(self._all):,}"
            self._progress.update(self._moves, completed=len(self._done), shown=shown, refresh=True)

    def stopping(self) -> None:
        """Say that the end was asked for, and is near."""
        self.close()
        typer.echo("stopping: what is being moved comes to a point where it can be left (again: at once)", err=True)
