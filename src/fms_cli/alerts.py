"""``fms alerts``: import, list, show, change and explain alerts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fms.errors import Invalid
from fms_cli.options import LOCAL_USER, Data, Json, one_of
from fms_cli.output import json_line, listing

if TYPE_CHECKING:
    from fms.bootstrap import Site
    from fms.model.alert import Alert

app = typer.Typer(help="Make, change and question alerts.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="ALERT", help="Its id, or its ref.")]
Whose = Annotated[
    str | None, typer.Option("--user", metavar="EMAIL", help="Whose ref, if several users have it.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="One alert per line.")],
    user: Annotated[str, typer.Option("--user", metavar="EMAIL", help="Whose alerts they become.")] = LOCAL_USER,
    update: Annotated[
        bool, typer.Option("--update", help="Edit alerts whose ref is known with other content.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Import an alert file: all of it, or nothing if a line has an error."""
    from fms.bootstrap import open_site

    with open_site(data) as site:
        done = site.alerts.import_file(file, user, update=update)
        _evaluate(site, as_json=as_json)
    counts = {"added": done.added, "updated": done.updated, "unchanged": done.unchanged}
    if as_json:
        json_line(counts)
    else:
        typer.echo(", ".join(f"{count:,} {name}" for name, count in counts.items()))


def _evaluate(site: "Site", *, as_json: bool) -> None:
    """Judge what was made or changed, unless a run is at work: it will, between two of its batches."""
    from fms.errors import Transient
    from fms.runs import evaluate
    from fms_cli.report import silent

    try:
        with site.exclusive():
            evaluate(site, silent() if as_json else None)
    except Transient:
        typer.echo("another command is at work here: a run evaluates the alerts, else the next command does", err=True)


@app.command("list")
def list_(
    user: Annotated[
        str | None, typer.Option("--user", metavar="EMAIL", help="Only this user's.", show_default=False)
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only learning, armed, fired, paused or expired ones.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List alerts, by id."""
    from fms.bootstrap import open_site
    from fms.model.alert import STATES
    from fms.model.shown import alert_document

    one_of(state, STATES, "--state")
    with open_site(data) as site:
        rows = [alert_document(alert, site.clock()) for alert in site.alerts.all(user)]
    columns = ("ref", "user", "kind", "state", "route", "depart_from", "depart_to", "trigger", "last_price")
    chosen = [row for row in rows if state in (None, row["state"])]
    listing(chosen if as_json else map(_readable, chosen), as_json=as_json, columns=columns, nothing="no alerts")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    from fms.model.money import format_amount

    def money(minor: int | None) -> str | None:
        return None if minor is None or minor < 0 else f"{format_amount(minor, row['currency'])} {row['currency']}"

    return row | {
        "route": f"{row['origin']}-{row['destination']}",
        "trigger": money(row["trigger_minor"]),
        "last_price": money(row["last_price_minor"]),
    }


@app.command()
def show(alert: Name, user: Whose = None, data: Data = None, as_json: Json = False) -> None:
    """Show one alert with everything it knows."""
    from fms.bootstrap import open_site
    from fms.model.shown import alert_document

    with open_site(data) as site:
        document = alert_document(site.alerts.find(alert, user), site.clock())
    if as_json:
        json_line(document)
        return
    for name, value in document.items():
        if value not in (None, []):
            typer.echo(f"{name + ':':<22}{value}")


@app.command()
def pause(alert: Name, user: Whose = None, data: Data = None) -> None:
    """Stop an alert from firing until it is resumed."""
    _change("pause", alert, user, data)


@app.command()
def resume(alert: Name, user: Whose = None, data: Data = None) -> None:
    """End a pause; reference and threshold stay, and what is already below is told."""
    _change("resume", alert, user, data)


def _change(verb: str, name: str, user: str | None, data: Path | None) -> None:
    from fms.bootstrap import open_site

    with open_site(data) as site:
        changed = getattr(site.alerts, verb)(site.alerts.find(name, user))
        _evaluate(site, as_json=False)
        typer.echo(f"{changed.ref}: {site.alerts.find(str(changed.id)).shown_state(site.clock() // 86_400_000)}")


@app.command()
def edit(
    alert: Name,
    change: Annotated[
        list[str],
        typer.Option("--set", metavar="FIELD=VALUE", help="A field of the alert file; an empty value drops it."),
    ],
    user: Whose = None,
    data: Data = None,
) -> None:
    """Change what an alert wants; it is then measured afresh, as if it were new."""
    from fms.bootstrap import open_site

    changes = dict(map(_assignment, change))
    with open_site(data) as site:
        edited = site.alerts.edit(site.alerts.find(alert, user), changes)
        _evaluate(site, as_json=False)
        typer.echo(f"{edited.ref}: changed")


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Invalid(f"--set {text}: FIELD=VALUE wanted")
    try:
        return name, None if value == "" else json.loads(value)
    except ValueError:
        return name, value


@app.command()
def delete(alert: Name, user: Whose = None, yes: Yes = False, data: Data = None) -> None:
    """Delete an alert; what it has not told yet is not told any more."""
    from fms.bootstrap import open_site

    with open_site(data) as site:
        found = site.alerts.find(alert, user)
        if not yes and not typer.confirm(f"delete {found.ref} of {found.user}?"):
            typer.echo("nothing was deleted")
            return
        site.alerts.delete(found)
    typer.echo(f"{found.ref}: deleted")


@app.command()
def snooze(
    alert: Name,
    until: Annotated[str, typer.Argument(metavar="TIME", help="RFC 3339; it tells nothing before. none: ends it.")],
    user: Whose = None,
    data: Data = None,
) -> None:
    """Hold back what an alert has to tell; it goes on being judged."""
    from fms.bootstrap import open_site
    from fms.model.clock import parse_instant

    with open_site(data) as site:
        end = None if until == "none" else parse_instant(until)
        held = site.alerts.snooze(site.alerts.find(alert, user), end)
    typer.echo(f"{held.ref}: " + ("not held" if end is None else f"held until {until}"))


@app.command()
def explain(
    alert: Name,
    fare: Annotated[
        str | None, typer.Option("--fare", metavar="FILE", help="Judge these fares (JSON lines; - for stdin).")
    ] = None,
    user: Whose = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say why an alert fires or does not: on given fares, or on the best fares known."""
    from fms.bootstrap import open_site
    from fms_cli import explaining

    with open_site(data) as site:
        found: Alert = site.alerts.find(alert, user)
        if fare is None:
            explaining.on_known_fares(site, found, as_json=as_json)
        else:
            explaining.on_fares(site, found, fare, as_json=as_json)
