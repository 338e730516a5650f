"""``fms users``: when a user wants to be left in peace."""

from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from fms.errors import Invalid
from fms.model.clock import format_instant, parse_instant
from fms.model.user import User, zone_of
from fms_cli.options import LOCAL_USER, Data, Json
from fms_cli.output import json_line

app = typer.Typer(help="When a user wants to be left in peace.", no_args_is_help=True)

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
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change a user's preferences. They hold delivery back, and are never a reason to miss a fare."""
    from fms.bootstrap import open_site

    changes: dict[str, Any] = {} if zone is None else {"zone": str(zone_of(zone))}
    changes |= _quiet(quiet)
    changes |= {} if daily_cap is None else {"daily_cap": _cap(daily_cap)}
    changes |= {} if snooze is None else {"snoozed_until": None if snooze == "none" else parse_instant(snooze)}
    with open_site(data) as site:
        changed = replace(site.users.find_or_add(email), **changes)
        site.users.change(changed)
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
    hour, _, minute = text.partition(":")
    if len(text) != 5 or not (hour + minute).isdecimal() or int(hour) > 23 or int(minute) > 59:
        raise Invalid(f"--quiet: not a time of day: {text!r}")
    return int(hour) * 60 + int(minute)


def _cap(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 1_000:
        raise Invalid(f"--daily-cap: 1 to 1000 or none wanted, not {text!r}")
    return int(text)


def _print(user: User, *, as_json: bool) -> None:
    document = asdict(user) | {"id": str(user.id)}
    for name in ("quiet_from", "quiet_to"):
        minutes = document[name]
        document[name] = None if minutes is None else f"{minutes // 60:02d}:{minutes % 60:02d}"
    document["snoozed_until"] = None if user.snoozed_until is None else format_instant(user.snoozed_until)
    if as_json:
        json_line(document)
        return
    for name, value in document.items():
        typer.echo(f"{name + ':':<16}{'-' if value is None else value}")
