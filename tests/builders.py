"""Fares, changes and alerts made by hand, with only what a test is about."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from fms.model.alert import Alert, Criteria
from fms.model.change import FELL, Change, ChangeBatch
from fms.model.clock import HOUR_MS, days_of
from fms.model.fare import Fare, FareBatch
from fms.model.ids import IdMint
from fms.model.route import slot_of_od, slot_of_user

MONDAY = days_of(date(2026, 11, 2)) * 24 * HOUR_MS
"""Midnight UTC of a Monday, in ms."""

FARE = Fare(
    origin="JFK",
    destination="LHR",
    departure_date=date(2026, 12, 1),
    return_date=None,
    cabin="economy",
    currency="USD",
    adults=1,
    children=0,
    infants=0,
    outbound_flights=("BA178",),
    return_flights=None,
    carrier=None,
    departure_time=None,
    fare_brand=None,
    source="default",
    point_of_sale=None,
    price_basis="itinerary",
    price=40_000,
    observed_at=MONDAY,
)

CRITERIA = Criteria(
    origin="JFK",
    destination="LHR",
    depart_from=date(2026, 12, 1),
    depart_to=date(2026, 12, 14),
    currency="USD",
)

MINT = IdMint()


def fare(**changes: Any) -> Fare:
    """JFK-LHR on 1 December, BA178, 400 USD, seen Monday at midnight; with changes."""
    return replace(FARE, **changes)


def criteria(**changes: Any) -> Criteria:
    """JFK-LHR from 1 to 14 December in USD; with changes."""
    return replace(CRITERIA, **changes)


def series_of(one: Fare) -> int:
    """The series of a fare."""
    return int(FareBatch.of_fares([one]).series[0])


def change(kind: int = FELL, old_price: int | None = None, **changes: Any) -> Change:
    """A change of ``fare(**changes)``."""
    one = fare(**changes)
    series = series_of(one)
    return Change(kind, series, hash((series, one.observed_at, one.price)) & (2**64 - 1), old_price, one)


def alert(kind: str = "target", amount: int = 40_000, user_id: UUID | None = None, **changes: Any) -> Alert:
    """An alert of ``me@example.org``, with ``criteria()`` unless others are given; not evaluated."""
    want: Criteria = changes.pop("criteria", CRITERIA)
    made = Alert(
        id=MINT.new(slot_of_od(want.od)),
        user_id=user_id or MINT.new(slot_of_user("me@example.org")),
        user="me@example.org",
        ref="mine",
        kind=kind,
        amount=amount,
        criteria=want,
    )
    return replace(made, **changes)


def change_batch(changes: list[Change]) -> ChangeBatch:
    """Changes as a batch, in the order given; market and series as diff would make them."""
    import pyarrow as pa

    from fms.model.fare import fare_columns, market_column

    fares = FareBatch.of_fares([one.fare for one in changes])
    columns = fare_columns([one.fare for one in changes]) | {
        "kind": pa.array([one.kind for one in changes], pa.uint8()),
        "series": pa.array([one.series for one in changes], pa.uint64()),
        "change_id": pa.array([one.id for one in changes], pa.uint64()),
        "market": pa.array(market_column(fares.data)),
        "old_price": pa.array([one.old_price for one in changes], pa.int64()),
    }
    return ChangeBatch.of_columns(columns)
