"""Between rows of the tables and what travels."""

from typing import Any

from sqlalchemy import Row

from fms.db.tables import signed, unsigned
from fms.model.alert import NO_TRIGGER, Alert, AlertState, Criteria, month_of
from fms.model.clock import days_of
from fms.model.fare_document import fare_from_json, fare_to_json
from fms.model.ids import slot_of_id
from fms.model.notification import Message

_CRITERIA = (
    "depart_from", "depart_to", "currency", "trip_type", "cabin", "adults", "children", "infants",
    "return_from", "return_to", "min_nights", "max_nights", "max_stops",
)  # fmt: skip
_STATE = (
    "threshold", "trigger", "reference", "learning_since", "armed_since", "holder_departure",
    "fired_at", "fired_price", "fired_unusual",
)  # fmt: skip
_HASHES = ("holder", "last_change")
_MESSAGE = (
    "alert_id", "user_id", "ref", "kind", "edition", "hour", "revision", "old_price", "trigger", "threshold",
    "unusual", "evaluated",
)  # fmt: skip


def alert_values(alert: Alert) -> dict[str, Any]:
    """The columns of an alert, but for ``created_at`` and what is owed."""
    want = alert.criteria
    return (
        {name: getattr(want, name) for name in _CRITERIA}
        | state_values(alert.state)
        | {
            "id": alert.id,
            "slot": slot_of_id(alert.id),
            "user_id": alert.user_id,
            "user_email": alert.user,
            "ref": alert.ref,
            "kind": alert.kind,
            "amount": alert.amount,
            "od": want.od,
            "carriers_in": ",".join(want.carriers_in),
            "carriers_out": ",".join(want.carriers_out),
            "paused": alert.paused,
            "snoozed_until": alert.snoozed_until,
            "edition": alert.edition,
            "version": alert.version,
        }
    )


def state_values(state: AlertState) -> dict[str, Any]:
    """The columns of what an alert remembers."""
    hashes = {name: None if (value := getattr(state, name)) is None else signed(value) for name in _HASHES}
    return {name: getattr(state, name) for name in _STATE} | hashes


def alert_of(row: Row[Any]) -> Alert:
    """The alert of a row."""
    origin, destination = row.od.split("-")
    criteria = Criteria(
        origin=origin,
        destination=destination,
        carriers_in=_codes(row.carriers_in),
        carriers_out=_codes(row.carriers_out),
        **{name: getattr(row, name) for name in _CRITERIA},
    )
    hashes: dict[str, Any] = {
        name: None if (value := getattr(row, name)) is None else unsigned(value) for name in _HASHES
    }
    state = AlertState(**hashes, **{name: getattr(row, name) for name in _STATE})
    return Alert(
        id=row.id,
        user_id=row.user_id,
        user=row.user_email,
        ref=row.ref,
        kind=row.kind,
        amount=row.amount,
        criteria=criteria,
        state=state,
        paused=row.paused,
        snoozed_until=row.snoozed_until,
        edition=row.edition,
        version=row.version,
    )


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def window_rows(alert: Alert) -> list[dict[str, Any]]:
    """The windows of an alert, one per month in which it wants to depart; a paused alert has none."""
    if alert.paused:
        return []
    want = alert.criteria
    common = {
        "alert_id": alert.id,
        "slot": slot_of_id(alert.id),
        "market": signed(want.market),
        "trigger": window_trigger(alert.state),
        "first_day": days_of(want.depart_from),
        "last_day": days_of(want.depart_to),
    }
    return [common | {"month": month} for month in range(month_of(want.depart_from), month_of(want.depart_to) + 1)]


def window_trigger(state: AlertState) -> int:
    """What windows keep as the trigger: a learning alert is asked about every price."""
    return NO_TRIGGER if state.trigger is None else state.trigger


def message_values(message: Message) -> dict[str, Any]:
    """The columns that outbox and notifications share."""
    return {name: getattr(message, name) for name in _MESSAGE} | {
        "id": message.notification_id,
        "user_email": message.user,
        "series": signed(message.series),
        "observed_at": message.fare.observed_at,
        "fare": fare_to_json(message.fare),
    }


def message_of(row: Row[Any]) -> Message:
    """The message of a row of outbox or notifications."""
    return Message(
        notification_id=row.id,
        user=row.user_email,
        series=unsigned(row.series),
        fare=fare_from_json(row.fare),
        **{name: getattr(row, name) for name in _MESSAGE},
    )
