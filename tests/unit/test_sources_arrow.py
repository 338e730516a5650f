"""Parquet and Arrow files of other people, and how a file is told from another."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fms.errors import Invalid
from fms.model.batch import write_batches
from fms.model.fare import FareBatch
from fms.sources.open import open_source
from tests.unit.ingest_tools import NOW, Outcome, ingest_bytes, line

Write = Callable[[pa.Table, Path], None]


def write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, row_group_size=2)


def write_stream(table: pa.Table, path: Path) -> None:
    with path.open("wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def write_file(table: pa.Table, path: Path) -> None:
    with path.open("wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


KINDS = pytest.mark.parametrize("write", [write_parquet, write_stream, write_file])


def fares(**columns: Any) -> pa.Table:
    """Three documents in plain columns, some replaced."""
    plain: dict[str, Any] = {
        "origin": ["JFK", "jfk", "JFK"], "destination": ["LHR"] * 3, "departure_date": ["2026-12-01"] * 3,
        "currency": ["USD"] * 3, "total_amount_minor": pa.array([1, 2, 3], pa.int32()), "other": [1.5, None, 2.5],
    }  # fmt: skip
    return pa.table({name: column for name, column in {**plain, **columns}.items() if column is not None})


@KINDS
def test_plain_columns_are_read(tmp_path: Path, write: Write) -> None:
    write(fares(), tmp_path / "x")
    outcome = Outcome(tmp_path / "x")

    assert [fare.price for fare in outcome.fares] == [1, 3]
    assert outcome.reasons == [(2, "bad_origin")]
    assert '"origin": "jfk"' in outcome.rejects[0].raw
    assert outcome.rejects[0].source == str(tmp_path / "x")


@KINDS
def test_typed_columns_are_read(tmp_path: Path, write: Write) -> None:
    moment = datetime(2026, 11, 2, 6, 0, 0, 123_456, tzinfo=UTC)
    table = fares(
        origin=pa.array(["JFK"] * 3).dictionary_encode(),
        destination=pa.array(["LHR"] * 3, pa.large_string()),
        departure_date=pa.array([date(2026, 12, 1)] * 3, pa.date32()),
        return_date=pa.array([datetime(2026, 12, 8), None, None], pa.timestamp("us")),  # noqa: DTZ001  # a local date
        observed_at=pa.array([moment, None, moment], pa.timestamp("us", "Europe/Rome")),
        outbound_flights=pa.array([["BA1", "BA2"], None, ["BA1"]], pa.large_list(pa.string())),
        total_amount_minor=None,
        total_amount=pa.array([Decimal("71.10"), Decimal("5.00"), None], pa.decimal128(10, 2)),
        fare_brand=pa.nulls(3),
    )
    write(table, tmp_path / "x")
    outcome = Outcome(tmp_path / "x")

    assert [fare.price for fare in outcome.fares] == [7110, 500]
    assert [fare.return_date for fare in outcome.fares] == [date(2026, 12, 8), None]
    assert [fare.observed_at for fare in outcome.fares] == [NOW - 6 * 3_600_000 + 123, NOW]
    assert outcome.fares[0].outbound_flights == ("BA1", "BA2")
    assert outcome.reasons == [(3, "missing_price")]


@KINDS
@pytest.mark.parametrize(
    ("message", "columns"),
    [
        ("column total_amount is double; wanted text or decimals", {"total_amount": [1.5, 2.5, 3.5]}),
        ("column total_amount is int64; wanted text or decimals", {"total_amount": [1, 2, 3]}),
        ("column total_amount_minor is double; wanted integers", {"total_amount_minor": [1.0, 2.0, 3.0]}),
        ("column observed_at is timestamp.*; wanted text or timestamps with a zone",
         {"observed_at": pa.array([0, 1, 2], pa.timestamp("ms"))}),
        ("column outbound_flights is list.*; wanted text or lists of text", {"outbound_flights": [[1], [2], [3]]}),
        ("no column called origin", {"origin": None}),
        ("no column called total_amount or total_amount_minor", {"total_amount_minor": None}),
        ("column adults: ", {"adults": pa.array([2**64 - 1] * 3, pa.uint64())}),
    ],
)  # fmt: skip
def test_columns_of_another_meaning_are_refused(tmp_path: Path, write: Write, message: str, columns: Any) -> None:
    write(fares(**columns), tmp_path / "x")

    with pytest.raises(Invalid, match=f"x: {message}"):
        Outcome(tmp_path / "x")


@pytest.mark.parametrize("write", [write_parquet, write_stream])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "x"
    write(fares(), path)
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(Invalid, match="x: not a readable"):
        Outcome(path)


def test_batches_of_fms_are_no_documents(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as out:
        write_batches(out, FareBatch, [])

    with pytest.raises(Invalid, match="for the next stage"):
        Outcome(tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.jsonl", None, "No such file"),
        ("x.csv", b"a,b\n", r"a CSV file needs a mapping"),
        ("x.csv.gz", b"a,b\n", r"a CSV file needs a mapping"),
        ("x.jsonl", b"PK\x03\x04...", "a zip file, which is not read"),
        ("x.jsonl", b"\x28\xb5\x2f\xfd...", "a zstd file, which is not read"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(Invalid, match=message) as error:
        open_source(str(tmp_path / name))
    assert str(error.value).startswith(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="a directory, not a file"):
        open_source(str(tmp_path))


def test_a_mapping_file_is_read_where_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"none\.toml: No such file"):
        open_source(str(tmp_path), tmp_path / "none.toml")


def test_json_lines_come_from_stdin_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "stdin"
    path.write_text(line() + "\n" + line(origin="x"))
    with path.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        source = open_source("-")
        blocks = list(source.blocks())

    assert source.name == "stdin"
    assert sum(block.columns.num_rows for block in blocks) == 2


def test_json_lines_need_no_name_of_their_own(tmp_path: Path) -> None:
    assert len(ingest_bytes(tmp_path, line().encode(), name="fares").fares) == 1
