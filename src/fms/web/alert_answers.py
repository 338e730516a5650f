"""Alerts as they are answered; ``alert_schemas`` declares the same."""

from typing import Any

from flask import Response, jsonify

from fms.judging import Outlook
from fms.model.alert import Alert
from fms.model.clock import format_instant
from fms.model.ids import made_at
from fms.model.shown import alert_document, price_document
from fms.verdicts import trigger_from

_MEANINGS = {
    "trip_type": "are for another trip type",
    "cabin": "are of another cabin",
    "currency": "are in another currency",
    "travellers": "are for other travellers",
    "departure": "depart on other dates",
    "return": "return on other dates",
    "nights": "stay another number of nights",
    "stops": "have more stops, or do not say their flights",
    "carriers_in": "are of other airlines, or do not say theirs",
    "carriers_out": "are of airlines not wanted, or do not say theirs",
}


def alert_answer(alert: Alert, now: int) -> dict[str, Any]:
    """One alert for its owner; ``now`` in UTC ms."""
    document = alert_document(alert, now)
    del document["user"]
    return document | {
        "version": alert.version,
        "created_at": format_instant(made_at(alert.id)),
        "trigger_from": trigger_from(alert),
    }


def made_document(alert: Alert, outlook: Outlook | None, now: int) -> dict[str, Any]:
    """An alert that was made or changed, with what is known for it; no outlook: prices cannot be read."""
    best = outlook.best if outlook else None
    threshold = alert.state.threshold
    return alert_answer(alert, now) | {
        "known_fares": outlook.known if outlook else None,
        "best_fare": None if best is None else price_document(best),
        "already_met": best is not None and threshold is not None and best.price <= threshold,
        "warnings": _warnings(alert, outlook) if outlook else [],
    }


def _warnings(alert: Alert, outlook: Outlook) -> list[dict[str, Any]]:
    """Why nothing can match, if nothing does."""
    if outlook.best is not None:
        return []
    return [
        {
            "criterion": criterion,
            "known_fares": count,
            "detail": f"{count} known fares of {alert.criteria.od} {_MEANINGS.get(criterion, 'are not wanted')}",
        }
        for criterion, count in outlook.excluded.items()
    ]


def made_answer(document: dict[str, Any], status: int, *, repeated: bool = False) -> Response:
    """The answer to whoever made or changed an alert."""
    response = jsonify(document)
    response.status_code = status
    response.set_etag(str(document["version"]))
    if status == 201:
        response.headers["Location"] = f"/api/alerts/{document['id']}"
    if repeated:
        response.headers["Idempotency-Replayed"] = "true"
    return response
