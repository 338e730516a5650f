"""``fms users``: who they are, and when they want to be left in peace."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from fms.errors import Invalid
from fms.model.clock import parse_instant
from fms.model.shown import preferences_document
from fms.model.user import MOST_PUSHES, User, checked_cap, checked_channels, parse_time_of_day, zone_of
from fms_cli import accounts
from fms_cli.options import LOCAL_USER, Data, Json
from fms_cli.output import json_line

app = typer.Typer(help="Who the users are, and when they want to be left in peace.", no_args_is_help=True)
app.command("list")(accounts.list_)
app.command("add")(accounts.add)
app.command("password")(accounts.password)
app.command("role")(accounts.role)
app.command("delete")(accounts.delete)

Email = Annotated[str, typer.Argument(metavar="[EMAIL]", help="Whose; default: the local user.")]


@app.command()
def show(email: Email = LOCAL_USER, data: Data = None, as_json: Json = False) -> None:
    """Show a user's preferences."""
    from fms.bootstrap import open_site

    with open_site(data) as site:
        _print(site.users.find(email), as_json=as_json)


@app.command("set")
def set_(
    email: Email = LOCAL_USER,
    zone: Annotated[str | None, typer.Option("--zone", help="IANA time zone, like Europe/London.")] = None,
    quiet: Annotated[
        str | None,
        typer.Option("--quiet", metavar="HH:MM-HH:MM", help="Local hours in which nothing is delivered; 'none'."),
    ] = None,
    daily_cap: Annotated[str | None, typer.Option("--daily-cap", help="Pushes in a local day; 'none'.")] = None,
    snooze: Annotated[
        str | None, typer.Option("--snooze", metavar="TIME", help="Nothing is delivered before (RFC 3339); 'none'.")
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option("--channels", metavar="LIST", help="How to hear, like push,mail; 'all', 'none': only the inbox."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change a user's preferences. They hold delivery back, and are never a reason to miss a fare."""
    from fms.bootstrap import open_site

    changes: dict[str, Any] = {} if zone is None else {"zone": str(zone_of(zone))}
    changes |= _quiet(quiet)
    changes |= {} if daily_cap is None else {"daily_cap": _cap(daily_cap)}
    changes |= {} if snooze is None else {"snoozed_until": None if snooze == "none" else parse_instant(snooze)}
    changes |= {} if channels is None else {"channels": _channels(channels)}
    with open_site(data) as site:
        changed = site.users.change_with(site.users.find_or_add(email).id, lambda user: replace(user, **changes))
    _print(changed, as_json=as_json)


def _quiet(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    if text == "none":
        return {"quiet_from": None, "quiet_to": None}
    start, dash, end = text.partition("-")
    if not dash:
        raise Invalid(f"--quiet: HH:MM-HH:MM wanted, not {text!r}")
    return {"quiet_from": _minutes(start), "quiet_to": _minutes(end)}


def _minutes(text: str) -> int:
    try:
        return parse_time_of_day(text)
    except Invalid as error:
        raise Invalid(f"--quiet: {error}") from None


def _cap(text: str) -> int | None:
    if text == "none":
        return None
    try:
        return checked_cap(int(text) if text.isdecimal() and len(text) < 10 else 0)
    except Invalid:
        raise Invalid(f"--daily-cap: 1 to {MOST_PUSHES} or none wanted, not {text!r}") from None


def _channels(text: str) -> tuple[str, ...] | None:
    if text == "all":
        return None
    try:
        return () if text == "none" else checked_channels(text.split(","))
    except Invalid as error:
        raise Invalid(f"--channels: {error}") from None


def _print(user: User, *, as_json: bool) -> None:
    preferences = preferences_document(user)
    document = {"id": str(user.id), "email": user.email} | preferences | {"version": user.version}
    if as_json:
        json_line(document)
        return
    shown = document | {"channels": None if user.channels is None else ",".join(user.channels) or "none"}
    for name, value in shown.items():
        typer.echo(f"{name + ':':<16}{'-' if value is None else value}")
