"""Mapping files: what they can say, and what is wrong with one that is refused."""

from pathlib import Path
from typing import Any

import pytest

from fms.errors import Invalid
from fms.sources.mapping import parse_mapping, read_mapping

GOOD: dict[str, Any] = {
    "name": "shop",
    "columns": {"origin": "from", "destination": "to", "departure_date": "day", "total_amount": "price"},
    "constants": {"currency": "GBP"},
}

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("colums: no such key", {"colums": {}}),
    ("name: missing", {"name": None}),
    ("name: missing, or not 2-32", {"name": "Shop 1"}),
    ("delimiter: not one character", {"delimiter": ";;"}),
    ("delimiter: not one character", {"delimiter": '"'}),
    ("columns: not a table", {"columns": 7}),
    ("columns.price: no such field", {"columns": {"price": "price"}}),
    ("columns.origin: neither", {"columns": {"origin": 7}}),
    ("columns.origin.colum: no such key", {"columns": {"origin": {"colum": "x"}}}),
    ("columns.origin.column: missing", {"columns": {"origin": {"strip": "x"}}}),
    ("columns.origin.strip: not a text", {"columns": {"origin": {"column": "x", "strip": 1}}}),
    ("columns.origin.part: 1 or 2", {"columns": {"origin": {"column": "x", "split": "T"}}}),
    ("columns.origin.part: 1 or 2", {"columns": {"origin": {"column": "x", "split": "T", "part": 3}}}),
    ("columns.origin.zone: only observed_at", {"columns": {"origin": {"column": "x", "zone": "UTC"}}}),
    ("columns.observed_at.zone: no such time zone", {"columns": {"observed_at": {"column": "x", "zone": "Mars/X"}}}),
    ("constants.currency: is a column", {"columns": {**GOOD["columns"], "currency": "x"}}),
    ("constants.adults: not an integer", {"constants": {"adults": "1"}}),
    ("constants.adults: not an integer", {"constants": {"adults": True}}),
    ("constants.cabin: not a text", {"constants": {"cabin": 1}}),
    ("constants.outbound_flights: not a list", {"constants": {"outbound_flights": "BA1"}}),
    ("columns.currency: missing", {"constants": {}}),
    ("columns.total_amount: missing", {"columns": {"origin": "a", "destination": "b", "departure_date": "c"}}),
]


@pytest.mark.parametrize(("message", "change"), WRONG)
def test_a_wrong_mapping_is_refused_by_its_key(message: str, change: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=f"^{message}"):
        parse_mapping({name: value for name, value in {**GOOD, **change}.items() if value is not None})


def test_a_good_mapping_says_which_columns_are_read() -> None:
    mapping = parse_mapping(GOOD)

    assert mapping.used == ["from", "to", "day", "price"]
    assert (mapping.name, mapping.delimiter) == ("shop", ",")


def test_a_mapping_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    broken, latin, good = tmp_path / "broken.toml", tmp_path / "latin.toml", tmp_path / "unknown.toml"
    broken.write_text("name = \n")
    latin.write_bytes(b'name = "\xff"')
    good.write_text('name = "x1"\nfoo = 1\n')
    for path, message in (
        (broken, "Invalid value"), (latin, "not UTF-8"), (good, "foo: no such key"), (tmp_path, "Is a directory"),
        (tmp_path / "none.toml", "No such file"),
    ):  # fmt: skip
        with pytest.raises(Invalid, match=message) as error:
            read_mapping(path)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)
