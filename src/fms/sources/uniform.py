"""Runs of JSON lines written by a program: many of them alike but for the values.

Lines of one length and one pattern lie under each other as the rows of a matrix of bytes: one comparison with a line
whose pattern is known checks them all, and the values are columns of the matrix. Where lines are of too many patterns,
or one is no plain flat object (an escape, a nested value, text beyond ASCII), a real parser must read them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fms.model.batch import I64
from fms.model.document import FLIGHT_FIELDS, INT_FIELDS, TEXT_FIELDS
from fms.sources.lines import Lines

MOST_PATTERNS = 96
"""Patterns in one run of lines; each costs about as much as the parsing of 150 lines."""

LONGEST_LINE = 2_000
LONGEST_VALUE = 96

Bytes = npt.NDArray[np.uint8]

_WORD, _FIRST_PRINTABLE, _QUOTE, _ZERO = 8, 32, 34, 48
_KNOWN = {*TEXT_FIELDS, *FLIGHT_FIELDS, *INT_FIELDS}
_PAIR = re.compile(
    r'[ ]*"(?P<key>[^"]+)"[ ]*:[ ]*'
    r'(?:"(?P<text>[^"]*)"|(?P<int>0|[1-9][0-9]{0,17})|(?P<null>null)|(?P<other>true|false)'
    r'|\[[ ]*"(?P<list>[^"]*"(?:[ ]*,[ ]*"[^"]*")*)[ ]*\])[ ]*(?:,|\}\Z)'
)
_BETWEEN = re.compile(r'"[ ]*,[ ]*"')


@dataclass(frozen=True)
class Pattern:
    """What lines have in common, and where in them the values are.

    Attributes:
        line: a line of the pattern.
        values: start and end of each value, and whether it is an integer, not text.
        fields: start and end of each field that ingest reads.
    """

    line: bytes
    values: tuple[tuple[int, int, bool], ...]
    fields: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, line: bytes) -> "Pattern | None":
        """The pattern of an ASCII line without escapes; None if it is no flat object of fields of the right types."""
        text = line.decode("ascii")
        if not text.startswith("{"):
            return None
        values: list[tuple[int, int, bool]] = []
        fields: dict[str, tuple[int, int]] = {}
        keys = set()
        place = 1
        while place < len(text):
            pair = _PAIR.match(text, place)
            if not pair or pair["key"] in keys:
                return None
            key, kind, place = pair["key"], _kind(pair), pair.end()
            keys.add(key)
            if key in _KNOWN and kind != "null":
                if kind != _kind_of(key):
                    return None
                fields[key] = _span(pair, kind)
            values += _values(pair, kind)
        # A comma before the closing brace would have been taken for one between fields.
        return cls(line, tuple(values), fields) if pair and text[pair.end() - 1] == "}" else None

    def mask(self, width: int) -> Bytes:
        """255 where a line of the pattern must be as this one, else 0."""
        found = np.zeros(width, np.uint8)
        found[: len(self.line)] = 255
        for start, end, _ in self.values:
            found[start:end] = 0
        return found


def _kind(pair: re.Match[str]) -> str:
    return next(kind for kind in ("text", "int", "list", "null", "other") if pair[kind] is not None)


def _kind_of(field: str) -> str:
    return "int" if field in INT_FIELDS else "list" if field in FLIGHT_FIELDS else "text"


def _span(pair: re.Match[str], kind: str) -> tuple[int, int]:
    start, end = pair.span(kind)
    return start, end - (kind == "list")  # the quote behind the last text of a list


def _values(pair: re.Match[str], kind: str) -> Iterator[tuple[int, int, bool]]:
    if kind in ("null", "other"):
        return
    start, end = _span(pair, kind)
    if kind == "list":
        for between in _BETWEEN.finditer(pair.string, start, end):
            yield start, between.start(), False
            start = between.end()
    yield start, end, kind == "int"


@dataclass(frozen=True)
class Group:
    """Lines of one pattern: where among all lines, and their bytes, one line a row."""

    rows: I64
    text: Bytes
    pattern: Pattern


def read_uniform(lines: Lines) -> pa.Table | None:
    """The known fields of each line, text and lists coded; None if a real parser must read the lines."""
    groups: list[Group] = []
    for group in _groups(lines):
        if group is None or len(groups) == MOST_PATTERNS:
            return None
        groups.append(group)
    fields = {field for group in groups for field in group.pattern.fields}
    order = np.concatenate([group.rows for group in groups])
    columns = {}
    for field in sorted(fields):
        column = _ints(field, groups, order) if field in INT_FIELDS else _texts(field, groups, order)
        if column is None:
            return None
        columns[field] = column
    return pa.table(columns) if columns else None


def _groups(lines: Lines) -> Iterator[Group | None]:
    """The lines by pattern; None when there is a line of no pattern."""
    data = lines.data + bytes(_WORD)
    length = lines.ends - lines.starts
    if not _is_plain(lines) or not 2 <= int(length.min()) <= int(length.max()) <= LONGEST_LINE:
        yield None
        return
    order = np.argsort(length.astype(np.uint16), kind="stable")
    edges = np.flatnonzero(np.diff(length[order], prepend=-1, append=-1))
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        rows = order[first:last]
        yield from _of_one_length(data, lines.starts[rows], rows, int(length[rows[0]]))


def _is_plain(lines: Lines) -> bool:
    if not lines.data.isascii() or b"\\" in lines.data:
        return False
    return int(np.count_nonzero(np.frombuffer(lines.data, np.uint8) < _FIRST_PRINTABLE)) == len(lines.ends)


def _of_one_length(data: bytes, starts: I64, rows: I64, length: int) -> Iterator[Group | None]:
    width = -(-length // _WORD) * _WORD
    # One item of this array is a line, from whatever byte on.
    windows = np.ndarray((len(data) - width + 1,), f"V{width}", buffer=data, strides=(1,))
    text = windows[starts].view(np.uint8).reshape(-1, width)
    while len(rows):
        pattern = Pattern.of(text[0, :length].tobytes())
        if pattern is None:
            yield None
            return
        other = _differing(text, pattern)
        if not other.any():
            yield Group(rows, text, pattern)
            return
        yield Group(rows[~other], text[~other], pattern)
        rows, text = rows[other], text[other]


def _differing(text: Bytes, pattern: Pattern) -> npt.NDArray[np.bool_]:
    """Which rows are not of the pattern."""
    width = text.shape[1]
    words = text.view("<u8") ^ text[:1].view("<u8")
    words &= pattern.mask(width).view("<u8")
    found: npt.NDArray[np.bool_] = words.any(axis=1) if words.any() else np.zeros(len(text), bool)
    for start, end, is_int in pattern.values:
        value = text[:, start:end]
        odd = (value - np.uint8(_ZERO)) > 9 if is_int else value == _QUOTE
        if odd.any():
            found |= odd.any(axis=1)
        if is_int and end - start > 1:
            found |= value[:, 0] == _ZERO
    return found


def _texts(field: str, groups: list[Group], order: I64) -> pa.DictionaryArray | None:
    spans = [group.pattern.fields.get(field, (0, 0)) for group in groups]
    widest = max(end - start for start, end in spans)
    if widest > LONGEST_VALUE:
        return None
    width = -(-max(widest, 1) // _WORD) * _WORD
    # No text has a zero byte: the texts are as different as these are.
    cells = np.zeros((len(order), width), np.uint8)
    present = np.ones(len(order), bool)
    done = 0
    for group, (start, end) in zip(groups, spans, strict=True):
        cells[done : done + len(group.rows), : end - start] = group.text[:, start:end]
        present[group.rows] = field in group.pattern.fields
        done += len(group.rows)
    coded = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(cells), [None, pa.py_buffer(cells)])
    coded = coded.dictionary_encode()
    codes = np.empty(len(order), np.int32)
    codes[order] = coded.indices.to_numpy()
    texts = [text.rstrip(b"\0").decode("ascii") for text in coded.dictionary.to_pylist()]
    # Of a list the cells hold all between its first and its last quote.
    is_list = field in FLIGHT_FIELDS
    distinct = pa.array(map(_BETWEEN.split, texts), pa.list_(pa.string())) if is_list else pa.array(texts, pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=None if present.all() else ~present), distinct)


def _ints(field: str, groups: list[Group], order: I64) -> Any:
    found, present = np.zeros(len(order), np.int64), np.ones(len(order), bool)
    for group in groups:
        if field not in group.pattern.fields:
            present[group.rows] = False
            continue
        start, end = group.pattern.fields[field]
        value = np.zeros(len(group.rows), np.int64)
        for digits in np.ascontiguousarray(group.text[:, start:end].T) - np.uint8(_ZERO):
            value = value * 10 + digits
        found[group.rows] = value
    return pa.array(found, mask=None if present.all() else ~present)
