"""``fms db``: the databases of a data directory."""

import typer

from fms_cli.options import Data, Json
from fms_cli.output import json_line, listing

app = typer.Typer(help="The databases of a data directory.", no_args_is_help=True)


@app.command()
def upgrade(data: Data = None, as_json: Json = False) -> None:
    """Make or migrate the databases. Every other command does this too when it has to."""
    from fms.bootstrap import open_site

    with open_site(data) as site:
        site.router.check()
    _print_revisions(data, as_json=as_json)


@app.command()
def current(data: Data = None, as_json: Json = False) -> None:
    """Show the revision of each database, and the one that this fms knows; changes nothing."""
    _print_revisions(data, as_json=as_json)


def _print_revisions(data: Data, *, as_json: bool) -> None:
    from fms.db.local import revisions
    from fms.settings import load_settings

    settings = load_settings(data)
    columns = ("database", "revision", "newest")
    rows = [dict(zip(columns, row, strict=True)) for row in revisions(settings.data)]
    listing(rows, as_json=as_json, columns=columns, nothing=f"{settings.data}: no databases yet")


@app.command()
def maintain(data: Data = None, as_json: Json = False) -> None:
    """Delete what is older than its retention (settings keep_…), and pages of flights that have departed."""
    from fms.bootstrap import open_site
    from fms.db.retention import maintain as delete_old
    from fms.pricebook.maintain import drop_departed, newest_observation

    with open_site(data) as site, site.exclusive():
        newest = newest_observation(site.pages) or 0
        deleted = delete_old(site.router, site.settings, newest)
        deleted["page"] = drop_departed(site.pages, newest)
    if as_json:
        json_line(deleted)
    else:
        typer.echo(", ".join(f"{count:,} from {name}" for name, count in deleted.items()))
