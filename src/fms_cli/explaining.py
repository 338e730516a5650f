"""Why an alert fires or does not, in words and as JSON."""

from typing import Any

import typer

from fms.bootstrap import Site
from fms.errors import Invalid
from fms.judging import explain_fare
from fms.model.alert import Alert
from fms.model.clock import format_instant
from fms.model.document import Reject
from fms.model.fare import Fare
from fms.model.money import format_amount
from fms.model.shown import alert_document, price_document
from fms.sources.open import open_source
from fms.verdicts import in_one_line, trigger_from
from fms_cli.output import json_line, short_instant


def on_known_fares(site: Site, alert: Alert, *, as_json: bool) -> None:
    """State, trigger and where it came from, the best known fares, and what each criterion excludes."""
    found = site.alerts.judging.explain(alert)
    document = {
        "alert": alert_document(alert, site.clock()),
        "trigger_from": trigger_from(alert),
        "known_fares": found.known,
        "newest_observation": None if found.newest is None else format_instant(found.newest),
        "best_fares": [price_document(fare) for fare in found.best],
        "excluded": dict(found.excluded),
        "verdict": in_one_line(found),
    }
    if as_json:
        json_line(document)
        return
    _header(alert, document)
    newest = short_instant(str(document["newest_observation"] or "never"))
    typer.echo(f"known fares of {alert.criteria.od}: {found.known:,}, newest seen {newest}")
    for criterion, count in found.excluded.items():
        typer.echo(f"  {count:>6,} not wanted because of {criterion}")
    if found.best:
        typer.echo("best fares wanted:")
    for fare in found.best:
        typer.echo(f"  {_fare(fare)}")
    typer.echo(str(document["verdict"]))


def on_fares(site: Site, alert: Alert, name: str, *, as_json: bool) -> None:
    """The verdict on each fare of a file, and the condition that fails."""
    rejects: list[Reject] = []
    ingest = site.ingest(on_reject=rejects.append)
    fares = [fare for batch in ingest.batches(open_source(name, None)) for fare in batch.rows()]
    if rejects:
        raise Invalid(f"{name}: line {rejects[0].number}: {rejects[0].reason}")
    if not fares:
        raise Invalid(f"{name}: no fare in it")
    if not as_json:
        _header(alert, {"trigger_from": trigger_from(alert), "alert": alert_document(alert, site.clock())})
    for fare in fares:
        unmet = explain_fare(alert, fare)
        verdict = {"fires": unmet is None, "condition": unmet and unmet.criterion, "why": unmet and unmet.why}
        if as_json:
            json_line({"fare": price_document(fare)} | verdict)
        else:
            outcome = "would fire" if unmet is None else f"does not fire: {unmet.criterion}: {unmet.why}"
            typer.echo(f"{_fare(fare)}: {outcome}")


def _header(alert: Alert, document: dict[str, Any]) -> None:
    typer.echo(f"{alert.ref} of {alert.user}: {alert.criteria.od}, {document['alert']['state']}")
    typer.echo(f"trigger: {document['trigger_from']}")


def _fare(fare: Fare) -> str:
    flights = "+".join(fare.outbound_flights) if fare.outbound_flights else (fare.departure_time or "flights unknown")
    back = f" to {fare.return_date}" if fare.return_date else ""
    price = f"{format_amount(fare.price, fare.currency)} {fare.currency}"
    return f"{fare.od} {fare.departure_date}{back} {flights} {price} ({fare.source})"
