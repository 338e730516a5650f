"""``fms demo``: the bundled fares and alerts through the whole path, with what to try next."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fms_cli.options import LOCAL_USER, Data

if TYPE_CHECKING:
    from fms.model.notification import Notification

MARK = "made-by-fms-demo"

_WHY_NOT = {
    "gone": "nothing so cheap was left when it was to be told",
    "superseded": "the alert fired again before it could be told",
}


def demo(data: Data = None) -> None:
    """Replay the bundled sample with the bundled alerts, and show what fired and why."""
    from fms.bootstrap import open_site
    from fms.channels.console import Console
    from fms.demo import alerts, fares
    from fms.model.document import Reject
    from fms.runs import replay
    from fms.sources.open import open_source
    from fms_cli.report import show_counts, show_each_rejected

    directory = _emptied(data)
    rejects: list[Reject] = []
    # Whatever services are configured, the demo has nothing to do with them.
    with open_site(directory, broker_url="", price_book_url="", catalog_url="") as site, site.exclusive():
        done = site.alerts.import_file(alerts(), LOCAL_USER)
        typer.echo(f"{done.added} alerts, and four days of fares on six routes. At the end this is told:\n")
        everything = Console(write=typer.echo, shown=done.added)
        report = replay(site, [open_source(str(fares()))], channel=everything, on_reject=rejects.append)
        _show_untold(list(site.notifications.all()))
    show_counts(report)
    typer.echo("\nRejected:\n")
    show_each_rejected(rejects)
    _show_next(directory)


def _emptied(data: Path | None) -> Path:
    """Begin afresh, but delete only what an earlier demo made."""
    from fms.settings import user_data_dir

    directory = data or user_data_dir() / "demo"
    if (directory / MARK).exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    if not any(directory.iterdir()):
        (directory / MARK).touch()
    return directory


def _show_untold(rows: Sequence["Notification"]) -> None:
    """What fired and is not told, and why not."""
    from fms.channels.words import title
    from fms.model.notification import SENT

    untold = [row for row in rows if row.status != SENT]
    typer.echo(f"\n{len(untold)} more fired and are not told:\n")
    for row in untold:
        typer.echo(f"{row.message.ref}: {title(row)}")
        typer.echo(f"    {row.status}: {_WHY_NOT.get(row.status, 'it waits')}")


def _show_next(directory: Path) -> None:
    fms, where = _called(), f"--data {shlex.quote(str(directory))}"
    typer.echo("\nTry next:\n")
    typer.echo(f"  {fms} alerts list {where}")
    typer.echo(f"  {fms} alerts explain london-before-christmas {where}")
    typer.echo(f"  {fms} notifications list {where}")


def _called() -> str:
    """How to call this program: by its name, or, where that is not on the path, as it was called."""
    called = Path(sys.argv[0])
    return shlex.quote(str(called)) if called.name == "fms" and not shutil.which("fms") else "fms"
