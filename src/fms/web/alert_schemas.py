"""The alert as it is written and read over HTTP: the fields of the alert file, and what fms adds."""

from typing import Any

from marshmallow import fields, validate

from fms.db.listing import SORTS
from fms.model.alert import AMOUNT_FIELD, STATES
from fms.model.alert_document import CABINS, TRIP_TYPES
from fms.model.money import MAX_MINOR
from fms.web.fields import Closed, Pattern

KINDS = tuple(AMOUNT_FIELD)
PAGE_LIMIT = 100


def _text(pattern: str | None = None, **metadata: Any) -> Any:
    checks = [] if pattern is None else [Pattern(pattern)]
    return fields.String(allow_none=True, validate=checks, metadata=metadata)


def _whole(least: int, most: int, **metadata: Any) -> Any:
    return fields.Integer(strict=True, allow_none=True, validate=validate.Range(least, most), metadata=metadata)


def _one_of(*words: str, **metadata: Any) -> Any:
    among = validate.OneOf([*words, None], error=f"Must be one of: {', '.join(words)}.")
    return fields.String(allow_none=True, validate=among, metadata=metadata)


def _date(**metadata: Any) -> Any:
    return _text(r"^\d{4}-\d{2}-\d{2}$", format="date", **metadata)


def _codes(pattern: str, **metadata: Any) -> Any:
    code = fields.String(validate=Pattern(pattern))
    return fields.List(code, allow_none=True, validate=validate.Length(max=50), metadata=metadata)


_AIRPORT, _CURRENCY, _CARRIER = r"^[A-Za-z]{3}$", r"^[A-Za-z]{3}$", r"^[A-Za-z0-9]{2}$"


class AlertEdit(Closed):
    """What an alert wants. Route, trip type, cabin, currency, travellers, kind and ref cannot be changed afterwards."""

    ref = fields.String(
        allow_none=True,
        validate=validate.Length(1, 200),
        metadata={"description": "Your own name for it, unique among your alerts. Default: its id."},
    )
    kind = _one_of(*KINDS)
    target_minor = _whole(1, MAX_MINOR, description="For kind target: fires at this price, in minor units, or below.")
    drop_bp = _whole(1, 9_999, description="For kind drop_percent: hundredths of a per cent under the reference.")
    drop_minor = _whole(1, MAX_MINOR, description="For kind drop_amount: minor units under the reference.")
    origin = _text(_AIRPORT, description="IATA airport code.")
    destination = _text(_AIRPORT, description="IATA airport code.")
    depart_from = _date(description="First local date of departure.")
    depart_to = _date(description="Last local date of departure, at most 400 days later.")
    currency = _text(_CURRENCY, description="ISO 4217 code.")
    trip_type = _one_of(*TRIP_TYPES, description="Default: round_trip if a return is asked for, else one_way.")
    cabin = _one_of(*CABINS, description="Default: economy.")
    adults = _whole(0, 9, description="Default: 1.")
    children = _whole(0, 9, description="Default: 0.")
    infants = _whole(0, 9, description="Default: 0.")
    return_from = _date()
    return_to = _date()
    min_nights = _whole(0, 400)
    max_nights = _whole(0, 400)
    max_stops = _whole(0, 8, description="Flights of one direction less one.")
    carriers_in = _codes(_CARRIER, description="Every flight's airline is one of these.")
    carriers_out = _codes(_CARRIER, description="No flight's airline is one of these.")


class AlertIn(AlertEdit):
    """A new alert."""

    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    origin = fields.String(required=True, validate=Pattern(_AIRPORT))
    destination = fields.String(required=True, validate=Pattern(_AIRPORT))
    depart_from = fields.String(required=True, validate=Pattern(r"^\d{4}-\d{2}-\d{2}$"), metadata={"format": "date"})
    depart_to = fields.String(required=True, validate=Pattern(r"^\d{4}-\d{2}-\d{2}$"), metadata={"format": "date"})
    currency = fields.String(required=True, validate=Pattern(_CURRENCY))


class FareOut(Closed):
    """A fare in the words of the fare document."""

    origin = fields.String(required=True)
    destination = fields.String(required=True)
    departure_date = fields.String(required=True, metadata={"format": "date"})
    return_date = fields.String(required=True, allow_none=True, metadata={"format": "date"})
    outbound_flights = fields.List(fields.String(), required=True, allow_none=True)
    return_flights = fields.List(fields.String(), required=True, allow_none=True)
    carrier = fields.String(required=True, allow_none=True)
    departure_time = fields.String(required=True, allow_none=True)
    cabin = fields.String(required=True)
    fare_brand = fields.String(required=True, allow_none=True)
    currency = fields.String(required=True)
    total_amount_minor = fields.Integer(required=True)
    price_basis = fields.String(required=True, allow_none=True)
    adults = fields.Integer(required=True)
    children = fields.Integer(required=True)
    infants = fields.Integer(required=True)
    source = fields.String(required=True)
    point_of_sale = fields.String(required=True, allow_none=True)
    observed_at = fields.String(required=True, metadata={"format": "date-time", "description": "Last seen."})


class AlertOut(AlertEdit):
    """An alert with what fms adds. Times are RFC 3339 in UTC, prices in minor units of its currency."""

    id = fields.String(required=True, metadata={"format": "uuid"})
    version = fields.Integer(required=True, metadata={"description": "Raised by every change; its ETag."})
    state = fields.String(required=True, validate=validate.OneOf(STATES))
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    trigger_minor = fields.Integer(
        required=True, allow_none=True, metadata={"description": "It fires at this price or below; null: learning."}
    )
    trigger_from = fields.String(required=True, metadata={"description": "Where the trigger comes from, in words."})
    threshold_minor = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The trigger of the alert when it is armed."}
    )
    reference_minor = fields.Integer(
        required=True, allow_none=True, metadata={"description": "What a drop is measured from."}
    )
    last_price_minor = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The price at which it fired last."}
    )
    last_fired_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    armed_since = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    learning_since = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    snoozed_until = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class WarningOut(Closed):
    """Why none of the known fares is wanted."""

    criterion = fields.String(required=True)
    known_fares = fields.Integer(required=True, metadata={"description": "How many fail this first."})
    detail = fields.String(required=True)


class MadeOut(AlertOut):
    """An alert that was made or changed, against the fares of its dates that are known now."""

    known_fares = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Null: prices cannot be read just now."}
    )
    best_fare = fields.Nested(FareOut, required=True, allow_none=True)
    already_met = fields.Boolean(
        required=True, metadata={"description": "Whether the best fare is at or below the threshold."}
    )
    warnings = fields.List(fields.Nested(WarningOut), required=True)


class AlertPageOut(Closed):
    """Some alerts."""

    items = fields.List(fields.Nested(AlertOut), required=True)
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "The cursor of the next page; null: this is the last."}
    )


class AlertQuery(Closed):
    """Which alerts, in which order."""

    state = fields.String(validate=validate.OneOf(STATES))
    kind = fields.String(validate=validate.OneOf(KINDS))
    origin = fields.String(validate=Pattern(_AIRPORT))
    destination = fields.String(validate=Pattern(_AIRPORT))
    ref = fields.String(validate=validate.Length(1, 200))
    sort = fields.String(
        load_default="-created", validate=validate.OneOf([sign + name for name in SORTS for sign in ("", "-")])
    )
    limit = fields.Integer(load_default=PAGE_LIMIT, validate=validate.Range(1, PAGE_LIMIT))
    cursor = fields.String(validate=validate.Length(1, 1_000), metadata={"description": "next of the page before."})


class SnoozeIn(Closed):
    """Until when an alert shall be quiet."""

    until = fields.String(
        required=True, allow_none=True, metadata={"format": "date-time", "description": "RFC 3339; null: not at all."}
    )


class JudgedOut(Closed):
    """One of the best fares wanted, and why the alert does not fire on it."""

    fare = fields.Nested(FareOut, required=True)
    fires = fields.Boolean(required=True, metadata={"description": "Whether it would if it moved to this price now."})
    condition = fields.String(required=True, allow_none=True)
    why = fields.String(required=True, allow_none=True)


class ExplanationOut(Closed):
    """Why an alert fires or does not."""

    alert = fields.Nested(AlertOut, required=True)
    verdict = fields.String(required=True, metadata={"description": "In one line."})
    holder = fields.Nested(
        FareOut, required=True, allow_none=True, metadata={"description": "The fare it told of, if it is known still."}
    )
    known_fares = fields.Integer(required=True)
    newest_observation = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    best_fares = fields.List(fields.Nested(JudgedOut), required=True)
    excluded = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
