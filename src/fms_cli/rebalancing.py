"""``fms shard plan``, ``rebalance``, ``pause``, ``resume`` and ``abort``: slots move until shards carry the same."""

import sys
from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fms.errors import Invalid
from fms_cli.carrying import carry, show_balance
from fms_cli.options import Data, Json
from fms_cli.output import is_terminal, json_line

if TYPE_CHECKING:
    from fms.rebalance.journal import Job
    from fms.rebalance.plan import Plan
    from fms.rebalance.service import Shards

Drain = Annotated[
    list[str] | None,
    typer.Option("--drain", metavar="SHARD", help="A shard that shall end without slots; once for each."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def plan(drain: Drain = None, data: Data = None, as_json: Json = False) -> None:
    """Plan which slots should move so that all shards carry the same, and keep the plan; nothing moves."""
    from fms.bootstrap import open_shards

    with open_shards(data) as shards:
        made = shards.draft(drain or ())
        job = shards.journal.add(made, {}) if made.moves else None
    _show(made, job.id if job else None, as_json=as_json)
    if job and not as_json:
        typer.echo(f"fms shard rebalance --plan {job.id} carries it out")


def rebalance(
    plan_id: Annotated[
        int | None, typer.Option("--plan", metavar="ID", help="Carry this plan out; else one is made.")
    ] = None,
    drain: Drain = None,
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", min=1, max=64, help="Moves at once, if they share no shard.")
    ] = 1,
    max_pause_ms: Annotated[
        int,
        typer.Option(
            "--max-pause-ms",
            metavar="N",
            min=1,
            max=60_000,
            help="Give a move up whose slots take no writes for longer.",
        ),
    ] = 2_500,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be moved, and keep nothing.")] = False,
    yes: Yes = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Move slots until all shards carry the same, while everybody works on.

    It may be ended at any moment, and resumed. The plan is shown, and a question asked, before anything moves.
    """
    from fms.bootstrap import open_shards

    if plan_id is not None and (drain or dry_run):
        raise Invalid("--plan carries out what is planned: --drain and --dry-run make no sense with it")
    _check_askable(yes=yes or dry_run)
    with open_shards(data) as shards:
        _check_alone(shards)
        job = _planned(shards, plan_id) if plan_id is not None else _drafted(shards, drain, dry_run, as_json=as_json)
        if job is None:
            return
        if not _agreed(f"move {_size(shards, job)}?", yes=yes):
            typer.echo(f"nothing was moved; fms shard rebalance --plan {job.id} does it")
            return
        started = shards.journal.start(job.id, {"parallel": parallel, "max_pause_ms": max_pause_ms})
        carry(shards, started, as_json=as_json)


def _check_alone(shards: "Shards") -> None:
    if other := shards.journal.open_job():
        raise Invalid(f"rebalance {other.id} is {other.state}: fms shard resume or fms shard abort ends it")


def _planned(shards: "Shards", number: int) -> "Job":
    job = shards.journal.job(number)
    if job.state != "planned":
        raise Invalid(f"plan {number} is {job.state}: make a new one with fms shard plan")
    return job


def _drafted(shards: "Shards", drain: Collection[str] | None, dry_run: bool, *, as_json: bool) -> "Job | None":
    """A new plan, shown; None: there is nothing to carry out."""
    made = shards.draft(drain or ())
    job = None if dry_run or not made.moves else shards.journal.add(made, {})
    if job is None or not as_json:
        _show(made, job.id if job else None, as_json=as_json)
    return job


def _size(shards: "Shards", job: "Job") -> str:
    moves = shards.journal.moves(job.id)
    return _in_words(len(moves), sum(len(move.slots) for move in moves), sum(move.planned_rows for move in moves))


def _in_words(moves: int, slots: int, rows: int) -> str:
    return f"{slots:,} slots with {rows:,} rows in {moves:,} moves"


def _show(made: "Plan", number: int | None, *, as_json: bool) -> None:
    slots, rows = sum(len(move.slots) for move in made.moves), sum(move.rows for move in made.moves)
    if as_json:
        json_line(
            {
                "plan": number,
                "moves": len(made.moves),
                "slots": slots,
                "rows": rows,
                "before": [asdict(load) for load in made.before],
                "after": [asdict(load) for load in made.after],
                "obstacles": list(made.obstacles),
                "steps": [asdict(move) for move in made.moves],
            }
        )
        return
    if not made.moves:
        typer.echo("there is nothing to move: every shard is as near even as moves bring it")
    else:
        name = "this plan" if number is None else f"plan {number}"
        typer.echo(f"{name} moves {_in_words(len(made.moves), slots, rows)}")
    show_balance(made.before, made.after)
    for sentence in made.obstacles:
        typer.echo(sentence)


def _check_askable(*, yes: bool) -> None:
    if not yes and not is_terminal(sys.stdin):
        raise Invalid("there is no terminal to ask on: --yes does it without being asked")


def _agreed(question: str, *, yes: bool) -> bool:
    return yes or typer.confirm(question, err=True)


def pause(data: Data = None, as_json: Json = False) -> None:
    """Let the rebalance that is under way stop: before the slots of a move take no writes, or after the move."""
    from fms.bootstrap import open_shards

    with open_shards(data, catalog_only=True) as shards:
        job = _open_job(shards)
        if job.state != "paused" and not shards.journal.change_job(job.id, "paused", ["running"]):
            raise Invalid(f"rebalance {job.id} is {shards.journal.job(job.id).state}, and cannot be paused")
    _say({"job": job.id, "state": "paused"}, f"rebalance {job.id} is paused: fms shard resume goes on", as_json=as_json)


def resume(data: Data = None, as_json: Json = False) -> None:
    """Go on with a rebalance that was paused, interrupted or killed; also with one that is being aborted."""
    from fms.bootstrap import open_shards

    with open_shards(data) as shards:
        job = _open_job(shards)
        shards.journal.change_job(job.id, "running", ["paused"])
        carry(shards, shards.journal.job(job.id), as_json=as_json, aborting=job.state == "aborting")


def abort(yes: Yes = False, data: Data = None, as_json: Json = False) -> None:
    """End a rebalance: moves that were decided are finished and stay, one that was not is undone, no other is begun."""
    from fms.bootstrap import open_shards

    _check_askable(yes=yes)
    with open_shards(data) as shards:
        job = _open_job(shards)
        if not _agreed(f"abort rebalance {job.id}? What was moved stays.", yes=yes):
            typer.echo(f"rebalance {job.id} stays {job.state}")
            return
        shards.journal.change_job(job.id, "aborting", ["running", "paused"])
        carry(shards, shards.journal.job(job.id), as_json=as_json, aborting=True)


def _open_job(shards: "Shards") -> "Job":
    if job := shards.journal.open_job():
        return job
    planned = [job.id for job in shards.journal.jobs() if job.state == "planned"]
    more = f"; fms shard rebalance --plan {planned[-1]} begins the last one planned" if planned else ""
    raise Invalid(f"no rebalance is under way{more}")


def _say(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        json_line(document)
    else:
        typer.echo(text)
