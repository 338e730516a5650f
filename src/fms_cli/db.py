"""``fms db``: the databases of a site."""

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from fms_cli.options import Data, Json
from fms_cli.output import json_line, listing

if TYPE_CHECKING:
    from fms.bootstrap import Site

app = typer.Typer(help="The databases of a site: its catalog and its shards.", no_args_is_help=True)


@app.command()
def upgrade(data: Data = None, as_json: Json = False) -> None:
    """Migrate the databases to this fms. Those that are files need no command: whatever opens them does it.

    PostgreSQL databases are migrated by this only, so that somebody says when: stop the workers of the older fms first.
    """
    from fms.bootstrap import open_site
    from fms.db.sites import upgrade_all
    from fms.settings import load_settings

    settings = load_settings(data)
    upgrade_all(settings.data, settings.catalog())
    with open_site(data) as site:
        site.router.check()
    _print_revisions(data, as_json=as_json)


@app.command()
def current(data: Data = None, as_json: Json = False) -> None:
    """Show the revision of each database, and the one that this fms knows; changes nothing."""
    _print_revisions(data, as_json=as_json)


def _print_revisions(data: Data, *, as_json: bool) -> None:
    from fms.db.sites import revisions
    from fms.settings import load_settings

    settings = load_settings(data)
    columns = ("database", "revision", "newest")
    rows = [dict(zip(columns, row, strict=True)) for row in revisions(settings.data, settings.catalog())]
    listing(rows, as_json=as_json, columns=columns, nothing=f"{settings.data}: no databases yet")


def _expire_dead_letters(site: "Site") -> int:
    """By the clock, since a replay of last year does not make them older."""
    from fms.bootstrap import open_broker
    from fms.model.clock import DAY_MS
    from fms.queues.admin import expire
    from fms.queues.rabbitmq import Consuming
    from fms.queues.topology import KINDS, REJECTS, dead_letters_of

    before, count = site.clock() - site.settings.keep_dead_letters_days * DAY_MS, 0
    for queue in [*map(dead_letters_of, KINDS), REJECTS]:
        with closing(open_broker(site.settings, Consuming([queue]))) as broker:
            count += expire(broker, before)
    return count


def _tidy_shards(site: "Site") -> dict[str, int]:
    """By the clock, too."""
    from fms.model.clock import DAY_MS

    with site.shards() as shards:
        moved = shards.clean()
        return {"moved rows": moved} | shards.journal.forget(site.clock() - site.settings.keep_events_days * DAY_MS)


@app.command()
def maintain(data: Data = None, as_json: Json = False) -> None:
    """Delete what is older than its retention (settings keep_…), pages of departed flights, and old dead letters.

    Also the rows that slots left behind in the shards from which they were moved away, and what is left of accounts
    whose deletion was cut short.

    In PostgreSQL, where windows are kept by month of departure, also make the partitions of the months to come.
    """
    from fms.bootstrap import open_site
    from fms.db.partitions import prepare
    from fms.db.retention import drop_past_months
    from fms.db.retention import maintain as delete_old
    from fms.model.clock import date_of, utc_day
    from fms.pricebook.maintain import drop_departed

    with open_site(data) as site, site.exclusive():
        newest = site.pages.newest()
        dropped = drop_past_months(site.router, site.settings, newest)
        made = prepare(site.router, date_of(utc_day(site.clock())))
        closed = site.accounts().finish_removing()
        deleted = {"user_account": closed} | delete_old(site.router, site.settings, newest, site.clock())
        deleted["page"] = drop_departed(site.pages, newest)
        deleted |= _tidy_shards(site)
        if site.settings.broker_url is not None:
            deleted["dead letters"] = _expire_dead_letters(site)
    if as_json:
        json_line(deleted | {"partitions_dropped": dropped, "partitions_made": made})
    else:
        typer.echo(", ".join(f"{count:,} from {name}" for name, count in deleted.items()))
        if dropped or made:
            typer.echo(f"{dropped} partitions of past months dropped, {made} of months to come made")
