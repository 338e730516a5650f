"""The stages alone, as batch jobs: each reads the file that the one before wrote."""

from collections import deque
from collections.abc import Mapping as Counted
from contextlib import ExitStack
from typing import Annotated

import typer

from fms_cli.files import batches_in, digest_of, is_made_from, write_safely
from fms_cli.options import (
    BatchSize,
    Data,
    Json,
    Mapping,
    More,
    ObservedAt,
    Rejects,
    Replay,
    Strict,
    files,
    instant,
)  # fmt: skip
from fms_cli.output import Bar, json_line

In = Annotated[str, typer.Argument(metavar="IN", help="What the stage before wrote; - for stdin.")]
Out = Annotated[str, typer.Option("--out", metavar="OUT", help="Where the result goes; - for stdout.")]


def ingest(
    more: More = None,
    replay: Replay = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Where accepted fares go (Arrow IPC); - for stdout.")
    ] = None,
    mapping: Mapping = None,
    data: Data = None,
    batch_size: BatchSize = None,
    observed_at: ObservedAt = None,
    rejects: Rejects = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Check and normalise files of fares, and publish them; without a broker and --out only print the counts."""
    from fms.model.fare import FareBatch
    from fms.settings import load_settings
    from fms.sources.open import open_source
    from fms.sources.rejects import rejects_file
    from fms.stages.ingest import Ingest
    from fms_cli.report import show_rejected

    settings = load_settings(data, batch_size=batch_size)
    sources = [open_source(name, mapping) for name in files(replay, more)]
    at = instant(observed_at)
    published: dict[str, int | float] = {}
    with ExitStack() as stack:
        on_reject = stack.enter_context(rejects_file(rejects)) if rejects else None
        bar = stack.enter_context(Bar())
        stage = Ingest(observed_at=at, batch_rows=settings.batch_size, on_reject=on_reject, on_progress=bar)
        if settings.broker_url is not None and not out:
            from fms.runtime.logs import log_to_stderr
            from fms_cli.feeding import replay as publish

            published = publish(settings, sources, stage, log_to_stderr(settings.log_format, worker="ingest"))
        else:
            batches = (batch for source in sources for batch in stage.batches(source))
            if out:
                write_safely(out, FareBatch, batches)
            else:
                deque(batches, maxlen=0)
    counts = stage.counts
    if as_json:
        names = ("documents", "accepted", "rejected", "rejected_by_reason")
        _summary({name: getattr(counts, name) for name in names} | published, out, as_json=True)
    else:
        shown = {"documents": counts.documents, "accepted": counts.accepted, "rejected": counts.rejected}
        _summary(shown | ({"messages published": published["published"]} if published else {}), out)
        if out != "-":
            show_rejected(counts.rejected_by_reason, rejects)
    if strict and counts.rejected:
        raise typer.Exit(1)


def diff(source: In, out: Out, data: Data = None, as_json: Json = False) -> None:
    """Compare fares with the price book; the book moves on once OUT is safely in place."""
    from fms.bootstrap import open_site
    from fms.model.change import ChangeBatch
    from fms.model.fare import FareBatch
    from fms.pricebook.overlay import Overlay
    from fms.stages.diff import Diff
    from fms.stages.follow import through

    digest = digest_of(source)
    with open_site(data) as site, site.exclusive():
        # The same fares are other news to another price book.
        made_from = f"{digest}-{site.pages.identity:x}" if digest else ""
        overlay = Overlay(site.pages)
        stage = Diff(overlay, site.settings.rules())
        changes = through(stage, batches_in(source, FareBatch))
        if is_made_from(out, made_from):
            # An earlier try got as far as this. OUT is whole, and may be all that is left of what moved: it stays.
            deque(changes, maxlen=0)
        else:
            write_safely(out, ChangeBatch, changes, made_from)
        overlay.flush()
    names = ("duplicates", "late", "unchanged", "first_seen", "moved", "gone")
    _summary({name: getattr(stage.counts, name) for name in names}, out, as_json=as_json)


def match(source: In, out: Out, data: Data = None, as_json: Json = False) -> None:
    """Find the alerts that changes fire; firings are committed at once, and written to OUT for notify."""
    from fms.bootstrap import open_site
    from fms.model.change import ChangeBatch
    from fms.model.notification import OutboxBatch
    from fms.stages.follow import through

    with open_site(data) as site, site.exclusive():
        # Alerts that were made while a run was at work; what they fire waits in the outbox for notify.
        site.alerts.evaluate_owed()
        fired = write_safely(out, OutboxBatch, through(site.match(), batches_in(source, ChangeBatch)))
    _summary({"fired": fired}, out, as_json=as_json)


def notify(source: In, data: Data = None, as_json: Json = False) -> None:
    """Take what fired into the inboxes, and tell what is still true."""
    from fms.bootstrap import open_site
    from fms.model.notification import OutboxBatch
    from fms.stages.follow import Newest, through
    from fms_cli.report import silent

    with open_site(data) as site, site.exclusive():
        stage = site.notify(silent() if as_json else None)
        newest = Newest()
        deque(through(stage, newest.of(batches_in(source, OutboxBatch))), maxlen=0)
        # A diff that was cut short has written its changes, but its price book has not moved on yet.
        stage.sweep()
        stage.deliver(max(site.pages.newest(), newest.at or 0))
    _summary(dict(sorted(stage.counts.items())), None, as_json=as_json)


def _summary(counts: Counted[str, object], out: str | None, *, as_json: bool = False) -> None:
    if as_json and out != "-":
        json_line(counts)
        return
    text = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if isinstance(count, int))
    # Where the batches go to stdout, words go to stderr.
    typer.echo(text or "nothing to do", err=out == "-")
