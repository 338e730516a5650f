"""Why an alert fires or does not, in words and as JSON."""

from typing import Any

import typer

from fms.alerts import Explanation
from fms.bootstrap import Site
from fms.errors import Invalid
from fms.model.alert import Alert
from fms.model.clock import format_instant
from fms.model.document import Reject
from fms.model.fare import Fare
from fms.model.money import format_amount
from fms.sources.open import open_source
from fms_cli.documents import alert_document, price_document
from fms_cli.output import json_line, short_instant


def on_known_fares(site: Site, alert: Alert, *, as_json: bool) -> None:
    """State, trigger and where it came from, the best known fares, and what each criterion excludes."""
    found = site.alerts.explain(alert)
    document = {
        "alert": alert_document(alert, site.clock()),
        "trigger_from": trigger_from(alert),
        "known_fares": found.known,
        "newest_observation": None if found.newest is None else format_instant(found.newest),
        "best_fares": [price_document(fare) for fare in found.best],
        "excluded": dict(found.excluded),
        "verdict": _in_one_line(found),
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
        unmet = site.alerts.explain_fare(alert, fare)
        verdict = {"fires": unmet is None, "condition": unmet and unmet.criterion, "why": unmet and unmet.why}
        if as_json:
            json_line({"fare": price_document(fare)} | verdict)
        else:
            outcome = "would fire" if unmet is None else f"does not fire: {unmet.criterion}: {unmet.why}"
            typer.echo(f"{_fare(fare)}: {outcome}")


def trigger_from(alert: Alert) -> str:
    """Where the alert's trigger comes from, in words."""
    state, currency = alert.state, alert.criteria.currency

    def money(minor: int | None) -> str:
        return "nothing" if minor is None else f"{format_amount(minor, currency)} {currency}"

    if state.trigger is None:
        seen = f", lowest so far {money(state.reference)}" if state.reference is not None else ", no match seen yet"
        return f"learning what is usual for 12 h{seen}"
    origin = {
        "target": "the target",
        "drop_percent": f"{alert.amount / 100:g} % under the reference {money(state.reference)}",
        "drop_amount": f"{money(alert.amount)} under the reference {money(state.reference)}",
        "new_low": "1 % below the low it beats",
    }[alert.kind]
    if state.holder is None:
        return f"{money(state.trigger)}, {origin}"
    now = f"{money(state.trigger)}, because" if state.trigger > 0 else "no price is low enough since"
    again = f"armed again it will be {money(state.threshold)}, {origin}"
    return f"{now} it fired at {money(state.fired_price)}; {again}"


def _header(alert: Alert, document: dict[str, Any]) -> None:
    typer.echo(f"{alert.ref} of {alert.user}: {alert.criteria.od}, {document['alert']['state']}")
    typer.echo(f"trigger: {document['trigger_from']}")


def _in_one_line(found: Explanation) -> str:
    alert = found.alert
    if alert.paused:
        return "paused: it fires again when it is resumed"
    if not found.known:
        return "no fare of this route is known yet"
    if not found.best:
        first = next(iter(found.excluded))
        return f"none of the known fares is wanted; most fail {first}"
    return _on_best(alert, found.best[0])


def _on_best(alert: Alert, best: Fare) -> str:
    state, currency = alert.state, alert.criteria.currency
    price = f"{format_amount(best.price, currency)} {currency}"
    if state.trigger is None:
        return f"learning; the best fare now is {price}"
    if state.trigger <= 0:
        return f"the best fare is {price}; no price is low enough before it is armed again"
    if state.holder is not None and best.price == state.fired_price:
        following = format_amount(state.trigger, currency)
        return f"the best fare, {price}, is what it fired at; it fires next at {following} or less"
    if best.price <= state.trigger:
        return f"the best fare, {price}, is at or below the trigger: its next fall fires"
    return f"the best fare, {price}, is {format_amount(best.price - state.trigger, currency)} above the trigger"


def _fare(fare: Fare) -> str:
    flights = "+".join(fare.outbound_flights) if fare.outbound_flights else (fare.departure_time or "flights unknown")
    back = f" to {fare.return_date}" if fare.return_date else ""
    price = f"{format_amount(fare.price, fare.currency)} {fare.currency}"
    return f"{fare.od} {fare.departure_date}{back} {flights} {price} ({fare.source})"
