"""Fare documents on their way in: the fields that count, blocks of documents, and why a document is set aside.

The words of a document (version 1); everything else in it is ignored:

============================  =======  ==================================================================
field                         type     rule
============================  =======  ==================================================================
``schema_version``            integer  1 (default)
``source``                    text     ``[a-z][a-z0-9_]{1,31}``; default: the mapping's name or ``default``
``observed_at``               text     RFC 3339 with a zone; default: one time for the whole run
``point_of_sale``             text     two letters; UK is read as GB
``trip_type``                 text     ``one_way`` or ``round_trip``; default: by whether ``return_date`` is there
``origin``, ``destination``   text     three capitals each, required, different
``departure_date``            text     ISO date, required; from one day before the observation to 400 days after
``return_date``               text     ISO date, not before the departure; makes a round trip
``outbound_flights``          texts    1-9 flight designators in order
``return_flights``            texts    the same for the way back
``price_basis``               text     ``itinerary``, ``from`` or ``market``; default: by what is known
``cabin``                     text     ``economy`` (default), ``premium_economy``, ``business`` or ``first``
``fare_brand``                text     at most 64 characters; compared trimmed and in lower case
``adults``                    integer  default 1; with the children 1-9
``children``, ``infants``     integer  0-9, default 0
``currency``                  text     ISO 4217, required
``total_amount_minor``        integer  1 to 10^13 minor units; this or ``total_amount`` is required
``total_amount``              text     plain decimal number, no more decimals than the currency has
``carrier``                   text     airline designator, two characters
``departure_time``            text     local ``HH:MM``
============================  =======  ==================================================================
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from fms.model.batch import I64

TEXT_FIELDS = (
    "source", "observed_at", "point_of_sale", "trip_type", "origin", "destination", "departure_date", "return_date",
    "price_basis", "cabin", "fare_brand", "currency", "total_amount", "carrier", "departure_time",
)  # fmt: skip
INT_FIELDS = ("schema_version", "adults", "children", "infants", "total_amount_minor")
FLIGHT_FIELDS = ("outbound_flights", "return_flights")
FIELDS = (*TEXT_FIELDS, *INT_FIELDS, *FLIGHT_FIELDS)
"""The fields that ingest reads."""

DOCUMENT_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in TEXT_FIELDS]
    + [pa.field(name, pa.int64()) for name in INT_FIELDS]
    + [pa.field(name, pa.list_(pa.string())) for name in FLIGHT_FIELDS]
)
"""The fields as a source of typed documents gives them."""

RAW_KEPT = 64 * 1024
"""Bytes of a rejected document that are kept."""

REASONS: dict[str, str] = {
    "line_too_long": "the line is longer than 1 MiB",
    "not_utf8": "the text is not UTF-8",
    "not_json": "not JSON, cut off, or nested too deep",
    "bad_number": "a number that JSON does not know or nobody can hold: NaN, Infinity, 1e999",
    "not_an_object": "JSON, but not an object",
    "wrong_type": "a field of another JSON type; prices with decimals are text",
    "wrong_columns": "more or fewer columns than the header has, or quotes that do not match",
    "bad_schema_version": "schema_version is not 1",
    "missing_origin": "no origin",
    "missing_destination": "no destination",
    "missing_departure_date": "no departure_date",
    "missing_currency": "no currency",
    "missing_price": "neither total_amount_minor nor total_amount",
    "bad_origin": "origin is not three capital letters",
    "bad_destination": "destination is not three capital letters",
    "same_airports": "origin and destination are the same",
    "bad_observed_at": "observed_at is not an RFC 3339 time with a zone, after 1970",
    "observed_in_future": "observed_at is more than 5 minutes after the start of the run",
    "bad_departure_date": "departure_date is not a date",
    "departure_out_of_range": "departure is more than a day before or 400 days after the observation",
    "bad_return_date": "return_date is not a date",
    "return_before_departure": "return_date is before departure_date",
    "bad_trip_type": "trip_type is neither one_way nor round_trip",
    "trip_type_mismatch": "one way with a return, or a round trip without return_date",
    "bad_flights": "flights are not 1-9 flight designators, or only those of the way back are given",
    "bad_carrier": "carrier is not an airline designator of two characters",
    "bad_departure_time": "departure_time is not HH:MM",
    "bad_cabin": "cabin is not economy, premium_economy, business or first",
    "bad_travellers": "not 1-9 adults and children together, or not 0-9 infants",
    "bad_fare_brand": "fare_brand is longer than 64 characters or has control characters",
    "bad_source": "source is not 2-32 lower-case letters, digits and _",
    "bad_point_of_sale": "point_of_sale is not two capital letters",
    "bad_price_basis": "price_basis is not itinerary, from or market",
    "bad_currency": "currency is not an ISO 4217 code in capitals",
    "bad_price": "the price is not a plain number",
    "price_not_positive": "the price is zero or negative",
    "too_many_decimals": "the price has more decimals than its currency",
    "price_out_of_range": "the price is above 10^13 minor units",
    "two_prices": "total_amount and total_amount_minor disagree",
}
"""Why a document is set aside, in the order of the checks: a document is counted under the first that applies."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A document that was set aside.

    Attributes:
        source: the file.
        number: line or row, from 1.
        reason: a key of ``REASONS``.
        raw: the document as it came, at most ``RAW_KEPT`` bytes of it.
    """

    source: str
    number: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Block:
    """Documents as a source could read them, unchecked, in order.

    Attributes:
        columns: any of ``FIELDS``, one row a document; null: not given. Text fields are strings, integer fields int64
            or strings, flights lists of strings or one string ("AA701+AA380"), dates also date32, ``observed_at``
            also a timestamp with a zone; texts and lists may be dictionary-coded.
        numbers: line or row of each document, from 1, ascending.
        raw: the document in a row as text, at most ``RAW_KEPT`` bytes of it.
        rejects: what could not be read at all, ascending; no row of ``columns``.
        bytes_done: how far the source was read, when this block was.
        bytes_total: the size of the source; None: not known.
    """

    columns: pa.Table
    numbers: I64
    raw: Callable[[int], str]
    rejects: Sequence[Reject] = field(default_factory=tuple)
    bytes_done: int = 0
    bytes_total: int | None = None

    @classmethod
    def of_rejects(cls, rejects: Sequence[Reject], **progress: Any) -> "Block":
        """A block of nothing but rejects."""
        return cls(pa.table({}), np.zeros(0, np.int64), lambda _row: "", rejects, **progress)


class Source(Protocol):
    """Where fare documents come from."""

    name: str

    def blocks(self) -> Iterator[Block]:
        """The documents in order. Raises Invalid (with the name) when no more can be read."""
        ...


def kept_raw(data: bytes) -> str:
    """The start of a document as text, for its reject."""
    return data[:RAW_KEPT].decode(errors="replace")
