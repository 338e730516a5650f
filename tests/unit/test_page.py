"""Pages and descriptions as bytes."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fms.errors import Fatal, Invalid
from fms.model.clock import days_of
from fms.model.description import (
    fares_of,
    first_description,
    frame_of,
    line_count,
    lines_of,
    products_of,
    with_frame,
)
from fms.model.fare import PRODUCT_COLUMNS, Fare, FareBatch
from fms.model.page import Entries, decode_pages, encode_pages, newest_of, page_key, split_key, stamps_of

DAY = date(2026, 12, 1)
ENTRY = st.tuples(
    st.integers(0, 2**64 - 1), st.integers(1, 10**13), st.integers(-(10**13), 10**13), st.integers(0, 32_767),
    st.booleans(),
)  # fmt: skip


Row = tuple[int, int, int, int, bool]


def entries_of(rows: list[Row]) -> Entries:
    columns = zip(*rows, strict=True) if rows else ([], [], [], [], [])
    kinds = (np.uint64, np.int64, np.int64, np.int64, np.bool_)
    return Entries(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.lists(ENTRY, max_size=4)), max_size=4))
def test_pages_read_back_as_they_were_written(stamped: list[tuple[int, list[Row]]]) -> None:
    stamps, pages = [stamp for stamp, _ in stamped], [page for _, page in stamped]
    entries = entries_of([row for page in pages for row in page])
    raw = encode_pages(entries, map(len, pages), stamps)
    back, counts = decode_pages([f"A-B:{n}" for n in range(len(pages))], raw)
    assert counts.tolist() == [len(page) for page in pages]
    assert stamps_of(raw).tolist() == stamps
    for name in ("series", "price", "seen", "believe", "doubt"):
        assert getattr(back, name).tolist() == getattr(entries, name).tolist()


@pytest.mark.parametrize("doubt", [False, True])
def test_a_page_is_a_format_byte_a_stamp_and_24_bytes_an_entry(doubt: bool) -> None:
    (page,) = encode_pages(entries_of([(2**64 - 1, 12_345, 1_000, 3, doubt)]), [1], [0x01020304])
    seen = 1_000 | 3 << 48 | doubt << 63
    head = b"\x02\x04\x03\x02\x01"
    assert page == head + b"\xff" * 8 + (12_345).to_bytes(8, "little") + seen.to_bytes(8, "little")


def test_a_page_of_an_unknown_format_is_refused_by_its_key() -> None:
    (page,) = encode_pages(entries_of([(1, 2, 3, 4, False)]), [1], [0])
    with pytest.raises(Fatal, match="page A-B:2 of the price book has a format"):
        decode_pages(["A-B:1", "A-B:2"], [page, b"\x01" + page[1:]])


@pytest.mark.parametrize("damage", [lambda page: page[:-1], lambda page: page + b"x", lambda _: b""])
def test_a_page_of_a_wrong_length_is_refused_by_its_key(damage: Callable[[bytes], bytes]) -> None:
    (page,) = encode_pages(entries_of([(1, 2, 3, 4, False)]), [1], [0])
    with pytest.raises(Fatal, match="page A-B:2 of the price book"):
        decode_pages(["A-B:1", "A-B:2"], [page, damage(page)])


def test_the_newest_observation_is_that_of_each_page() -> None:
    entries = entries_of([(1, 9, 100, 3, False), (2, 9, 300, 3, False), (1, 9, 200, 3, False)])
    assert newest_of(entries, np.array([2, 0, 1])).tolist() == [300, np.iinfo(np.int64).min, 200]


def test_a_key_names_route_and_date() -> None:
    assert page_key("JFK-LHR", days_of(DAY)) == "JFK-LHR:2026-12-01"
    assert split_key("JFK-LHR:2026-12-01") == ("JFK-LHR", DAY)
    with pytest.raises(Invalid):
        split_key("JFK-LHR:2026-02-31")


def fare(**given: object) -> Fare:
    usual: dict[str, object] = {
        "origin": "JFK", "destination": "LHR", "departure_date": DAY, "return_date": None, "cabin": "economy",
        "currency": "USD", "adults": 1, "children": 0, "infants": 0, "outbound_flights": ("BA178",),
        "return_flights": None, "carrier": None, "departure_time": None, "fare_brand": None, "source": "test",
        "point_of_sale": None, "price_basis": "itinerary", "price": 0, "observed_at": 0,
    }  # fmt: skip
    return Fare(**(usual | given))  # type: ignore[arg-type]


WORDS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.text("\\\t\n\re", max_size=4)


@given(st.lists(st.builds(
    fare, return_date=st.none() | st.dates(DAY), fare_brand=WORDS, carrier=WORDS, departure_time=WORDS,
    point_of_sale=WORDS, source=st.sampled_from(["one", "two"]), outbound_flights=st.sampled_from([None, ("BA1",)]),
), min_size=1, max_size=6))  # fmt: skip
def test_products_read_back_whatever_their_texts_hold(fares: list[Fare]) -> None:
    batch = FareBatch.of_fares(fares)
    products = products_of(batch.data, np.arange(len(batch)))
    description = first_description(len(products.lines), frame_of(products.lines))
    lines = [lines_of(description)[place] for place in products.places.tolist()]
    back = fares_of(lines, ["JFK-LHR"] * len(lines), np.full(len(lines), days_of(DAY)))
    assert list(back.rows()) == fares
    assert back.series.tolist() == batch.series.tolist()


def test_equal_products_share_a_line() -> None:
    batch = FareBatch.of_fares([fare(price=1), fare(price=2), fare(fare_brand="flex")])
    products = products_of(batch.data, np.array([0, 1, 2]))
    assert len(products.lines) == 2
    assert products.places[0] == products.places[1] != products.places[2]
    assert len(products.lines[0].split("\t")) == len(PRODUCT_COLUMNS)


def test_products_of_very_many_different_texts_are_told_apart() -> None:
    names = [f"x{n}" for n in range(600)]
    flights = [(f"BA{n + 1}",) for n in range(600)]
    fares = [
        fare(cabin=n, currency=n, fare_brand=n, source=n, point_of_sale=n, price_basis=n, carrier=n, outbound_flights=f)
        for n, f in zip(names, flights, strict=True)
    ]
    products = products_of(FareBatch.of_fares(fares).data, np.arange(600))
    assert sorted(products.places.tolist()) == list(range(600))
    assert len(set(products.lines)) == 600


def test_a_description_grows_by_frames() -> None:
    description = with_frame(first_description(2, frame_of(["a", "b"])), 1, frame_of(["c"]))
    assert line_count(description) == 3
    assert lines_of(description) == ["a", "b", "c"]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda d: b"\x07" + d[1:], lambda d: d[:-1], lambda d: d + b"\0"])
def test_a_damaged_description_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Fatal, match="description"):
        lines_of(damage(first_description(2, frame_of(["a", "b"]))))


def test_a_line_of_too_few_fields_is_refused() -> None:
    with pytest.raises(Fatal, match="damaged"):
        fares_of(["a\tb"], ["JFK-LHR"], np.array([0]))
