"""Descriptions: what the series of a page stand for. One compressed value per page, which grows by frames.

The value is a header (format byte, number of lines as uint32) and frames; a frame is the sizes of its text and of its
packed bytes (uint32 each, little endian) and the bytes (LZ4 block). The text is lines, one product each: the
``PRODUCT_COLUMNS`` with a tab between. A line does not name its series, which is computed from it again: so the same
flights have the same frame on every date, and are packed once a batch.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fms.errors import Fatal
from fms.model.batch import I64, ints, text_column
from fms.model.clock import date_of
from fms.model.fare import PRODUCT_COLUMNS, FareBatch
from fms.model.hashing import codes

_FORMAT = 1
_HEADER = struct.Struct("<BI")
_FRAME = struct.Struct("<II")
_LZ4 = pa.Codec("lz4_raw")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})
_UNESCAPED = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\e": ""}


def frame_of(lines: Sequence[str]) -> bytes:
    """Lines as one frame."""
    text = "\n".join(lines).encode()
    packed = _LZ4.compress(text, asbytes=True)
    return _FRAME.pack(len(text), len(packed)) + bytes(packed)


def first_description(count: int, frame: bytes) -> bytes:
    """The description of a page whose ``count`` series are all in one frame."""
    return _HEADER.pack(_FORMAT, count) + frame


def with_frame(description: bytes, count: int, frame: bytes) -> bytes:
    """The description of a page after ``count`` more series were seen there first."""
    return _HEADER.pack(_FORMAT, line_count(description) + count) + description[_HEADER.size :] + frame


def line_count(description: bytes) -> int:
    """How many lines the description holds, also of series that are gone. Raises Fatal if it cannot be read."""
    if len(description) < _HEADER.size or description[0] != _FORMAT:
        raise Fatal(
            f"a description in the price book has a format that this version does not know: {description[:5]!r}"
        )
    return int(_HEADER.unpack_from(description)[1])


def lines_of(description: bytes) -> list[str]:
    """The lines of a description, the oldest first. Raises Fatal if it cannot be read."""
    line_count(description)
    return [line for text in _texts(description) for line in text.split("\n")]


def _texts(description: bytes) -> Iterator[str]:
    at = _HEADER.size
    try:
        while at < len(description):
            size, packed = _FRAME.unpack_from(description, at)
            at += _FRAME.size + packed
            yield _LZ4.decompress(description[at - packed : at], size, asbytes=True).decode()
    except (struct.error, OSError, ValueError) as error:
        raise Fatal("a description in the price book is damaged") from error


@dataclass(frozen=True)
class Products:
    """The distinct products of some rows: for each row the place of its line in ``lines``."""

    places: I64
    lines: list[str]


def products_of(data: pa.RecordBatch, rows: I64) -> Products:
    """The products of ``rows`` of a fare batch's columns."""
    columns = [_coded(data.column(name), rows) for name in PRODUCT_COLUMNS]
    whole, size = np.zeros(len(rows), np.int64), 1
    for places, texts in columns:
        if size * len(texts) > 1 << 62:
            examples, whole = distinct(whole)
            size = len(examples)
        if len(texts) > 1:
            whole = whole * len(texts) + places
            size *= len(texts)
    examples, found = distinct(whole)
    fields = [pa.array(texts, pa.string()).take(pa.array(places[examples])) for places, texts in columns]
    return Products(found, pc.binary_join_element_wise(*fields, "\t").to_pylist())


def distinct(values: I64) -> tuple[I64, I64]:
    """One example row of each distinct value, in the values' order, and for each row the place of its value."""
    # numpy's unique sorts stably to name the first row, which takes several times as long.
    order = np.argsort(values)
    ordered = values[order]
    fresh = np.ones(len(values), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    places = np.empty(len(values), np.int64)
    places[order] = np.cumsum(fresh) - 1
    return order[fresh], places


def _coded(column: pa.Array, rows: I64) -> tuple[I64, list[str]]:
    """Codes of the rows and the text of each code; a column of one value has one text."""
    if column.null_count == len(column):
        return np.zeros(len(rows), np.int64), [""]
    if pa.types.is_date32(column.type):
        days, places = np.unique(ints(column, null=-1)[rows], return_inverse=True)
        return places.astype(np.int64), ["" if day < 0 else date_of(day).isoformat() for day in days.tolist()]
    texts = [_escaped(text) for text in column.dictionary.to_pylist()]
    return codes(column)[rows], [*texts, ""] if column.null_count else texts


def _escaped(text: str) -> str:
    # An empty field is a null, so an empty text needs a form of its own.
    return text.translate(_ESCAPES) or "\\e"


def fares_of(lines: Sequence[str], ods: Sequence[str], days: I64) -> FareBatch:
    """Fares (price and time 0) of products: a line, the O&D and the departure day of each."""
    known: dict[str, int] = {}
    places = pa.array([known.setdefault(line, len(known)) for line in lines], pa.int64())
    columns = {name: column.take(places) for name, column in _columns_of(list(known)).items()}
    nothing = np.zeros(len(lines), np.int64)
    columns |= {
        "observed_at": pa.array(nothing).cast(FareBatch.SCHEMA.field("observed_at").type),
        "od": text_column(ods),
        "departure_date": pa.array(days.astype(np.int32)).view(pa.date32()),
        "price": pa.array(nothing),
    }
    return FareBatch.of_columns(columns)


def _columns_of(lines: Sequence[str]) -> dict[str, pa.Array]:
    rows = [line.split("\t") for line in lines]
    if any(len(row) != len(PRODUCT_COLUMNS) for row in rows):
        raise Fatal("a description in the price book is damaged")
    fields = zip(*rows, strict=True) if rows else [()] * len(PRODUCT_COLUMNS)
    columns: dict[str, pa.Array] = {}
    for name, texts in zip(PRODUCT_COLUMNS, fields, strict=True):
        values = [_unescaped(text) for text in texts]
        columns[name] = _dates(values) if name == "return_date" else text_column(values)
    return columns


def _dates(values: Sequence[str | None]) -> pa.Array:
    return pa.array([None if text is None else date.fromisoformat(text) for text in values], pa.date32())


def _unescaped(text: str) -> str | None:
    if "\\" not in text:
        return text or None
    parts, at = [], 0
    while at < len(text):
        width = 2 if text[at] == "\\" else 1
        piece = text[at : at + width]
        parts.append(_UNESCAPED.get(piece, piece))
        at += width
    return "".join(parts)
