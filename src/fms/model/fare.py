"""Fare observations: one price seen for one product at one time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from fms.model.batch import INSTANT, TEXT, Batch, TextView, ints, text_column
from fms.model.clock import date_of
from fms.model.hashing import NULL_HASH, U64, hash_coded, hash_ints, mix, mix_one, text_hash

PRODUCT_COLUMNS = (
    "return_date",
    "cabin",
    "currency",
    "travellers",
    "outbound_flights",
    "return_flights",
    "carrier",
    "departure_time",
    "fare_brand",
    "source",
    "point_of_sale",
    "price_basis",
)
"""What a series is, beside its O&D and departure date. See ``FARE_SCHEMA``."""

FARE_SCHEMA = pa.schema(
    [
        pa.field("observed_at", INSTANT, nullable=False),
        pa.field("od", TEXT, nullable=False),  # "JFK-LHR"
        pa.field("departure_date", pa.date32(), nullable=False),  # local at the origin
        pa.field("return_date", pa.date32()),  # null: one way
        pa.field("cabin", TEXT),  # economy premium_economy business first
        pa.field("currency", TEXT),  # ISO 4217
        pa.field("travellers", TEXT),  # adults-children-infants: "1-0-0"
        pa.field("outbound_flights", TEXT),  # designators in order, "AA701+AA380"; null: not known
        pa.field("return_flights", TEXT),
        pa.field("carrier", TEXT),  # with departure_time: identifies a flight whose designator is not known
        pa.field("departure_time", TEXT),  # local "HH:MM"
        pa.field("fare_brand", TEXT),  # trimmed, lower case
        pa.field("source", TEXT),
        pa.field("point_of_sale", TEXT),  # ISO 3166-1 alpha-2
        pa.field("price_basis", TEXT),  # itinerary from market
        pa.field("price", pa.int64(), nullable=False),  # minor units, all travellers, whole trip
    ]
)


@dataclass(frozen=True, slots=True)
class Fare:
    """One fare as people and criteria look at it. Times in UTC ms, price in minor units of ``currency``."""

    origin: str
    destination: str
    departure_date: date
    return_date: date | None
    cabin: str
    currency: str
    adults: int
    children: int
    infants: int
    outbound_flights: tuple[str, ...] | None
    return_flights: tuple[str, ...] | None
    carrier: str | None
    departure_time: str | None
    fare_brand: str | None
    source: str
    point_of_sale: str | None
    price_basis: str
    price: int
    observed_at: int

    @property
    def trip_type(self) -> str:
        """``one_way`` or ``round_trip``."""
        return "one_way" if self.return_date is None else "round_trip"

    @property
    def od(self) -> str:
        """The ordered airport pair, ``JFK-LHR``."""
        return f"{self.origin}-{self.destination}"


def split_flights(text: str | None) -> tuple[str, ...] | None:
    """The designators in a flights column's text; None when not known."""
    return tuple(text.split("+")) if text else None


def split_travellers(text: str | None) -> tuple[int, int, int]:
    """Adults, children, infants of a travellers column's text."""
    adults, children, infants = (text or "1-0-0").split("-")
    return int(adults), int(children), int(infants)


def fare_columns(fares: Sequence[Fare]) -> dict[str, Any]:
    """Fares as the columns of ``FARE_SCHEMA``; the reverse of ``FareRows``."""
    texts: dict[str, list[str | None]] = {
        "od": [fare.od for fare in fares],
        "travellers": [f"{fare.adults}-{fare.children}-{fare.infants}" for fare in fares],
        "outbound_flights": ["+".join(fare.outbound_flights) if fare.outbound_flights else None for fare in fares],
        "return_flights": ["+".join(fare.return_flights) if fare.return_flights else None for fare in fares],
    }
    for name in (
        "cabin",
        "currency",
        "carrier",
        "departure_time",
        "fare_brand",
        "source",
        "point_of_sale",
        "price_basis",
    ):
        texts[name] = [getattr(fare, name) for fare in fares]
    return {name: text_column(values) for name, values in texts.items()} | {
        "observed_at": pa.array([fare.observed_at for fare in fares], pa.int64()).cast(INSTANT),
        "departure_date": pa.array([fare.departure_date for fare in fares], pa.date32()),
        "return_date": pa.array([fare.return_date for fare in fares], pa.date32()),
        "price": pa.array([fare.price for fare in fares], pa.int64()),
    }


def market_of(*, round_trip: bool, od: str, cabin: str, currency: str, travellers: str) -> int:
    """The 64-bit market of one alert or fare; equals the columns that ``market_column`` makes."""
    market = text_hash(od)
    for text in (cabin, currency, travellers):
        market = mix_one(market, text_hash(text))
    return mix_one(market, int(round_trip))


def market_column(data: pa.RecordBatch) -> U64:
    """What an alert can be about, hashed: O&D, cabin, currency, travellers, trip type. One uint64 a row."""
    market = hash_coded(data.column("od"))
    for name in ("cabin", "currency", "travellers"):
        market = mix(market, hash_coded(data.column(name)))
    return mix(market, data.column("return_date").is_valid().to_numpy(zero_copy_only=False).astype(np.uint64))


def series_column(data: pa.RecordBatch, market: U64 | None = None) -> U64:
    """The finest thing whose price can change, hashed; one uint64 a row, its upper 16 bits those of the market.

    A flight is identified by its designators; where none are known by carrier and departure time together; where
    neither is known the series is the market's lowest fare of the date. The three kinds never share a series.
    ``market``: of the rows, if it is known already.
    """
    market = market_column(data) if market is None else market
    whole = mix(market, hash_ints(ints(data.column("departure_date"))))
    whole = mix(whole, hash_ints(ints(data.column("return_date"), null=-1)))
    whole = mix(whole, _flight_identity(data))
    for name in ("fare_brand", "source", "point_of_sale", "price_basis"):
        whole = mix(whole, hash_coded(data.column(name)))
    return (market >> _SERIES_BITS << _SERIES_BITS) | (whole >> np.uint64(64 - SERIES_BITS))


SERIES_BITS = 48
"""The lower bits of a series that are its own; those above are its market's."""

_SERIES_BITS = np.uint64(SERIES_BITS)


def _flight_identity(data: pa.RecordBatch) -> U64:
    flights = mix(hash_coded(data.column("outbound_flights")), hash_coded(data.column("return_flights")))
    clock = mix(hash_coded(data.column("carrier")), hash_coded(data.column("departure_time")))
    designated = data.column("outbound_flights").is_valid().to_numpy(zero_copy_only=False)
    timed = data.column("carrier").is_valid().to_numpy(zero_copy_only=False) & data.column(
        "departure_time"
    ).is_valid().to_numpy(zero_copy_only=False)
    return np.where(designated, flights, np.where(timed, clock, np.uint64(NULL_HASH)))


class FareRows:
    """Row access to fare columns, for candidates, explain and tests; decoding is paid once a batch."""

    def __init__(self, data: pa.RecordBatch) -> None:
        self._text = {
            name: TextView(data.column(name)) for name in FARE_SCHEMA.names if FARE_SCHEMA.field(name).type == TEXT
        }
        self._departure = ints(data.column("departure_date"))
        self._return = ints(data.column("return_date"), null=-1)
        self._observed = ints(data.column("observed_at"))
        self._price = ints(data.column("price"))

    def __getitem__(self, row: int) -> Fare:
        text = self._text
        origin, destination = (text["od"][row] or "-").split("-")
        adults, children, infants = split_travellers(text["travellers"][row])
        back = int(self._return[row])
        return Fare(
            origin=origin,
            destination=destination,
            departure_date=date_of(int(self._departure[row])),
            return_date=None if back < 0 else date_of(back),
            cabin=text["cabin"][row] or "",
            currency=text["currency"][row] or "",
            adults=adults,
            children=children,
            infants=infants,
            outbound_flights=split_flights(text["outbound_flights"][row]),
            return_flights=split_flights(text["return_flights"][row]),
            carrier=text["carrier"][row],
            departure_time=text["departure_time"][row],
            fare_brand=text["fare_brand"][row],
            source=text["source"][row] or "",
            point_of_sale=text["point_of_sale"][row],
            price_basis=text["price_basis"][row] or "",
            price=int(self._price[row]),
            observed_at=int(self._observed[row]),
        )


@dataclass(frozen=True)
class FareBatch(Batch):
    """Checked and normalised fare observations of one partition, in input order."""

    KIND: ClassVar[str] = "fare"
    SCHEMA: ClassVar[pa.Schema] = FARE_SCHEMA

    @cached_property
    def market(self) -> U64:
        """The market of each row."""
        return market_column(self.data)

    @cached_property
    def series(self) -> U64:
        """The series of each row."""
        return series_column(self.data, self.market)

    @classmethod
    def of_fares(cls, fares: Sequence[Fare], partition: int = 0) -> "FareBatch":
        """Fares made by hand as a batch; ingest makes them from documents."""
        return cls.of_columns(fare_columns(fares), partition)

    def rows(self) -> Iterator[Fare]:
        """The rows one by one. Not for hot paths."""
        view = FareRows(self.data)
        return (view[row] for row in range(len(self)))
