"""Alerts, notifications and fares as objects of lists and answers. Their keys are a contract: add, never rename."""

from typing import Any

from fms.model.account import Account
from fms.model.alert import Alert
from fms.model.alert_document import document_of
from fms.model.clock import DAY_MS, format_instant
from fms.model.fare import Fare
from fms.model.fare_document import fare_document
from fms.model.ids import made_at
from fms.model.notification import Notification
from fms.model.user import User, format_time_of_day


def _instant(ms: int | None) -> str | None:
    return None if ms is None else format_instant(ms)


def alert_document(alert: Alert, now: int) -> dict[str, Any]:
    """One line of ``fms alerts list --json``. ``now`` in UTC ms."""
    state = alert.state
    return {
        "id": str(alert.id),
        "ref": alert.ref,
        "user": alert.user,
        "kind": alert.kind,
        "state": alert.shown_state(now // DAY_MS),
        "trigger_minor": state.trigger,
        "reference_minor": state.reference,
        **{name: value for name, value in document_of(alert).items() if name not in ("ref", "kind")},
        "last_price_minor": state.fired_price,
        "last_fired_at": _instant(state.fired_at),
        "threshold_minor": state.threshold,
        "armed_since": _instant(state.armed_since or None),
        "learning_since": _instant(state.learning_since),
        "snoozed_until": _instant(alert.snoozed_until),
    }


def notification_document(row: Notification) -> dict[str, Any]:
    """One line of ``fms notifications list --json``: what fired, and under ``told`` what was shown of it."""
    message = row.message
    fare = message.fare
    flights = {"outbound": _list(fare.outbound_flights), "return": _list(fare.return_flights)}
    return {
        "notification_id": str(message.notification_id),
        "ref": message.ref,
        "user": message.user,
        "kind": message.kind,
        "status": row.status,
        "revision": message.revision,
        "origin": fare.origin,
        "destination": fare.destination,
        "departure_date": fare.departure_date.isoformat(),
        "return_date": fare.return_date.isoformat() if fare.return_date else None,
        "cabin": fare.cabin,
        "flights": flights if fare.outbound_flights else None,
        "price_minor": fare.price,
        "old_price_minor": message.old_price,
        "currency": fare.currency,
        "trigger_minor": message.trigger,
        "observed_at": format_instant(fare.observed_at),
        "unusual": message.unusual,
        "fare_brand": fare.fare_brand,
        "carrier": fare.carrier,
        "departure_time": fare.departure_time,
        "source": fare.source,
        "alert_id": str(message.alert_id),
        "threshold_minor": message.threshold,
        "release_at": _instant(row.release_at),
        "told_at": _instant(row.told_at),
        "told_price_minor": row.told_price,
        "told": None if row.told is None or row.told_at is None else fare_document(row.told),
        "read_at": _instant(row.read_at),
    }


def _list(flights: tuple[str, ...] | None) -> list[str] | None:
    return list(flights) if flights else None


def account_document(account: Account) -> dict[str, Any]:
    """Who a user is to the site."""
    user = account.user
    return {
        "id": str(user.id),
        "email": user.email,
        "role": account.role,
        "created_at": format_instant(made_at(user.id)),
    }


def preferences_document(user: User) -> dict[str, Any]:
    """When a user wants to be left in peace, and how they want to hear."""
    quiet = {
        name: None if minutes is None else format_time_of_day(minutes)
        for name, minutes in {"quiet_from": user.quiet_from, "quiet_to": user.quiet_to}.items()
    }
    return {
        "zone": user.zone,
        **quiet,
        "daily_cap": user.daily_cap,
        "snoozed_until": _instant(user.snoozed_until),
        "channels": None if user.channels is None else list(user.channels),
    }


def price_document(fare: Fare) -> dict[str, Any]:
    """One line of ``fms prices show --json``; ``observed_at`` is when the fare was last seen."""
    return fare_document(fare)
