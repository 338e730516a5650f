"""The report of a run, for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from fms.channels.console import Console
from fms.model.document import REASONS, Reject
from fms.runs import Report
from fms_cli.output import table

_FATES = {
    "already_told": "already told",
    "cancelled": "cancelled, because the alert was changed",
    "cooling": "waiting, because the alert was told less than 24 h before",
    "gone": "gone before it could be told",
    "held": "held back until the user may be disturbed",
    "superseded": "superseded by a newer one of the same alert",
}
"""What became of notifications, in words; every other status is one."""


def silent() -> Console:
    """A channel for runs whose output is for programs: the inbox has everything."""
    return Console(write=lambda _line: None)


def show(report: Report, rejects: Path | None) -> None:
    """What a run did, in a few lines, and why documents were rejected."""
    show_counts(report)
    show_rejected(report.rejected_by_reason, rejects)


def show_counts(report: Report) -> None:
    """What a run did, in a few lines."""
    typer.echo("")
    done = f"{report.documents:,} documents in {report.seconds:.1f} s"
    typer.echo(f"{done}: {report.accepted:,} accepted, {report.rejected:,} rejected")
    counts = {
        name: getattr(report, name) for name in ("first_seen", "moved", "unchanged", "duplicates", "late", "gone")
    }
    typer.echo("  " + _in_words(counts))
    if report.told:
        told = ", ".join(f"{count:,} {_FATES.get(status, status)}" for status, count in report.told.items())
        what = "notification" if report.notifications == 1 else "notifications"
        typer.echo(f"{report.notifications:,} new {what}: {told}")
    else:
        typer.echo("no alert fired")


def show_rejected(by_reason: Mapping[str, int], rejects: Path | None) -> None:
    """Why documents were rejected, most frequent first."""
    if not by_reason:
        return
    typer.echo("")
    rows = sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))
    table(("rejected", "reason", "meaning"), [(f"{count:,}", reason, REASONS[reason]) for reason, count in rows])
    where = f"see {rejects}" if rejects else "--rejects FILE keeps them"
    count = sum(by_reason.values())
    what = "1 document was" if count == 1 else f"{count:,} documents were"
    typer.echo(f"warning: {what} rejected; {where}", err=True)


def show_each_rejected(rejects: Sequence[Reject]) -> None:
    """Why each document was rejected, in the order of the file."""
    table(("line", "rejected", "because"), [(f"{one.number:,}", one.reason, REASONS[one.reason]) for one in rejects])


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count) or "nothing new"
