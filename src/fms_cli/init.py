"""``fms init``: make a site over databases of one's own choice."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from fms.errors import Invalid
from fms_cli.options import Data, Json
from fms_cli.output import listing

Shards = Annotated[
    list[str] | None,
    typer.Option(
        "--shard",
        metavar="NAME=URL",
        help="A database to be a shard, and its name: postgresql://… or sqlite:///FILE; once for each. ${VARIABLE} in"
        " the URL stands for the environment's value and is stored as such; as a password it may hold any character.",
    ),
]
IfMissing = Annotated[
    bool, typer.Option("--if-missing", help="For scripts: if the site is made already, do nothing, and say so.")
]


def init(shard: Shards = None, if_missing: IfMissing = False, data: Data = None, as_json: Json = False) -> None:
    """Make a site: the catalog (setting catalog_url) and its shards, with the slots dealt out evenly.

    A site that is one directory of files needs no init: it is made when it is first used. If this is cut short, the
    same command finishes it; a site that is made is never made again.
    """
    from fms.db.initialise import AlreadyMade, initialise
    from fms.db.sites import catalog_place, make_directory, own_shards
    from fms.model.clock import date_of, system_clock, utc_day
    from fms.runlock import exclusive
    from fms.settings import load_settings

    settings = load_settings(data)
    urls = _named(shard or [])
    if not urls and settings.catalog():
        raise Invalid("say which databases are to be the shards: fms init --shard NAME=URL --shard …")
    make_directory(settings.data)
    with exclusive(settings.data / "open.lock", wait=True):
        place = catalog_place(settings.data, settings.catalog())
        today = date_of(utc_day(system_clock()))
        try:
            dealt = initialise(place, urls or own_shards(settings.shards), settings.data, today)
        except AlreadyMade as made:
            if not if_missing:
                raise
            typer.echo(str(made), err=True)
            return
    listing([asdict(one) for one in dealt], as_json=as_json, columns=("name", "url", "slots"), nothing="")


def _named(options: Sequence[str]) -> dict[str, str]:
    urls: dict[str, str] = {}
    for option in options:
        name, _, url = option.partition("=")
        if name in urls:
            raise Invalid("--shard: two shards have the same name")
        urls[name] = url
    return urls
