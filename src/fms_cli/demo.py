"""``fms demo``: the bundled fares and alerts through the whole path, with what to try next."""

import shlex
import shutil
from pathlib import Path

import typer

from fms_cli.options import LOCAL_USER, Data

MARK = "made-by-fms-demo"


def demo(data: Data = None) -> None:
    """Replay the bundled sample with the bundled alerts, and show what fired and why."""
    from fms.sources.open import open_source

    from fms.bootstrap import open_site
    from fms.demo import alerts, fares
    from fms.runs import replay
    from fms.settings import user_data_dir
    from fms_cli.report import show

    directory = _emptied(data or user_data_dir() / "demo")
    with open_site(directory) as site, site.exclusive():
        done = site.alerts.import_file(alerts(), LOCAL_USER)
        typer.echo(f"{done.added} alerts, then three days of fares. What is told:\n")
        report = replay(site, [open_source(str(fares()), None)])
    show(report, None)
    _show_next(directory)


def _emptied(directory: Path) -> Path:
    """Begin afresh, but delete only what an earlier demo made."""
    if (directory / MARK).exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    if not any(directory.iterdir()):
        (directory / MARK).touch()
    return directory


def _show_next(directory: Path) -> None:
    where = f"--data {shlex.quote(str(directory))}"
    typer.echo("\nTry next:")
    typer.echo(f"  fms alerts list {where}")
    typer.echo(f"  fms alerts explain london-before-christmas {where}")
    typer.echo(f"  fms notifications list {where}")
