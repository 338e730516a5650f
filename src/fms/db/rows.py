"""Between rows of the tables and what travels."""

from collections.abc import Callable
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from sqlalchemy import Row

from fms.db.tables import alert as alerts
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
_ALERT = ("id", "user_id", "ref", "kind", "amount", "paused", "snoozed_until", "edition", "version")
_STATE = (
    "threshold", "trigger", "reference", "learning_since", "armed_since", "holder_departure",
    "fired_at", "fired_price", "fired_unusual",
)  # fmt: skip
_HASHES = ("holder", "last_change")
_MESSAGE = (
    "alert_id", "user_id", "ref", "kind", "edition", "hour", "revision", "old_price", "trigger", "threshold",
    "unusual", "evaluated",
)  # fmt: skip

Made = TypeVar("Made")

MESSAGE_COLUMNS = (*_MESSAGE, "user_email", "series", "observed_at", "fare")
"""The columns that outbox and notifications share, but for the id."""


def _places(*names: str) -> Callable[[Row[Any]], tuple[Any, ...]]:
    """Takes the columns of these names out of a whole row of the alert table: by place, as that is much quicker."""
    return itemgetter(*(alerts.c.keys().index(name) for name in names))


_alert_at, _criteria_at = _places(*_ALERT), _places(*_CRITERIA)
_state_at, _hashes_at = _places(*_STATE), _places(*_HASHES)
_criteria_of, _state_of, _message_of = attrgetter(*_CRITERIA), attrgetter(*_STATE), attrgetter(*_MESSAGE)


def alert_values(alert: Alert) -> dict[str, Any]:
    """The columns of an alert, but for ``created_at`` and what is owed."""
    want = alert.criteria
    return (
        dict(zip(_CRITERIA, _criteria_of(want), strict=True))
        | state_values(alert.state)
        | {name: getattr(alert, name) for name in _ALERT}
        | {
            "slot": slot_of_id(alert.id),
            "user_email": alert.user,
            "od": want.od,
            "carriers_in": ",".join(want.carriers_in),
            "carriers_out": ",".join(want.carriers_out),
        }
    )


def state_values(state: AlertState) -> dict[str, Any]:
    """The columns of what an alert remembers."""
    hashes = {name: None if (value := getattr(state, name)) is None else signed(value) for name in _HASHES}
    return dict(zip(_STATE, _state_of(state), strict=True)) | hashes


def alert_of(row: Row[Any]) -> Alert:
    """The alert of a whole row."""
    origin, destination = row.od.split("-")
    criteria = _quickly(
        Criteria,
        dict(zip(_CRITERIA, _criteria_at(row), strict=True)),
        origin=origin,
        destination=destination,
        carriers_in=_codes(row.carriers_in),
        carriers_out=_codes(row.carriers_out),
    )
    holder, last_change = [None if value is None else unsigned(value) for value in _hashes_at(row)]
    state = AlertState(holder=holder, last_change=last_change, **dict(zip(_STATE, _state_at(row), strict=True)))
    own = dict(zip(_ALERT, _alert_at(row), strict=True))
    return _quickly(Alert, own, user=row.user_email, criteria=criteria, state=state)


def _quickly(kind: type[Made], fields: dict[str, Any], **others: Any) -> Made:
    """What the constructor of a frozen dataclass makes of all its fields, ten times as quick: it sets them singly."""
    made = object.__new__(kind)
    made.__dict__.update(fields, **others)
    return made


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
    return [common | {"month": month} for month in months_of(alert)]


def months_of(alert: Alert) -> range:
    """The months in which an alert wants to depart: those of its windows."""
    return range(month_of(alert.criteria.depart_from), month_of(alert.criteria.depart_to) + 1)


def window_trigger(state: AlertState) -> int:
    """What windows keep as the trigger: a learning alert is asked about every price."""
    return NO_TRIGGER if state.trigger is None else state.trigger


def message_values(message: Message) -> dict[str, Any]:
    """The id and ``MESSAGE_COLUMNS``."""
    return dict(zip(_MESSAGE, _message_of(message), strict=True)) | {
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
        **dict(zip(_MESSAGE, _message_of(row), strict=True)),
    )
