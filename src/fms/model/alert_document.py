"""The alert as people and programs write it: one JSON object, checked field by field."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from fms.errors import Invalid
from fms.model.alert import AMOUNT_FIELD, Alert, Criteria
from fms.model.clock import parse_date
from fms.model.money import EXPONENT, MAX_MINOR

CABINS = ("economy", "premium_economy", "business", "first")
TRIP_TYPES = ("one_way", "round_trip")
LONGEST_WINDOW_DAYS = 400
"""Departures wanted by one alert: as far ahead as fares are accepted."""

_AIRPORT = re.compile(r"[A-Z]{3}", re.ASCII)
_CARRIER = re.compile(r"[A-Z][A-Z0-9]|[0-9][A-Z]", re.ASCII)
_RETURN_FIELDS = ("return_from", "return_to", "min_nights", "max_nights")
_CRITERIA_FIELDS = (
    "origin", "destination", "depart_from", "depart_to", "currency", "trip_type", "cabin", "adults", "children",
    "infants", *_RETURN_FIELDS, "max_stops", "carriers_in", "carriers_out",
)  # fmt: skip
FIELDS = ("ref", "kind", *(name for name in AMOUNT_FIELD.values() if name), *_CRITERIA_FIELDS)
"""Every field of the alert file, in the order in which they are shown."""


@dataclass(frozen=True)
class AlertDocument:
    """A checked alert as it was asked for."""

    ref: str
    kind: str
    amount: int
    criteria: Criteria

    def same_as(self, alert: Alert) -> bool:
        """Whether the alert already says just this."""
        return (self.kind, self.amount, self.criteria) == (alert.kind, alert.amount, alert.criteria)


def parse_alert(document: object) -> AlertDocument:
    """Check one object of an alert file; dates are not judged by the clock. Raises Invalid (``field: what``)."""
    if not isinstance(document, Mapping):
        raise Invalid("not an object")
    unknown = [name for name in document if name not in FIELDS]
    if unknown:
        raise Invalid(f"{unknown[0]}: no such field")
    given = {name: value for name, value in document.items() if value is not None}
    ref = _required(given, "ref", _text)
    kind = _required(given, "kind", _one_of(tuple(AMOUNT_FIELD)))
    return AlertDocument(ref, kind, _amount(given, kind), _criteria(given))


def document_of(alert: Alert) -> dict[str, Any]:
    """The alert as an object of the alert file; criteria that ask nothing are null or empty."""
    amounts = {
        name: alert.amount if AMOUNT_FIELD[alert.kind] == name else None for name in AMOUNT_FIELD.values() if name
    }
    criteria = {name: _plain(getattr(alert.criteria, name)) for name in _CRITERIA_FIELDS}
    return {"ref": alert.ref, "kind": alert.kind} | amounts | criteria


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


Check = Callable[[object], Any]


def _required(given: Mapping[str, object], name: str, check: Check) -> Any:
    if name not in given:
        raise Invalid(f"{name}: missing")
    return _optional(given, name, check, None)


def _optional(given: Mapping[str, object], name: str, check: Check, default: object) -> Any:
    if name not in given:
        return default
    try:
        return check(given[name])
    except Invalid as error:
        raise Invalid(f"{name}: {error}") from None


def _amount(given: Mapping[str, object], kind: str) -> int:
    wanted = AMOUNT_FIELD[kind]
    for name in AMOUNT_FIELD.values():
        if name and name != wanted and name in given:
            raise Invalid(f"{name}: not for kind {kind}")
    if wanted is None:
        return 0
    most = 9_999 if wanted == "drop_bp" else MAX_MINOR
    amount: int = _required(given, wanted, _integer(1, most))
    return amount


def _criteria(given: Mapping[str, object]) -> Criteria:
    returning = any(name in given for name in _RETURN_FIELDS)
    found = Criteria(
        origin=_required(given, "origin", _code(_AIRPORT, "airport code")),
        destination=_required(given, "destination", _code(_AIRPORT, "airport code")),
        depart_from=_required(given, "depart_from", _date),
        depart_to=_required(given, "depart_to", _date),
        currency=_required(given, "currency", _currency),
        trip_type=_optional(given, "trip_type", _one_of(TRIP_TYPES), "round_trip" if returning else "one_way"),
        cabin=_optional(given, "cabin", _one_of(CABINS), "economy"),
        adults=_optional(given, "adults", _integer(0, 9), 1),
        children=_optional(given, "children", _integer(0, 9), 0),
        infants=_optional(given, "infants", _integer(0, 9), 0),
        return_from=_optional(given, "return_from", _date, None),
        return_to=_optional(given, "return_to", _date, None),
        min_nights=_optional(given, "min_nights", _integer(0, 400), None),
        max_nights=_optional(given, "max_nights", _integer(0, 400), None),
        max_stops=_optional(given, "max_stops", _integer(0, 8), None),
        carriers_in=_optional(given, "carriers_in", _carriers, ()),
        carriers_out=_optional(given, "carriers_out", _carriers, ()),
    )
    _check_together(found, returning=returning)
    return found


def _check_together(want: Criteria, *, returning: bool) -> None:
    if want.origin == want.destination:
        raise Invalid("destination: the same as origin")
    if want.depart_to < want.depart_from:
        raise Invalid("depart_to: before depart_from")
    if (want.depart_to - want.depart_from).days > LONGEST_WINDOW_DAYS:
        raise Invalid(f"depart_to: more than {LONGEST_WINDOW_DAYS} days after depart_from")
    if returning and want.trip_type == "one_way":
        raise Invalid("trip_type: one_way, but a return is asked for")
    if want.return_from and want.return_to and want.return_to < want.return_from:
        raise Invalid("return_to: before return_from")
    if want.return_to and want.return_to < want.depart_from:
        raise Invalid("return_to: before depart_from")
    if want.min_nights is not None and want.max_nights is not None and want.max_nights < want.min_nights:
        raise Invalid("max_nights: less than min_nights")
    if not 1 <= want.adults + want.children <= 9:
        raise Invalid("adults: 1 to 9 travellers, infants not counted")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise Invalid("1 to 200 printable characters wanted")
    return value.strip()


def _one_of(names: tuple[str, ...]) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise Invalid(f"one of {', '.join(names)} wanted, not {value!r}"[:200])
        return value

    return check


def _integer(least: int, most: int) -> Check:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Invalid(f"an integer from {least} to {most} wanted, not {str(value)[:40]!r}")
        return value

    return check


def _code(form: re.Pattern[str], what: str) -> Check:
    def check(value: object) -> str:
        code = value.strip().upper() if isinstance(value, str) else ""
        if not form.fullmatch(code):
            raise Invalid(f"not an {what}: {str(value)[:40]!r}")
        return code

    return check


def _date(value: object) -> date:
    return parse_date(value if isinstance(value, str) else repr(value))


def _currency(value: object) -> str:
    code = value.strip().upper() if isinstance(value, str) else ""
    if code not in EXPONENT:
        raise Invalid(f"not an ISO 4217 currency: {str(value)[:40]!r}")
    return code


def _carriers(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 50:
        raise Invalid("a list of at most 50 airline codes wanted")
    return tuple(sorted({_code(_CARRIER, "airline code of two characters")(code) for code in value}))
