"""Every criterion passes what it should and names itself when it does not."""

from datetime import date
from typing import Any

import pytest

from fms.model.alert import verdict
from tests.builders import criteria, fare

ROUND_TRIP = {"trip_type": "round_trip"}
BACK = {"return_date": date(2026, 12, 8), "return_flights": ("BA177",)}
UNKNOWN = {"outbound_flights": None, "price_basis": "market"}


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ({}, {}),
        ({"depart_from": date(2026, 12, 1), "depart_to": date(2026, 12, 1)}, {}),
        ({}, UNKNOWN),
        (ROUND_TRIP, BACK),
        (ROUND_TRIP | {"return_from": date(2026, 12, 8), "return_to": date(2026, 12, 8)}, BACK),
        (ROUND_TRIP | {"min_nights": 7, "max_nights": 7}, BACK),
        (ROUND_TRIP | {"min_nights": 7}, BACK),
        (ROUND_TRIP | {"max_nights": 7}, BACK),
        ({"max_stops": 0}, {}),
        ({"max_stops": 1}, {"outbound_flights": ("AA701", "AA380")}),
        (ROUND_TRIP | {"max_stops": 0}, BACK),
        ({"carriers_in": ("BA", "AA")}, {}),
        ({"carriers_in": ("BA", "AA")}, {"outbound_flights": ("AA701", "BA380")}),
        ({"carriers_out": ("FR",)}, {}),
        ({"carriers_in": ("FR",)}, UNKNOWN | {"carrier": "FR", "departure_time": "06:00"}),
        (ROUND_TRIP | {"carriers_in": ("BA",)}, BACK | {"return_flights": None, "carrier": "BA"}),
        ({"adults": 2, "infants": 1}, {"adults": 2, "infants": 1}),
        ({"cabin": "business"}, {"cabin": "business"}),
    ],
)
def test_a_fare_that_meets_every_criterion_is_wanted(asked: dict[str, Any], offered: dict[str, Any]) -> None:
    assert verdict(criteria(**asked), fare(**offered)) is None


@pytest.mark.parametrize(
    ("asked", "offered", "criterion"),
    [
        ({}, {"origin": "EWR"}, "route"),
        ({}, {"origin": "LHR", "destination": "JFK"}, "route"),
        ({}, BACK, "trip_type"),
        (ROUND_TRIP, {}, "trip_type"),
        ({}, {"cabin": "business"}, "cabin"),
        ({}, {"currency": "EUR"}, "currency"),
        ({}, {"adults": 2}, "travellers"),
        ({"children": 1}, {}, "travellers"),
        ({}, {"infants": 1}, "travellers"),
        ({}, {"departure_date": date(2026, 11, 30)}, "departure"),
        ({}, {"departure_date": date(2026, 12, 15)}, "departure"),
        (ROUND_TRIP | {"return_from": date(2026, 12, 9)}, BACK, "return"),
        (ROUND_TRIP | {"return_to": date(2026, 12, 7)}, BACK, "return"),
        (ROUND_TRIP | {"min_nights": 8}, BACK, "nights"),
        (ROUND_TRIP | {"max_nights": 6}, BACK, "nights"),
        (ROUND_TRIP | {"max_nights": 0}, BACK, "nights"),
        ({"max_stops": 0}, {"outbound_flights": ("AA701", "AA380")}, "stops"),
        ({"max_stops": 2}, UNKNOWN, "stops"),
        (ROUND_TRIP | {"max_stops": 0}, BACK | {"return_flights": ("BA1", "BA2")}, "stops"),
        (ROUND_TRIP | {"max_stops": 0}, BACK | {"return_flights": None}, "stops"),
        ({"carriers_in": ("AA",)}, {}, "carriers_in"),
        ({"carriers_in": ("BA",)}, {"outbound_flights": ("BA178", "AA380")}, "carriers_in"),
        ({"carriers_in": ("BA",)}, UNKNOWN, "carriers_in"),
        (ROUND_TRIP | {"carriers_in": ("BA",)}, BACK | {"return_flights": ("AA1",)}, "carriers_in"),
        ({"carriers_out": ("BA",)}, {}, "carriers_out"),
        ({"carriers_out": ("FR",)}, UNKNOWN, "carriers_out"),
        ({"carriers_out": ("FR",)}, UNKNOWN | {"carrier": "FR", "departure_time": "06:00"}, "carriers_out"),
        (ROUND_TRIP | {"carriers_out": ("AA",)}, BACK | {"return_flights": ("AA1",)}, "carriers_out"),
    ],
)
def test_the_first_criterion_that_fails_is_named(
    asked: dict[str, Any], offered: dict[str, Any], criterion: str
) -> None:
    unmet = verdict(criteria(**asked), fare(**offered))
    assert unmet is not None
    assert unmet.criterion == criterion
    assert unmet.why


def test_of_several_failures_the_earlier_in_order_is_named() -> None:
    offered = fare(cabin="first", currency="EUR", adults=3, departure_date=date(2027, 1, 1), outbound_flights=None)
    order = []
    asked = criteria(max_stops=0, carriers_in=("BA",))
    repairs: list[dict[str, Any]] = [
        {"cabin": "economy"}, {"currency": "USD"}, {"adults": 1}, {"departure_date": date(2026, 12, 1)},
        {"outbound_flights": ("AA1",)}, {"outbound_flights": ("BA1",)},
    ]  # fmt: skip
    from dataclasses import replace

    for repair in repairs:
        unmet = verdict(asked, offered)
        assert unmet is not None
        order.append(unmet.criterion)
        offered = replace(offered, **repair)
    assert order == ["cabin", "currency", "travellers", "departure", "stops", "carriers_in"]
    assert verdict(asked, offered) is None
