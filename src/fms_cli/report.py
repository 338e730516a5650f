"""The report of a run, for people."""

from collections.abc import Mapping
from pathlib import Path

import typer

from fms.channels.console import Console
from fms.model.document import REASONS
from fms.runs import Report
from fms_cli.output import table


def silent() -> Console:
    """A channel for runs whose output is for programs: the inbox has everything."""
    return Console(write=lambda _line: None)


def show(report: Report, rejects: Path | None) -> None:
    """What a run did, in a few lines."""
    typer.echo("")
    done = f"{report.documents:,} documents in {report.seconds:.1f} s"
    typer.echo(f"{done}: {report.accepted:,} accepted, {report.rejected:,} rejected")
    counts = {
        name: getattr(report, name) for name in ("first_seen", "moved", "unchanged", "duplicates", "late", "gone")
    }
    typer.echo("  " + _in_words(counts))
    if report.told:
        typer.echo(f"{report.notifications:,} new notifications: " + _in_words(report.told))
    else:
        typer.echo("no alert fired")
    show_rejected(report.rejected_by_reason, rejects)


def show_rejected(by_reason: Mapping[str, int], rejects: Path | None) -> None:
    """Why documents were rejected, most frequent first."""
    if not by_reason:
        return
    typer.echo("")
    rows = sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))
    table(("rejected", "reason", "meaning"), [(f"{count:,}", reason, REASONS[reason]) for reason, count in rows])
    where = f"see {rejects}" if rejects else "--rejects FILE keeps them"
    typer.echo(f"warning: {sum(by_reason.values()):,} documents were rejected; {where}", err=True)


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count) or "nothing new"
