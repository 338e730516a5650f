"""The reference's reader of fare documents, and what identifies a fare: sections 3 and 5 of the design, row by row."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any
from zlib import crc32

Fare = dict[str, Any]
Series = tuple[Any, ...]

EPOCH = date(1970, 1, 1)
DAY = 86_400_000
HOUR = 3_600_000
EXPONENTS = {"USD": 2, "GBP": 2, "EUR": 2, "JPY": 0, "KWD": 3}
CABINS = ("economy", "premium_economy", "business", "first")
DESIGNATOR = re.compile(r"([A-Z][A-Z0-9]|[0-9][A-Z])0*([1-9][0-9]{0,3}[A-Z]?)")


class Rejected(Exception):  # noqa: N818  # named after the outcome
    """The line breaks a rule."""


def read_fare(line: str | dict[str, Any], observed_at: int, source: str = "default") -> Fare | None:
    """One checked fare; None for a blank line. ``observed_at`` and ``source`` stand for what is not given."""
    given = _parsed(line)
    if given is None:
        return None
    fare = _identity(given, source)
    fare["observed_at"] = instant(given["observed_at"]) if "observed_at" in given else observed_at
    fare["price"] = _price(given)
    observed = day_of(fare["observed_at"])
    _check(observed - timedelta(days=1) <= fare["departure_date"] <= observed + timedelta(days=400), "departure_date")
    _check(fare["return_date"] is None or fare["return_date"] >= fare["departure_date"], "return_date")
    return fare


def _check(good: bool, reason: str) -> None:
    if not good:
        raise Rejected(reason)


def _parsed(line: str | dict[str, Any]) -> dict[str, Any] | None:
    if isinstance(line, str):
        if not line.strip():
            return None
        try:
            line = json.loads(line)
        except ValueError:
            raise Rejected("json") from None
    if not isinstance(line, dict):
        raise Rejected("json")
    return {name: value for name, value in line.items() if value is not None}


def _identity(given: dict[str, Any], source: str) -> Fare:
    origin, destination = _code(given, "origin"), _code(given, "destination")
    _check(origin != destination, "destination")
    back = _date(given, "return_date") if "return_date" in given else None
    trip = given.get("trip_type", "one_way" if back is None else "round_trip")
    _check(trip == ("one_way" if back is None else "round_trip"), "trip_type")
    cabin = given.get("cabin", "economy")
    _check(cabin in CABINS, "cabin")
    _check(given.get("currency") in EXPONENTS, "currency")
    people = (given.get("adults", 1), given.get("children", 0), given.get("infants", 0))
    _check(all(type(count) is int and count >= 0 for count in people) and 1 <= sum(people[:2]) <= 9, "adults")
    out, home = _flights(given, "outbound_flights"), _flights(given, "return_flights")
    carrier, clock = given.get("carrier"), given.get("departure_time")
    brand = given.get("fare_brand", "").strip().lower() or None
    return {
        "origin": origin, "destination": destination, "od": f"{origin}-{destination}",
        "departure_date": _date(given, "departure_date"), "return_date": back, "cabin": cabin,
        "currency": given["currency"], "travellers": people, "outbound": out, "return": home, "carrier": carrier,
        "departure_time": clock, "fare_brand": brand, "source": given.get("source", source),
        "point_of_sale": given.get("point_of_sale"),
        "price_basis": given.get("price_basis") or _basis(back, out, home, carrier and clock),
    }  # fmt: skip


def _basis(back: date | None, out: Any, home: Any, timed: Any) -> str:
    if out:
        return "itinerary" if back is None or home else "from"
    return "itinerary" if timed and back is None else "market"


def _code(given: dict[str, Any], name: str) -> str:
    code = given.get(name)
    _check(isinstance(code, str) and re.fullmatch("[A-Z]{3}", code) is not None, name)
    return str(code)


def _date(given: dict[str, Any], name: str) -> date:
    try:
        return datetime.strptime(given[name], "%Y-%m-%d").replace(tzinfo=UTC).date()
    except (KeyError, TypeError, ValueError):
        raise Rejected(name) from None


def _flights(given: dict[str, Any], name: str) -> tuple[str, ...] | None:
    if name not in given:
        return None
    found = [DESIGNATOR.fullmatch(re.sub(r"[\s-]", "", text).upper()) for text in given[name]]
    _check(1 <= len(found) <= 9 and all(found), name)
    return tuple(one[1] + one[2] for one in found if one)


def _price(given: dict[str, Any]) -> int:
    minor: Any = given.get("total_amount_minor")
    if minor is None:
        text = given.get("total_amount")
        _check(isinstance(text, str), "total_amount")
        try:
            minor = Decimal(str(text)).scaleb(EXPONENTS[given["currency"]])
        except InvalidOperation:
            raise Rejected("total_amount") from None
        _check(minor.is_finite() and minor == minor.to_integral_value(), "total_amount")
        minor = int(minor)
    _check(type(minor) is int and 1 <= minor <= 10**13, "total_amount")
    return int(minor)


def instant(text: str) -> int:
    """An RFC 3339 time as UTC ms."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Rejected("observed_at") from None
    _check(moment.tzinfo is not None, "observed_at")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def instant_text(ms: int) -> str:
    """UTC ms as RFC 3339 with milliseconds."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def day_of(ms: int) -> date:
    """The UTC day of a time."""
    return EPOCH + timedelta(days=ms // DAY)


def partition_of(od: str) -> int:
    """Where fares of an O&D travel."""
    return crc32(od.encode()) % 4096 % 16


def series_of(fare: Fare) -> Series:
    """What one price belongs to: flights when known, else carrier and time together, else the date's lowest."""
    if fare["outbound"]:
        flight: Series = ("flights", fare["outbound"], fare["return"])
    elif fare["carrier"] and fare["departure_time"]:
        flight = ("clock", fare["carrier"], fare["departure_time"])
    else:
        flight = ("lowest",)
    names = ("od", "departure_date", "return_date", "cabin", "currency", "travellers")
    rest = ("fare_brand", "source", "point_of_sale", "price_basis")
    return (*(fare[name] for name in names), flight, *(fare[name] for name in rest))


MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
MISSING = 0x6E756C6C


def series_hash(fare: Fare) -> int:
    """The stable 64-bit hash that orders equal prices of one date (stored in price books, so it never changes)."""
    market = _text("{origin}-{destination}".format_map(fare))
    for text in (fare["cabin"], fare["currency"], "-".join(map(str, fare["travellers"]))):
        market = _mix(market, _text(text))
    market = _mix(market, int(fare["return_date"] is not None))
    whole = _mix(market, _number((fare["departure_date"] - EPOCH).days))
    whole = _mix(whole, _number(-1 if fare["return_date"] is None else (fare["return_date"] - EPOCH).days))
    whole = _mix(whole, _flight(fare))
    for name in ("fare_brand", "source", "point_of_sale", "price_basis"):
        whole = _mix(whole, _text(fare[name]))
    return (market & (0xFFFF << 48)) | (whole >> 16)


def _flight(fare: Fare) -> int:
    if fare["outbound"]:
        return _mix(_text("+".join(fare["outbound"])), _text("+".join(fare["return"]) if fare["return"] else None))
    if fare["carrier"] and fare["departure_time"]:
        return _mix(_text(fare["carrier"]), _text(fare["departure_time"]))
    return MISSING


def _text(text: str | None) -> int:
    return MISSING if text is None else int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _number(value: int) -> int:
    return _mix(value & MASK, GOLDEN)


def _mix(left: int, right: int) -> int:
    z = (left * GOLDEN + right) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)
