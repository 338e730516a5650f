"""The quick and the slow way of reading JSON lines read the same."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fms.model.document import DOCUMENT_SCHEMA, FLIGHT_FIELDS, INT_FIELDS, TEXT_FIELDS
from fms.sources import jsonl
from fms.sources.json_line import read_line
from fms.sources.jsonl import JsonLines, Parser
from fms.sources.lines import Input, Lines
from fms.sources.open import open_source
from tests.unit.ingest_tools import line

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5),
    st.sampled_from(["2026-11-02T06:00:00Z", "1", "NaN", "Infinity", "\u0000", "é", "\U0001f600", "a\x1fb"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
)
NAMES = st.sampled_from([*TEXT_FIELDS[:6], *INT_FIELDS[:2], "total_amount", *FLIGHT_FIELDS, "other", "NaN"])
RIGHT = {
    **dict.fromkeys(TEXT_FIELDS, st.none() | st.text(max_size=6)),
    **dict.fromkeys(INT_FIELDS, st.none() | st.integers(-(2**63), 2**63 - 1)),
    **dict.fromkeys(FLIGHT_FIELDS, st.none() | st.lists(st.text(max_size=4) | st.none(), max_size=3)),
}


@st.composite
def documents(draw: st.DrawFn) -> str:
    """JSON text of an object, mostly of the right types; sometimes with a key twice or something behind it."""
    pairs = []
    for name in draw(st.lists(NAMES, max_size=5, unique=not draw(st.integers(0, 4).map(lambda n: n == 0)))):
        right = RIGHT.get(name, VALUES)
        value = draw(right if draw(st.integers(0, 3)) else VALUES)
        pairs.append(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=draw(st.booleans()))}")
    tail = draw(st.sampled_from(["", "", "", "", "", " ", "{}", " null", ",", "}", ' {"origin": "x"}', "null{}"]))
    return "{" + ", ".join(pairs) + "}" + tail


TEXTS = (
    documents()
    | st.text(alphabet='{}[]":, 1aN\\u', max_size=12)
    | st.sampled_from(["", " ", "{}", "null", "{}{}", "[]"])
)


@pytest.fixture(autouse=True, params=[1, 1000])
def many_lines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds with and without the search for patterns."""
    monkeypatch.setattr(jsonl, "MANY_LINES", request.param)


def quick(text: bytes, *, learned: bool) -> dict[str, Any] | None:
    """What the quick way reads in one line; None: it leaves it to the slow way."""
    parser = Parser()
    if learned:
        parser.parse(Lines(b'{"origin": "x", "adults": 1, "outbound_flights": ["x"], "source": "x"}\n', 1))
    table = parser.quick(Lines(text + b"\n", 1))
    if table is None:
        return None
    (row,) = table.to_pylist()
    return {name: value for name, value in row.items() if value is not None}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.booleans())
def test_what_the_quick_way_reads_the_slow_way_reads_alike(text: str, learned: bool) -> None:
    data = text.replace("\n", " ").encode("utf-8", "surrogatepass")
    found = quick(data, learned=learned) if data.strip() else None

    if found is not None:
        assert read_line(data, lambda _line: None) == found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, max_size=50), st.integers(1, 300))
def test_a_file_is_read_as_its_lines_are_one_by_one(texts: list[str], block_bytes: int) -> None:
    lines = [text.replace("\n", " ").encode("utf-8", "surrogatepass") for text in texts]
    data = b"\n".join(lines)
    expected_rows, expected_rejects = [], []
    for number, one in enumerate(data.split(b"\n"), 1):
        match read_line(one, lambda _line: None):
            case str(reason):
                expected_rejects.append((number, reason))
            case dict(document):
                expected_rows.append((number, document))
    rows, rejects = read_all(data, block_bytes)

    assert rows == expected_rows
    assert rejects == expected_rejects


def read_all(data: bytes, block_bytes: int) -> tuple[list[tuple[int, dict[str, Any]]], list[tuple[int, str]]]:
    """Every document and every reject of a file, with its line."""

    rows, rejects = [], []
    for block in JsonLines(Input("x", lambda: io.BytesIO(data)), block_bytes).blocks():
        for number, row in zip(block.numbers.tolist(), block.columns.to_pylist(), strict=True):
            rows.append((number, {name: value for name, value in row.items() if value is not None}))
        rejects += [(reject.number, reject.reason) for reject in block.rejects]
    return rows, rejects


def test_every_field_is_read_in_both_ways() -> None:
    document: dict[str, Any] = dict.fromkeys(TEXT_FIELDS, "x") | dict.fromkeys(INT_FIELDS, 1)
    document |= {name: ["x"] for name in FLIGHT_FIELDS}
    data = json.dumps(document).encode()

    assert quick(data, learned=False) == read_line(data, lambda _line: None) == document
    assert set(document) == set(DOCUMENT_SCHEMA.names)


def test_fields_that_only_later_documents_have_are_read() -> None:
    lines = [line(), line(cabin="first"), line(other=[1, "x"]), line(fare_brand="x")]
    rows, rejects = read_all("\n".join(lines).encode(), 200)

    assert [row for _, row in rows] == [
        json.loads(lines[0]),
        json.loads(lines[1]),
        json.loads(lines[0]),
        json.loads(lines[3]),
    ]
    assert rejects == []


@pytest.mark.parametrize("block_bytes", [1, 7, 100, 10_000])
def test_the_raw_text_and_the_line_of_each_row_do_not_depend_on_blocks(tmp_path: Path, block_bytes: int) -> None:
    lines = [line(), "", line(origin="ABC"), "\r", line(origin="é"), "  ", line()]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    source = open_source(str(path))
    found = [
        (number, block.raw(row))
        for block in JsonLines(Input(source.name, lambda: path.open("rb")), block_bytes).blocks()
        for row, number in enumerate(block.numbers.tolist())
    ]

    assert found == [(n, text) for n, text in enumerate(lines, 1) if text.strip()]


def test_how_far_a_file_was_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text((line() + "\n") * 10)
    (block,) = open_source(str(path)).blocks()

    assert block.bytes_done == block.bytes_total == path.stat().st_size
