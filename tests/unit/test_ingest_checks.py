"""Each rule of the fare document, and the defaults."""

from pathlib import Path
from typing import Any

import pytest

from fms.model.document import REASONS
from fms.model.fare import FARE_SCHEMA
from tests.unit.ingest_tools import NOW, ingest_lines, line, one_fare, why_not

ROUND = {"return_date": "2026-12-08"}

BAD: list[tuple[str, dict[str, Any]]] = [
    ("bad_schema_version", {"schema_version": 2}),
    ("wrong_type", {"schema_version": "1"}),
    ("missing_origin", {"origin": None}),
    ("missing_destination", {"destination": None}),
    ("missing_departure_date", {"departure_date": None}),
    ("missing_currency", {"currency": None}),
    ("missing_price", {"total_amount_minor": None}),
    ("bad_origin", {"origin": "jfk"}),
    ("bad_origin", {"origin": ""}),
    ("bad_origin", {"origin": "ÄÖÜ"}),
    ("bad_origin", {"origin": "JFK\n"}),
    ("bad_destination", {"destination": "LON1"}),
    ("same_airports", {"destination": "JFK"}),
    ("bad_observed_at", {"observed_at": "2026-11-02 06:00:00"}),
    ("bad_observed_at", {"observed_at": "2026-11-02T06:00:00"}),
    ("bad_observed_at", {"observed_at": "2026-02-30T06:00:00Z"}),
    ("bad_observed_at", {"observed_at": "0001-01-01T00:00:00Z"}),
    ("observed_in_future", {"observed_at": "2026-11-02T12:05:00.001Z"}),
    ("bad_departure_date", {"departure_date": "2027-02-31"}),
    ("bad_departure_date", {"departure_date": "1/12/2026"}),
    ("departure_out_of_range", {"departure_date": "2026-10-31"}),
    ("departure_out_of_range", {"departure_date": "2027-12-08"}),
    ("bad_return_date", {"return_date": "soon"}),
    ("return_before_departure", {"return_date": "2026-11-30"}),
    ("bad_trip_type", {"trip_type": "multi_city"}),
    ("trip_type_mismatch", {"trip_type": "one_way", **ROUND}),
    ("trip_type_mismatch", {"trip_type": "round_trip"}),
    ("trip_type_mismatch", {"outbound_flights": ["BA1"], "return_flights": ["BA2"]}),
    ("bad_flights", {"return_flights": ["BA2"], **ROUND}),
    ("bad_flights", {"outbound_flights": []}),
    ("bad_flights", {"outbound_flights": ["BA1", None]}),
    ("bad_flights", {"outbound_flights": ["6.00E-218"]}),
    ("bad_flights", {"outbound_flights": ["BA1+BA2"]}),
    ("bad_flights", {"outbound_flights": ["BA1\x1fBA2"]}),
    ("bad_flights", {"outbound_flights": ["BA1\x1fBA2", "BA3"]}),
    ("bad_flights", {"outbound_flights": [f"BA{n}" for n in range(1, 11)]}),
    ("bad_flights", {"outbound_flights": ["12345"]}),
    ("wrong_type", {"outbound_flights": "BA1"}),
    ("bad_carrier", {"carrier": "ba"}),
    ("bad_carrier", {"carrier": "123"}),
    ("bad_departure_time", {"departure_time": "24:00"}),
    ("bad_departure_time", {"departure_time": "7:30"}),
    ("bad_cabin", {"cabin": "Economy"}),
    ("bad_travellers", {"adults": 0}),
    ("bad_travellers", {"adults": 9, "children": 1}),
    ("bad_travellers", {"adults": -1, "children": 3}),
    ("bad_travellers", {"infants": 10}),
    ("bad_travellers", {"adults": 2**70}),
    ("wrong_type", {"adults": 1.0}),
    ("wrong_type", {"adults": True}),
    ("bad_fare_brand", {"fare_brand": "x" * 65}),
    ("bad_fare_brand", {"fare_brand": "a\u0000b"}),
    ("bad_source", {"source": "Sabre"}),
    ("bad_source", {"source": "x"}),
    ("bad_point_of_sale", {"point_of_sale": "gb"}),
    ("bad_price_basis", {"price_basis": "guess"}),
    ("bad_currency", {"currency": "usd"}),
    ("bad_currency", {"currency": "XXX"}),
    ("price_not_positive", {"total_amount_minor": 0}),
    ("price_not_positive", {"total_amount_minor": -5}),
    ("price_out_of_range", {"total_amount_minor": 10**13 + 1}),
    ("price_out_of_range", {"total_amount_minor": 10**30}),
    ("wrong_type", {"total_amount_minor": "380"}),
    ("wrong_type", {"total_amount_minor": None, "total_amount": 380.5}),
    ("bad_price", {"total_amount_minor": None, "total_amount": "£ 71 . 10"}),
    ("bad_price", {"total_amount_minor": None, "total_amount": "1e3"}),
    ("bad_price", {"total_amount_minor": None, "total_amount": ""}),
    ("price_not_positive", {"total_amount_minor": None, "total_amount": "-1.50"}),
    ("price_not_positive", {"total_amount_minor": None, "total_amount": "0.000"}),
    ("too_many_decimals", {"total_amount_minor": None, "total_amount": "12345.5", "currency": "JPY"}),
    ("price_out_of_range", {"total_amount_minor": None, "total_amount": "9" * 20}),
    ("two_prices", {"total_amount": "380.01"}),
]


@pytest.mark.parametrize(("reason", "fields"), BAD, ids=[f"{reason}-{n}" for n, (reason, _) in enumerate(BAD)])
def test_a_document_that_breaks_a_rule_is_rejected_with_the_reason(
    tmp_path: Path, reason: str, fields: dict[str, Any]
) -> None:
    assert why_not(tmp_path, **fields) == reason


def test_all_broken_documents_of_one_block_get_the_same_reasons_as_alone(tmp_path: Path) -> None:
    outcome = ingest_lines(tmp_path, [text for _, fields in BAD for text in (line(), line(**fields))])

    assert outcome.reasons == [(2 * n, reason) for n, (reason, _) in enumerate(BAD, 1)]
    assert len(outcome.fares) == len(BAD)


def test_the_first_reason_in_the_order_of_the_table_counts(tmp_path: Path) -> None:
    for field, reason in (("origin", "missing_origin"), ("currency", "missing_currency")):
        assert why_not(tmp_path, **{field: None}, cabin="x", total_amount_minor=0) == reason
    assert why_not(tmp_path, origin="x", cabin="x", currency="x", total_amount_minor=0) == "bad_origin"
    assert why_not(tmp_path, cabin="x", currency="x", total_amount_minor=0) == "bad_cabin"
    assert why_not(tmp_path, currency="x", total_amount_minor=0) == "bad_currency"


def test_every_reason_that_ingest_gives_is_explained() -> None:
    assert {reason for reason, _ in BAD} <= set(REASONS)


def test_what_a_document_does_not_say_has_a_default(tmp_path: Path) -> None:
    fare = one_fare(tmp_path, observed_at=None)

    assert (fare.observed_at, fare.source, fare.cabin, fare.price_basis) == (NOW, "default", "economy", "market")
    assert (fare.adults, fare.children, fare.infants, fare.trip_type) == (1, 0, 0, "one_way")
    assert (fare.outbound_flights, fare.carrier, fare.fare_brand, fare.point_of_sale) == (None, None, None, None)


def test_the_time_of_the_run_can_be_given(tmp_path: Path) -> None:
    outcome = ingest_lines(tmp_path, [line(observed_at=None)], observed_at=NOW - 5, default_source="mine")

    assert [(fare.observed_at, fare.source) for fare in outcome.fares] == [(NOW - 5, "mine")]
    assert outcome.ingest.counts.newest == NOW - 5


@pytest.mark.parametrize(
    ("fields", "basis"),
    [
        ({"outbound_flights": ["BA1"]}, "itinerary"),
        ({"outbound_flights": ["BA1"], **ROUND}, "from"),
        ({"outbound_flights": ["BA1"], "return_flights": ["BA2"], **ROUND}, "itinerary"),
        ({"carrier": "BA", "departure_time": "07:30"}, "itinerary"),
        ({"carrier": "BA", "departure_time": "07:30", **ROUND}, "market"),
        ({"carrier": "BA"}, "market"),
        ({"carrier": "BA", "price_basis": "from"}, "from"),
    ],
)
def test_the_price_basis_follows_from_what_is_known(tmp_path: Path, fields: dict[str, Any], basis: str) -> None:
    assert one_fare(tmp_path, **fields).price_basis == basis


@pytest.mark.parametrize(
    ("written", "normal"),
    [("6E-0218", "6E218"), ("vy 7825", "VY7825"), ("AA0001a", "AA1A"), ("RYR 12", "FR12"), ("U2 123", "U2123")],
)
def test_flight_designators_are_brought_into_normal_form(tmp_path: Path, written: str, normal: str) -> None:
    assert one_fare(tmp_path, outbound_flights=[written]).outbound_flights == (normal,)


def test_texts_are_brought_into_normal_form(tmp_path: Path) -> None:
    fare = one_fare(tmp_path, point_of_sale="UK", fare_brand="  Basic ECONOMY ", outbound_flights=["AA701", "aa 380"])

    assert (fare.point_of_sale, fare.fare_brand) == ("GB", "basic economy")
    assert fare.outbound_flights == ("AA701", "AA380")
    assert one_fare(tmp_path, fare_brand="  ").fare_brand is None


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("171.10", "USD", 17110), ("12345", "JPY", 12345), ("12345.00", "JPY", 12345), ("45.250", "KWD", 45250),
     ("007.5", "EUR", 750), ("1.2345", "CLF", 12345)],
)  # fmt: skip
def test_decimal_amounts_become_minor_units(tmp_path: Path, amount: str, currency: str, minor: int) -> None:
    assert one_fare(tmp_path, total_amount=amount, currency=currency, total_amount_minor=None).price == minor


def test_two_prices_that_agree_are_one(tmp_path: Path) -> None:
    assert one_fare(tmp_path, total_amount="380.00").price == 38000


def test_the_edges_of_every_range_are_accepted(tmp_path: Path) -> None:
    edges: list[dict[str, Any]] = [
        {"departure_date": "2026-11-01"}, {"departure_date": "2027-12-07"}, {"return_date": "2026-12-01"},
        {"observed_at": "2026-11-02T12:05:00Z"}, {"total_amount_minor": 1}, {"total_amount_minor": 10**13},
        {"adults": 0, "children": 1}, {"adults": 9, "infants": 9}, {"fare_brand": "x" * 64},
        {"outbound_flights": [f"BA{n}" for n in range(1, 10)]}, {"schema_version": 1}, {"departure_time": "00:00"},
    ]  # fmt: skip
    outcome = ingest_lines(tmp_path, [line(**edge) for edge in edges])

    assert outcome.reasons == []
    assert len(outcome.fares) == len(edges)


def test_fields_that_nobody_knows_are_ignored(tmp_path: Path) -> None:
    fare = one_fare(tmp_path, seats_remaining=3, booking_class="Y", expires_at=7, colour={"a": [1, {"b": None}]})

    assert fare.price == 38000


def test_batches_have_exactly_the_schema_and_small_dictionaries(tmp_path: Path) -> None:
    codes = [f"{a}{b}A" for a in "ABCDEFGH" for b in "ABCDEFGH"]
    outcome = ingest_lines(tmp_path, [line(origin=code, destination="ZZZ") for code in codes])

    assert sum(len(batch) for batch in outcome.batches) == len(codes)
    for batch in outcome.batches:
        assert batch.data.schema.equals(FARE_SCHEMA)
        batch.data.validate(full=True)
        assert sorted(set(batch.column("od").to_pylist())) == sorted(batch.column("od").dictionary.to_pylist())
