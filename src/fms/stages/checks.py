"""The rules of the fare document, applied to the columns of a block: what passes, in the form of fare batches.

The order of the calls in ``check`` is the order of ``document.REASONS``.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fms.model.batch import I64, INSTANT, ints
from fms.model.clock import DAY_MS, days_of, parse_date
from fms.model.fare import FARE_SCHEMA
from fms.model.money import MAX_MINOR
from fms.model.route import partition_of_od
from fms.stages import words
from fms.stages.amounts import parse_amounts
from fms.stages.coded import Coded, Mask, constant, text_array
from fms.stages.instants import parse_instants
from fms.stages.rows import Rows, Verdict

EARLIEST_DAYS, LATEST_DAYS = -1, 400
"""Departures are accepted from the day before the observation's UTC day to so many days after it."""

FUTURE_MS = 5 * 60 * 1000
"""How much an observation may be ahead of the clock."""

MOST_TRAVELLERS = 9

_REQUIRED = ("origin", "destination", "departure_date", "currency")


@dataclass(frozen=True)
class Defaults:
    """What stands for what a document does not say.

    Attributes:
        observed_at: UTC ms.
        latest: observations after this are in the future, UTC ms.
        source: the source's name.
    """

    observed_at: int
    latest: int
    source: str


@dataclass(frozen=True)
class Checked:
    """A block after the checks.

    Attributes:
        fares: every row in the columns of ``FARE_SCHEMA``; those of rejected rows mean nothing.
        partitions: of each row.
        why: the first reason against each row, a number in ``rows.REASON_NUMBERS``; 0: accepted.
    """

    fares: pa.RecordBatch
    partitions: npt.NDArray[np.uint8]
    why: npt.NDArray[np.uint8]


def check(table: pa.Table, defaults: Defaults) -> Checked:
    """Check the documents of a block; see ``document.Block`` for the columns."""
    verdict = Verdict(table.num_rows)
    rows = Rows(table, verdict)
    _check_present(rows)
    od, partitions = _od(rows)
    observed = _observed_at(rows, defaults)
    departure, back = _dates(rows, observed)
    round_trip = rows.present("return_date")
    _check_trip(rows, round_trip)
    columns = {
        "observed_at": pa.array(observed).cast(INSTANT),
        "od": od,
        "departure_date": _date_array(departure),
        "return_date": _date_array(back, null=~round_trip),
        **_product(rows, round_trip, defaults),
        "currency": rows.words("currency", words.currency),
        "price": pa.array(_price(rows)),
    }
    fares = pa.RecordBatch.from_arrays([columns[name] for name in FARE_SCHEMA.names], schema=FARE_SCHEMA)
    return Checked(fares, partitions, verdict.why)


def _check_present(rows: Rows) -> None:
    rows.fail("bad_schema_version", rows.integers("schema_version", 1, "bad_schema_version") != 1)
    for name in _REQUIRED:
        rows.fail(f"missing_{name}", ~rows.present(name))
    rows.fail("missing_price", ~(rows.present("total_amount_minor") | rows.present("total_amount")))


def _od(rows: Rows) -> tuple[pa.DictionaryArray, npt.NDArray[np.uint8]]:
    origin, destination = rows.coded("origin"), rows.coded("destination")
    bad_origin, bad_destination = ~origin.where(words.is_airport), ~destination.where(words.is_airport)
    rows.fail("bad_origin", bad_origin)
    rows.fail("bad_destination", bad_destination)
    width = len(destination.texts) + 1
    pairs = pa.array(origin.codes * width + destination.codes).dictionary_encode()
    codes = pairs.indices.to_numpy()
    starts, ends = np.divmod(pairs.dictionary.to_numpy(), width)
    # Codes that are bad or missing are written as they are: their rows go no further.
    a_texts, b_texts = [*origin.texts, ""], [*destination.texts, ""]
    texts = [f"{a_texts[a]}-{b_texts[b]}" for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    same = np.array([text[:3] == text[4:] for text in texts], bool)
    rows.fail("same_airports", same[codes] if texts else rows.nothing)
    partitions = np.array([_partition(text) for text in texts], np.uint8)
    return text_array(codes, texts), partitions[codes]


@lru_cache(maxsize=1 << 16)
def _partition(od: str) -> int:
    return partition_of_od(od) if od.isascii() else 0


def _observed_at(rows: Rows, defaults: Defaults) -> I64:
    column = rows.column("observed_at")
    if column is None:
        observed = np.full(rows.count, defaults.observed_at, np.int64)
    elif pa.types.is_timestamp(column.type):
        observed = ints(column, null=defaults.observed_at)
        rows.fail("bad_observed_at", observed < DAY_MS)
    else:
        coded = rows.coded("observed_at")
        observed, bad = parse_instants(coded)
        rows.fail("bad_observed_at", bad | (~coded.missing & (observed < DAY_MS)))
        observed = np.where(coded.missing, defaults.observed_at, observed)
    rows.fail("observed_in_future", observed > defaults.latest)
    return observed


@lru_cache(maxsize=1 << 14)
def _days(text: str) -> int:
    return days_of(parse_date(text))


def _dates(rows: Rows, observed: I64) -> tuple[I64, I64]:
    departure = rows.days("departure_date", "bad_departure_date", _days)
    ahead = departure - observed // DAY_MS
    rows.fail("departure_out_of_range", (ahead < EARLIEST_DAYS) | (ahead > LATEST_DAYS))
    back = rows.days("return_date", "bad_return_date", _days)
    rows.fail("return_before_departure", rows.present("return_date") & (back < departure))
    return departure, back


def _date_array(days: I64, null: Mask | None = None) -> pa.Array:
    return pa.array(days.astype(np.int32), pa.int32(), mask=null).view(pa.date32())


def _check_trip(rows: Rows, round_trip: Mask) -> None:
    trip = rows.coded("trip_type")
    rows.words("trip_type", words.trip_type)
    said_return = trip.where(lambda text: text == "round_trip")
    said_single = trip.where(lambda text: text == "one_way")
    rows.fail("trip_type_mismatch", (said_return & ~round_trip) | (said_single & round_trip))
    rows.fail("trip_type_mismatch", rows.present("return_flights") & ~round_trip)


def _product(rows: Rows, round_trip: Mask, defaults: Defaults) -> dict[str, pa.Array]:
    out, home = rows.flights("outbound_flights"), rows.flights("return_flights")
    rows.fail("bad_flights", rows.present("return_flights") & ~rows.present("outbound_flights"))
    return {
        "outbound_flights": out,
        "return_flights": home,
        "carrier": rows.words("carrier", words.carrier),
        "departure_time": rows.words("departure_time", words.departure_time),
        "cabin": rows.words("cabin", words.cabin, "economy"),
        "travellers": _travellers(rows),
        "fare_brand": rows.words("fare_brand", words.fare_brand),
        "source": rows.words("source", words.source, defaults.source),
        "point_of_sale": rows.words("point_of_sale", words.point_of_sale),
        "price_basis": _price_basis(rows, round_trip),
    }


def _travellers(rows: Rows) -> pa.DictionaryArray:
    if not any(rows.present(name).any() for name in ("adults", "children", "infants")):
        return constant("1-0-0", rows.count)
    adults = rows.integers("adults", 1, "bad_travellers")
    children = rows.integers("children", 0, "bad_travellers")
    infants = rows.integers("infants", 0, "bad_travellers")
    ranges = [(people < 0) | (people > MOST_TRAVELLERS) for people in (adults, children, infants)]
    seats = adults + children
    bad = np.logical_or.reduce([*ranges, seats < 1, seats > MOST_TRAVELLERS])
    rows.fail("bad_travellers", bad)
    mixes, codes = np.unique(np.where(bad, 100, adults * 100 + children * 10 + infants), return_inverse=True)
    return text_array(codes.astype(np.int32), ["-".join(f"{mix:03d}") for mix in mixes.tolist()])


def _price_basis(rows: Rows, round_trip: Mask) -> pa.DictionaryArray:
    rows.words("price_basis", words.price_basis)
    out, home = rows.present("outbound_flights"), rows.present("return_flights")
    timed = rows.present("carrier") & rows.present("departure_time") & ~round_trip
    itinerary = np.where(out, home | ~round_trip, timed)
    assumed = np.where(itinerary, 0, np.where(out, 1, 2))
    given, _ = rows.coded("price_basis").numbers(words.PRICE_BASES.index, null=-1)
    return text_array(np.where(given < 0, assumed, given).astype(np.int32), words.PRICE_BASES)


def _price(rows: Rows) -> I64:
    minor = rows.integers("total_amount_minor", 0, "bad_price")
    given = rows.present("total_amount_minor")
    rows.fail("price_not_positive", given & (minor < 1))
    rows.fail("price_out_of_range", given & (minor > MAX_MINOR))
    column = rows.column("total_amount")
    if column is None:
        return minor
    places = np.flatnonzero(rows.present("total_amount"))
    currency = rows.coded("currency")
    amounts = parse_amounts(_decoded(column).take(pa.array(places)), Coded(currency.codes[places], currency.texts))
    for reason in set(amounts.why.tolist()) - {""}:
        rows.fail(reason, _at(places[amounts.why == reason], rows.count))
    rows.fail("two_prices", _at(places[given[places] & (minor[places] != amounts.minor)], rows.count))
    price = minor.copy()
    price[places] = amounts.minor
    return price


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _at(places: I64, count: int) -> Mask:
    found = np.zeros(count, bool)
    found[places] = True
    return found
