"""What the columns of a CSV file mean: a TOML file.

::

    name = "ryanair"                # the source of every document, unless a field "source" is mapped
    delimiter = ","                 # the default

    [columns]                       # field of the fare document = column of the file
    origin = "origin"
    observed_at = { column = "timestamp_utc", zone = "UTC" }            # IANA zone of times without one
    departure_date = { column = "departs", split = "T", part = 1 }      # the text before the first T …
    departure_time = { column = "departs", split = "T", part = 2 }      # … and after it; no T: no departure_time
    total_amount = { column = "price", strip = "£ " }                   # these characters are cut out

    [constants]                     # the same for every document
    carrier = "FR"
    currency = "GBP"

An empty cell is a field that is not given. The file is UTF-8 with a header.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc

from fms.errors import Invalid
from fms.model.batch import first_line
from fms.model.document import DOCUMENT_SCHEMA, FIELDS, FLIGHT_FIELDS, INT_FIELDS

_TOP = ("name", "delimiter", "columns", "constants")
_OPTIONS = ("column", "strip", "split", "part", "zone")
_NAME = re.compile(r"[a-z][a-z0-9_]{1,31}", re.ASCII)
_LOCAL_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?", re.ASCII)
_REQUIRED = ("origin", "destination", "departure_date", "currency")
_PRICES = ("total_amount", "total_amount_minor")

Change = Callable[[str], str | None]


@dataclass(frozen=True)
class Column:
    """Where a field comes from, and what is done to its text; see the module."""

    column: str
    strip: str = ""
    split: str = ""
    part: int = 1
    zone: ZoneInfo | None = None

    def change(self, text: str) -> str | None:
        """The field's text; None: not given."""
        for character in self.strip:
            text = text.replace(character, "")
        if self.split:
            before, _, after = text.partition(self.split)
            text = before if self.part == 1 else after
        if self.zone:
            text = _in_utc(text, self.zone)
        return text or None

    @property
    def plain(self) -> bool:
        """Whether the text is taken as it is."""
        return not (self.strip or self.split or self.zone)


@dataclass(frozen=True)
class Mapping:
    """A mapping file, checked.

    Attributes:
        name: the source of documents that name none.
        columns: by field.
        constants: by field.
    """

    name: str
    columns: dict[str, Column]
    constants: dict[str, Any]
    delimiter: str = ","

    @property
    def used(self) -> list[str]:
        """The columns of the file that are read, each once."""
        return list(dict.fromkeys(column.column for column in self.columns.values()))

    def fields(self, cells: pa.Table) -> pa.Table:
        """The fields of documents, from text columns named as in the file."""
        found = {field: _changed(cells[column.column], column) for field, column in self.columns.items()}
        for field, value in {"source": self.name, **self.constants}.items():
            if field not in found:
                found[field] = pa.repeat(pa.scalar(value, DOCUMENT_SCHEMA.field(field).type), cells.num_rows)
        return pa.table(found)


def _changed(cells: pa.ChunkedArray, column: Column) -> pa.Array:
    texts = cells.combine_chunks()
    if column.plain:
        return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    # Each distinct text once.
    encoded = texts.dictionary_encode()
    changed = pa.array(map(column.change, encoded.dictionary.to_pylist()), pa.string())
    return changed.take(encoded.indices)


def _in_utc(text: str, zone: ZoneInfo) -> str:
    """A time without a zone as RFC 3339; any other text as it is, for the check of observed_at to judge."""
    if not _LOCAL_TIME.fullmatch(text):
        return text
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return text


def read_mapping(path: Path) -> Mapping:
    """Read and check a mapping file; raises Invalid with one line that names the file and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Invalid(f"{path}: not UTF-8") from None
    try:
        return parse_mapping(tomllib.loads(text.removeprefix("\ufeff")))
    except (Invalid, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{path}: {first_line(error)}") from None


def parse_mapping(document: dict[str, Any]) -> Mapping:
    """Check a mapping; raises Invalid (``key: what``)."""
    _known(document, _TOP, "")
    name, delimiter = document.get("name"), document.get("delimiter", ",")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Invalid("name: missing, or not 2-32 lower-case letters, digits and _")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii():
        raise Invalid("delimiter: not one character")
    columns = {field: _column(field, value) for field, value in _fields(document, "columns")}
    constants = {field: _constant(field, value) for field, value in _fields(document, "constants")}
    _check_together(columns, constants)
    return Mapping(name, columns, constants, delimiter)


def _known(table: dict[str, Any], names: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in names:
            raise Invalid(f"{where}{key}: no such key")


def _fields(document: dict[str, Any], table: str) -> Iterator[tuple[str, Any]]:
    found = document.get(table, {})
    if not isinstance(found, dict):
        raise Invalid(f"{table}: not a table")
    for field, value in found.items():
        if field not in FIELDS:
            raise Invalid(f"{table}.{field}: no such field")
        yield field, value


def _column(field: str, value: object) -> Column:
    where = f"columns.{field}"
    options = {"column": value} if isinstance(value, str) else value
    if not isinstance(options, dict):
        raise Invalid(f"{where}: neither a column's name nor a table")
    _known(options, _OPTIONS, f"{where}.")
    for key, given in options.items():
        if key != "part" and not (isinstance(given, str) and given):
            raise Invalid(f"{where}.{key}: not a text")
    if "column" not in options:
        raise Invalid(f"{where}.column: missing")
    if ("split" in options) != ("part" in options) or options.get("part", 1) not in (1, 2):
        raise Invalid(f"{where}.part: 1 or 2, together with split")
    if "zone" in options and field != "observed_at":
        raise Invalid(f"{where}.zone: only observed_at has a zone")
    return Column(**(options | {"zone": _zone(options.get("zone"), where)}))


def _zone(name: str | None, where: str) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"{where}.zone: no such time zone: {name}") from None


def _constant(field: str, value: object) -> object:
    if field in INT_FIELDS:
        good = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
    elif field in FLIGHT_FIELDS:
        good = isinstance(value, list) and all(isinstance(one, str) for one in value)
    else:
        good = isinstance(value, str)
    if not good:
        kind = "an integer" if field in INT_FIELDS else "a list of texts" if field in FLIGHT_FIELDS else "a text"
        raise Invalid(f"constants.{field}: not {kind}")
    return value


def _check_together(columns: dict[str, Column], constants: dict[str, Any]) -> None:
    for field in constants:
        if field in columns:
            raise Invalid(f"constants.{field}: is a column already")
    given = columns.keys() | constants.keys()
    for field in _REQUIRED:
        if field not in given:
            raise Invalid(f"columns.{field}: missing")
    if not given & set(_PRICES):
        raise Invalid("columns.total_amount: missing")
