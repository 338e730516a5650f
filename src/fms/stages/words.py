"""The normal form of each kind of text in a fare document. All raise Invalid for a text that has none."""

import re
from collections.abc import Callable
from functools import lru_cache

from fms.errors import Invalid
from fms.model.money import exponent_of

FLIGHT_MARK = "\x1f"
"""Stands between the flights of a list while it is one text."""

MOST_FLIGHTS = 9
LONGEST_BRAND = 64
PRICE_BASES = ["itinerary", "from", "market"]

_ICAO = {"RYR": "FR", "EZY": "U2", "EJU": "EC", "WZZ": "W6", "VLG": "VY", "DLH": "LH", "BAW": "BA", "AFR": "AF"}
"""Three-letter designators that sources mix with those of two characters."""

_AIRPORT = re.compile(r"[A-Z]{3}", re.ASCII)
_FLIGHT = re.compile(r"([A-Z][A-Z0-9]|[0-9][A-Z])0*([1-9][0-9]{0,3}[A-Z]?)", re.ASCII)
_ICAO_FLIGHT = re.compile(r"([A-Z]{3})([0-9].*)", re.ASCII)
_NOT_IN_FLIGHT = re.compile(r"[\s-]", re.ASCII)
_BETWEEN_FLIGHTS = re.compile(r"[+,;/|]")


def is_airport(text: str) -> bool:
    """Whether a text is three capital letters."""
    return _AIRPORT.fullmatch(text) is not None


def _of_pattern(pattern: str) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.ASCII)

    def normal(text: str) -> str:
        if not compiled.fullmatch(text):
            raise Invalid(f"not of the form {pattern}")
        return text

    return normal


def _one_of(*words: str) -> Callable[[str], str]:
    def normal(text: str) -> str:
        if text not in words:
            raise Invalid(f"not one of {', '.join(words)}")
        return text

    return normal


carrier = _of_pattern(r"[A-Z][A-Z0-9]|[0-9][A-Z]")
departure_time = _of_pattern(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
source = _of_pattern(r"[a-z][a-z0-9_]{1,31}")
cabin = _one_of("economy", "premium_economy", "business", "first")
price_basis = _one_of(*PRICE_BASES)
trip_type = _one_of("one_way", "round_trip")
_country = _of_pattern(r"[A-Z]{2}")


def currency(text: str) -> str:
    """A code of ISO 4217."""
    exponent_of(text)
    return text


def point_of_sale(text: str) -> str:
    """Two capitals; UK is GB."""
    return "GB" if text == "UK" else _country(text)


def fare_brand(text: str) -> str | None:
    """Trimmed, lower case; None if nothing is left."""
    brand = text.strip().lower()
    if len(brand) > LONGEST_BRAND or not brand.isprintable():
        raise Invalid("not a fare brand")
    return brand or None


def designator(text: str) -> str:
    """``6E-0218`` is ``6E218``, ``vy 7825`` is ``VY7825``, ``RYR12`` is ``FR12``."""
    plain = _NOT_IN_FLIGHT.sub("", text).upper()
    if (icao := _ICAO_FLIGHT.fullmatch(plain)) and icao[1] in _ICAO:
        plain = _ICAO[icao[1]] + icao[2]
    found = _FLIGHT.fullmatch(plain)
    if not found:
        raise Invalid(f"not a flight designator: {text[:20]!r}")
    return found[1] + found[2]


@lru_cache(maxsize=1 << 16)
def flight_list(text: str) -> str:
    """The flights of a list, joined by ``FLIGHT_MARK``, as batches write them: joined by ``+``."""
    return _flights(text.split(FLIGHT_MARK))


@lru_cache(maxsize=1 << 16)
def flight_text(text: str) -> str:
    """Flights in one text: ``AA701+AA380``, ``AA 701, AA 380`` or ``AA701 AA380``."""
    if _BETWEEN_FLIGHTS.search(text):
        return _flights(_BETWEEN_FLIGHTS.split(text))
    try:
        return designator(text)
    except Invalid:
        return _flights(text.split())


def _flights(texts: list[str]) -> str:
    if not 1 <= len(texts) <= MOST_FLIGHTS:
        raise Invalid(f"not 1 to {MOST_FLIGHTS} flights")
    return "+".join(map(designator, texts))
