"""``fms run``: the whole path in one process."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from fms_cli.options import (
    LOCAL_USER,
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


def run(
    more: More = None,
    replay: Replay = None,
    alerts: Annotated[
        Path | None, typer.Option("--alerts", metavar="FILE", help="Alert file, imported before the first batch.")
    ] = None,
    mapping: Mapping = None,
    data: Data = None,
    batch_size: BatchSize = None,
    observed_at: ObservedAt = None,
    rejects: Rejects = None,
    prime: Annotated[
        bool, typer.Option("--prime", help="Load the price book only: what is seen first is no news.")
    ] = False,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Replay files of fares: check, compare, match, and tell what fired. State carries over to the next run."""
    from fms.bootstrap import open_site
    from fms.runs import replay as replay_files
    from fms.sources.open import open_source
    from fms.sources.rejects import rejects_file
    from fms_cli.report import show, silent

    sources = [open_source(name, mapping) for name in files(replay, more)]
    at = instant(observed_at)
    with ExitStack() as stack:
        site = stack.enter_context(open_site(data, batch_size=batch_size))
        stack.enter_context(site.exclusive())
        if alerts:
            site.alerts.import_file(alerts, LOCAL_USER)
        on_reject = stack.enter_context(rejects_file(rejects)) if rejects else None
        report = replay_files(
            site,
            sources,
            observed_at=at,
            prime=prime,
            channel=silent() if as_json else None,
            on_reject=on_reject,
            on_progress=stack.enter_context(Bar()),
        )
    if as_json:
        json_line(report.document())
    else:
        show(report, rejects)
    if strict and report.rejected:
        raise typer.Exit(1)
