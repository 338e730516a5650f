"""``fms prices``: what the price book knows."""

from datetime import date
from typing import Annotated, Any

import typer

from fms.errors import Invalid
from fms_cli.options import Data, Json
from fms_cli.output import listing

app = typer.Typer(help="What the price book knows.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def show(
    origin: Annotated[str, typer.Argument(help="Airport, like JFK.")],
    destination: Annotated[str, typer.Argument(help="Airport, like LHR.")],
    day: Annotated[str, typer.Argument(metavar="DATE", help="Departure, YYYY-MM-DD.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show the fares of a route and day that are believed now, the cheapest first."""
    from fms.bootstrap import open_site
    from fms.model.clock import parse_date
    from fms.model.route import od_of
    from fms.model.shown import price_document
    from fms.ports import Question

    od = od_of(airport(origin), airport(destination))
    departure: date = parse_date(day)
    with open_site(data) as site:
        [known] = site.book.known([Question(od, departure, departure)])
    fares = sorted((found.fare for found in known.fares), key=lambda fare: (fare.currency, fare.price))
    rows = [price_document(fare) for fare in fares]
    columns = ("price", "return_date", "flights", "fare_brand", "cabin", "for", "source", "last_seen")
    nothing = f"no fare of {od} on {day} is known"
    listing(rows if as_json else map(_readable, rows), as_json=as_json, columns=columns, nothing=nothing)


def airport(text: str) -> str:
    """The code of an airport as it was typed; raises Invalid."""
    code = text.strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise Invalid(f"not an airport code: {text[:40]!r}")
    return code


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    from fms.model.money import format_amount

    out, back = row["outbound_flights"] or [row["departure_time"] or "?"], row["return_flights"] or []
    people = (row["adults"], row["children"], row["infants"])
    return row | {
        "price": f"{format_amount(row['total_amount_minor'], row['currency'])} {row['currency']}",
        "flights": " / ".join("+".join(flights) for flights in (out, back) if flights),
        "for": "1 adult" if people == (1, 0, 0) else "+".join(map(str, people)),
        "last_seen": row["observed_at"],
    }
