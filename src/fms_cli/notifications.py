"""``fms notifications``: what fired, and what became of it."""

from typing import Annotated, Any

import typer

from fms.model.notification import STATUSES
from fms_cli.options import Data, Json, User, one_of
from fms_cli.output import listing

app = typer.Typer(help="What fired, and what became of it.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("list")
def list_(
    user: User = None,
    status: Annotated[str | None, typer.Option("--status", help="Only rows with this status.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List notifications of every status, by time of observation and ref."""
    from fms.bootstrap import open_site
    from fms.model.shown import notification_document

    one_of(status, STATUSES, "--status")
    with open_site(data) as site:
        owner = site.users.find(user).id if user else None
        rows = [notification_document(row) for row in site.notifications.all(owner)]
    chosen = [row for row in rows if status in (None, row["status"])]
    columns = ("observed_at", "ref", "status", "route", "departs", "price", "was", "asked", "unusual")
    listing(chosen if as_json else map(_readable, chosen), as_json=as_json, columns=columns, nothing="no notifications")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    from fms.model.money import format_amount

    def money(minor: int | None) -> str | None:
        return None if minor is None else format_amount(minor, row["currency"])

    return row | {
        "route": f"{row['origin']}-{row['destination']}",
        "price": f"{money(row['price_minor'])} {row['currency']}",
        "was": money(row["old_price_minor"]),
        "asked": money(row["trigger_minor"]),
        "departs": row["departure_date"],
        "unusual": "yes" if row["unusual"] else "",
    }
