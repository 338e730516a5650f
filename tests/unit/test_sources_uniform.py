"""Lines that are cut up by pattern are read as a parser reads them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fms.sources import uniform
from fms.sources.json_line import read_line
from fms.sources.lines import Lines
from fms.sources.uniform import read_uniform
from tests.unit.ingest_tools import line
from tests.unit.test_sources_jsonl import TEXTS

WORDS = st.text(alphabet="abc,:{}[] 019", max_size=6)
FLIGHTS = st.lists(WORDS, min_size=1, max_size=3)
PROGRAM_DOCUMENTS = st.fixed_dictionaries(
    {"origin": WORDS, "total_amount_minor": st.integers(0, 10**18 - 1)},
    optional={"fare_brand": WORDS, "outbound_flights": FLIGHTS, "adults": st.integers(0, 11), "x": WORDS,
              "y": st.integers(0, 200) | st.booleans() | st.none() | FLIGHTS, "cabin": st.none()},
)  # fmt: skip
SPACES = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")])


def read(texts: list[str]) -> list[dict[str, Any]] | None:
    """What is read in some lines by pattern; None: they are left to a parser."""
    table = read_uniform(Lines("".join(text + "\n" for text in texts).encode("utf-8", "surrogatepass"), 1))
    if table is None:
        return None
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


def parsed(texts: list[str]) -> list[Any]:
    """The same, each line by itself."""
    return [read_line(text.encode("utf-8", "surrogatepass"), lambda _line: None) for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.lists(PROGRAM_DOCUMENTS, min_size=1, max_size=30), SPACES)
def test_what_a_program_wrote_is_read_as_a_parser_reads_it(rows: list[dict[str, Any]], spaces: tuple[str, str]) -> None:
    texts = [json.dumps(row, separators=spaces) for row in rows]

    assert read(texts) == parsed(texts)


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_what_is_not_left_to_a_parser_is_read_as_it_would(texts: list[str]) -> None:
    lines = [text.replace("\n", " ") for text in texts]
    found = read(lines)

    assert found is None or found == parsed(lines)


@pytest.mark.parametrize(
    "text",
    ["{}", "", "null", '{"origin":"x",}', '{"origin":"x"} ', '{"origin":"x"}}', '{"origin":"x"}{}', '{"origin":"a\\n"}',
     '{"origin":"é"}', '{"origin":"a\tb"}', '{"origin":"x","origin":"y"}', '{"origin":1}', '{"origin":true}',
     '{"adults":"1"}', '{"adults":01}', '{"adults":-1}', '{"adults":1.0}', '{"adults":1234567890123456789}',
     '{"outbound_flights":"x"}', '{"outbound_flights":[]}', '{"x":{"a":1}}', '{"x":NaN}', '{"x":"y"}',
     '{"":1,"origin":"x"}', '{"origin":"x"', "{origin:1}"],
)  # fmt: skip
def test_whatever_is_odd_is_left_to_a_parser(text: str) -> None:
    assert read([text]) is None
    assert read([line(), text]) is None or text == '{"x":"y"}'


@pytest.mark.parametrize("other", ['{"origin":"a","x":"b"}', '{"origin":"a,":"x":"}', '{"origin":"abcde","x":01}'])
def test_lines_of_one_length_and_several_patterns_are_not_mixed_up(other: str) -> None:
    texts = ['{"origin":"abcdefghi"}', other, '{"origin":"jkl","x":1}', '{"origin":"012","x":23}']

    assert read(texts) is None or read(texts) == parsed(texts)


def test_too_many_patterns_are_left_to_a_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [line(fare_brand="x" * length) for length in range(20)]
    assert read(texts) == parsed(texts)

    monkeypatch.setattr(uniform, "MOST_PATTERNS", 19)
    assert read(texts) is None


def test_long_values_and_long_lines_are_left_to_a_parser() -> None:
    assert read([line(fare_brand="x" * 97)]) is None
    assert read([line(other="x" * 2000)]) is None
    assert read([line(other="x" * 500)]) == parsed([line()])
