"""CSV through a mapping."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fms.errors import Invalid
from fms.model.clock import format_instant
from fms.sources.csv import CsvFile
from fms.sources.lines import Input
from fms.sources.mapping import Mapping, parse_mapping, read_mapping
from tests.unit.ingest_tools import Outcome, ingest_bytes

HOME = Path(__file__).parents[2]
RYANAIR = HOME.parent / "shared" / "data" / "ryanair_stn_bgy_2026.csv.gz"

HEADER = "seen,from,to,day,flights,price,note\n"
ROW = "2026-11-02T06:00:00Z,JFK,LHR,2026-12-01,BA112,380.00,x\n"


def mapping(**changes: Any) -> Mapping:
    """A mapping of ``HEADER``."""
    columns = {
        "observed_at": "seen", "origin": "from", "destination": "to", "departure_date": "day",
        "outbound_flights": "flights", "total_amount": "price", "fare_brand": "note",
    }  # fmt: skip
    document = {"name": "shop", "columns": columns, "constants": {"currency": "USD"}}
    document["columns"] = columns | changes.pop("columns", {})
    return parse_mapping(document | changes)


def ingest_csv(directory: Path, text: str | bytes, used: Mapping | None = None, name: str = "x.csv") -> Outcome:
    """Ingest a CSV file."""
    data = text if isinstance(text, bytes) else text.encode()
    return ingest_bytes(directory, data, name, mapping=used or mapping())


def test_a_row_becomes_a_fare(tmp_path: Path) -> None:
    (fare,) = ingest_csv(tmp_path, HEADER + ROW).fares

    assert (fare.origin, fare.destination, fare.price, fare.currency) == ("JFK", "LHR", 38000, "USD")
    assert (fare.outbound_flights, fare.source, fare.fare_brand) == (("BA112",), "shop", "x")


@pytest.mark.parametrize(
    ("written", "flights"),
    [("AA701+AA380", ("AA701", "AA380")), ("AA 701, AA 380", ("AA701", "AA380")), ("AA701 AA380", ("AA701", "AA380")),
     ("VY 7825", ("VY7825",)), ("", None)],
)  # fmt: skip
def test_flights_are_written_in_many_ways(tmp_path: Path, written: str, flights: tuple[str, ...] | None) -> None:
    (fare,) = ingest_csv(tmp_path, HEADER + ROW.replace("BA112", f'"{written}"')).fares

    assert fare.outbound_flights == flights


def test_symbols_are_stripped_times_split_and_zones_added(tmp_path: Path) -> None:
    columns = {
        "total_amount": {"column": "price", "strip": "£ "},
        "observed_at": {"column": "seen", "zone": "Europe/Rome"},
        "departure_date": {"column": "day", "split": "T", "part": 1},
        "departure_time": {"column": "day", "split": "T", "part": 2},
    }
    rows = ["2026-11-02T07:00:00,JFK,LHR,2026-12-01T07:30,,£ 71 . 10,", "2026-11-02 07:00,JFK,LHR,2026-12-01,,£5,",
            "2026-11-02T07:00:00-05:00,JFK,LHR,2026-12-01,,£5,", "2026-11-02,JFK,LHR,2026-12-01,,£5,"]  # fmt: skip
    outcome = ingest_csv(tmp_path, HEADER + "\n".join(rows), mapping(columns=columns))

    seen = [format_instant(fare.observed_at)[:16] for fare in outcome.fares]

    assert [fare.price for fare in outcome.fares] == [7110, 500, 500]
    assert seen == ["2026-11-02T06:00", "2026-11-02T06:00", "2026-11-02T12:00"]
    assert [fare.departure_time for fare in outcome.fares] == ["07:30", None, None]
    assert outcome.reasons == [(5, "bad_observed_at")]


def test_constants_may_be_texts_integers_and_lists(tmp_path: Path) -> None:
    columns = {"origin": "from", "destination": "to", "departure_date": "day", "total_amount": "price"}
    constants = {"currency": "USD", "adults": 2, "outbound_flights": ["BA1", "BA2"], "source": "other"}
    used = parse_mapping({"name": "shop", "columns": columns, "constants": constants})
    (fare,) = ingest_csv(tmp_path, HEADER + ROW, used).fares

    assert (fare.adults, fare.outbound_flights, fare.source) == (2, ("BA1", "BA2"), "other")


def test_integer_fields_are_read_from_text(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"adults": "note"}
    used = mapping(columns=columns)
    del used.columns["fare_brand"]
    rows = [ROW.replace(",x\n", f",{adults}\n") for adults in ("2", "", "two", "99999999999999999999")]
    outcome = ingest_csv(tmp_path, HEADER + "".join(rows), used)

    assert [fare.adults for fare in outcome.fares] == [2, 1]
    assert outcome.reasons == [(4, "bad_travellers"), (5, "bad_travellers")]


def test_malformed_rows_are_told_by_their_physical_line(tmp_path: Path) -> None:
    text = (
        "\ufeff\n"
        + HEADER
        + ROW
        + "\n  \n"
        + "one,two\n"
        + ROW.replace("x\n", '"two\nlines"\n')
        + ROW.replace("x", "x,y")
    )
    outcome = ingest_csv(tmp_path, (text + ROW.replace("JFK", "jfk")).replace("\n", "\r\n"))

    assert outcome.reasons == [(6, "wrong_columns"), (7, "bad_fare_brand"), (9, "wrong_columns"), (10, "bad_origin")]
    assert outcome.rejects[0].raw == "one,two"
    assert len(outcome.fares) == 1


def test_quoted_cells_may_hold_delimiters_and_quotes(tmp_path: Path) -> None:
    (fare,) = ingest_csv(tmp_path, HEADER + ROW.replace(",x\n", ',"a, ""b"""\n')).fares

    assert fare.fare_brand == 'a, "b"'


def test_a_quote_that_is_never_closed_costs_its_line(tmp_path: Path) -> None:
    outcome = ingest_csv(tmp_path, HEADER + ROW * 2 + ROW.replace(",x", ',"x') + ROW * 3)

    assert outcome.reasons == [(4, "wrong_columns")]
    assert len(outcome.fares) == 5


def test_quotes_within_a_cell_do_not_hurt_the_neighbours(tmp_path: Path) -> None:
    outcome = ingest_csv(
        tmp_path, HEADER + ROW + ROW.replace(",x", ',5" b" x') + ROW + ROW.replace(",x", ',"x"y') + ROW
    )

    assert len(outcome.fares) + len(outcome.rejects) == 5
    assert len(outcome.fares) >= 3


def test_text_that_is_not_utf8_costs_its_row(tmp_path: Path) -> None:
    outcome = ingest_csv(tmp_path, (HEADER + ROW + ROW.replace("x", "é") + ROW).encode("latin-1"))

    assert outcome.reasons == [(3, "not_utf8")]
    assert len(outcome.fares) == 2


def test_a_line_that_is_too_long_costs_only_itself(tmp_path: Path) -> None:
    outcome = ingest_csv(tmp_path, HEADER + ROW + "x" * 2_000_000 + "\n" + ROW)

    assert outcome.reasons == [(3, "line_too_long")]
    assert len(outcome.fares) == 2


def test_other_delimiters_and_gzip_are_read(tmp_path: Path) -> None:
    text = (HEADER + ROW).replace(",", ";")
    outcome = ingest_csv(tmp_path, text, mapping(delimiter=";"), name="x.csv.gz")

    assert len(outcome.fares) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "no CSV header"), ("\n\n", "no CSV header"), ("a,b\n", "no column called 'seen'"),
     (b"\xff\n", "no CSV header"),
     (HEADER.strip() + ",seen\n", "2 column"), ('"a\n', "no CSV header")],
)  # fmt: skip
def test_a_file_without_the_mapped_columns_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(Invalid, match=rf"x\.csv: .*{message}"):
        ingest_csv(tmp_path, text)


CELLS = st.text(alphabet='a,"\n\r é', max_size=4)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=12)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.integers(1, 60))
def test_what_was_written_as_csv_is_read_with_every_row_in_its_line(rows: list[list[str]], block_bytes: int) -> None:
    lines, expected, number = ["seen,from"], [], 2
    for row in rows:
        text = ",".join('"' + cell.replace('"', '""') + '"' for cell in row)
        expected.append((number, [cell or None for cell in row]))
        lines.append(text)
        number += text.count("\n") + 1
    used = Mapping("shop", {name: mapping().columns[name] for name in ("observed_at", "origin")}, {})

    assert read_all("\n".join(lines).encode(), used, block_bytes) == expected


def read_all(data: bytes, used: Mapping, block_bytes: int) -> list[tuple[int, list[str | None]]]:
    """Line and cells of every row."""

    found = []
    for block in CsvFile(Input("x", lambda: io.BytesIO(data)), used, block_bytes).blocks():
        assert list(block.rejects) == []
        for number, row in zip(block.numbers.tolist(), block.columns.to_pylist(), strict=True):
            found.append((number, [row["observed_at"], row["origin"]]))
    return found


@pytest.mark.skipif(not RYANAIR.exists(), reason="needs ../shared/data/ryanair_stn_bgy_2026.csv.gz")
def test_the_observations_of_a_real_route_are_read() -> None:
    used = read_mapping(HOME / "examples" / "ryanair.toml")
    outcome = Outcome(RYANAIR, used, observed_at=0)
    counts = outcome.ingest.counts

    assert counts.documents == 41_030
    assert counts.rejected_by_reason == {"missing_price": 38, "departure_out_of_range": 230}
    assert {fare.od for fare in outcome.fares} == {"STN-BGY", "BGY-STN"}
    assert {fare.source for fare in outcome.fares} == {"ryanair"}
    times = {(fare.od, fare.departure_date, fare.departure_time) for fare in outcome.fares if fare.departure_time}
    assert len(times) == 114
    # The prices with blanks are good prices, but all of flights that had left a fortnight before.
    blanks = [reject.reason for reject in outcome.rejects if " . " in reject.raw]
    assert blanks == ["departure_out_of_range"] * 16
    assert used.columns["total_amount"].change("£ 71 . 10") == "71.10"
