"""JSON lines: one document a line, plain or gzip.

Blocks are parsed by Arrow; where that fails, smaller ones, and at last line by line, so that a bad line costs its
neighbours some time and nothing else. Both ways read the same documents: what the quick way would read in another
way than the slow one (several objects in a line, NaN, text that is not UTF-8) it refuses.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from fms.model.batch import I64
from fms.model.document import DOCUMENT_SCHEMA, Block, Reject, kept_raw
from fms.sources.json_line import fields_of, read_line
from fms.sources.lines import BLOCK_BYTES, Input, Lines, LongLine, Progress, is_utf8, read_lines

FEW_LINES = 32
"""So many lines that do not parse together are read one by one."""

PARTS = 8
"""More lines that do not parse together are tried again in so many parts."""

_BRACE, _CLOSED, _RETURN, _N, _A, _I, _SMALL_N = b"{}\rNaIn"


class JsonLines:
    """A file or stream of JSON lines."""

    def __init__(self, source: Input, block_bytes: int = BLOCK_BYTES) -> None:
        self.name = source.name
        self._input = source
        self._block_bytes = block_bytes

    def blocks(self) -> Iterator[Block]:
        """The documents in order. Raises Invalid when no more can be read."""
        progress = Progress()
        parser = Parser()
        for lines in read_lines(self._input, progress, self._block_bytes):
            how_far = {"bytes_done": progress.bytes_done, "bytes_total": self._input.size}
            if isinstance(lines, LongLine):
                reject = Reject(self.name, lines.number, "line_too_long", kept_raw(lines.head))
                yield Block.of_rejects([reject], **how_far)
            else:
                yield _block(self.name, lines, parser.parse(lines), how_far)


@dataclass(frozen=True)
class Parsed:
    """What a run of lines holds.

    Attributes:
        tables: the documents, in order.
        indexes: the line of each document, counted from the first one of the run, which is 0.
        failed: line and reason of those that are none.
    """

    tables: Sequence[pa.Table]
    indexes: I64
    failed: Sequence[tuple[int, str]] = ()


def _block(name: str, lines: Lines, parsed: Parsed, how_far: dict[str, Any]) -> Block:
    columns = pa.concat_tables(parsed.tables, promote_options="default") if parsed.tables else pa.table({})
    return Block(
        columns=columns,
        numbers=parsed.indexes + lines.first,
        raw=_raw(lines, parsed.indexes),
        rejects=[Reject(name, lines.first + index, why, lines.text(index)) for index, why in parsed.failed],
        **how_far,
    )


def _raw(lines: Lines, indexes: I64) -> Callable[[int], str]:
    return lambda row: lines.text(int(indexes[row]))


class Parser:
    """Parses runs of lines; learns which fields the documents have, because a column that is not there costs time."""

    def __init__(self) -> None:
        self._fields: set[str] | None = None
        self._others = False

    def parse(self, lines: Lines) -> Parsed:
        """The documents in some lines, and the lines that are none."""
        if self._fields is None:
            self._fields = _first_fields(lines)
        return self._part(lines, 0, len(lines.ends))

    def _part(self, lines: Lines, start: int, end: int) -> Parsed:
        part = lines.part(start, end) if end - start < len(lines.ends) else lines
        documents = np.flatnonzero(_not_blank(part))
        table = self.quick(part, documents)
        if table is not None:
            return Parsed([table], documents + start)
        if end - start <= FEW_LINES:
            return self._one_by_one(lines, start, end)
        edges = np.linspace(start, end, min(PARTS, end - start) + 1).astype(int).tolist()
        return _joined([self._part(lines, *pair) for pair in pairwise(edges)])

    def quick(self, lines: Lines, documents: I64) -> pa.Table | None:
        """One row for each of the ``documents`` among the lines; None if there is doubt."""
        if not len(documents):
            return DOCUMENT_SCHEMA.empty_table()
        if not _looks_good(lines, documents):
            return None
        table = self._parsed(lines.data)
        return table if table is not None and table.num_rows == len(documents) else None

    def _parsed(self, data: bytes) -> pa.Table | None:
        if self._fields and not self._others:
            try:
                return _arrow(data, sorted(self._fields), "error")
            except pa.ArrowInvalid as error:
                if "unexpected field" not in str(error):
                    return None
        return self._loose(data)

    def _loose(self, data: bytes) -> pa.Table | None:
        """The documents, whatever fields they have."""
        if _has_odd_number(data):
            return None
        try:
            table = _arrow(data, DOCUMENT_SCHEMA.names, "ignore")
        except pa.ArrowInvalid:
            return None
        known = self._fields or set()
        self._fields = known | {name for name in table.column_names if table[name].null_count < table.num_rows}
        # Nothing new that we know: then it was something else, and the next block will have it too.
        self._others = self._others or self._fields == known
        return table

    def _one_by_one(self, lines: Lines, start: int, end: int) -> Parsed:
        rows: list[dict[str, Any]] = []
        indexes: list[int] = []
        failed: list[tuple[int, str]] = []
        for index in range(start, end):
            found = read_line(lines.line(index), self._deep)
            if isinstance(found, str):
                failed.append((index, found))
            elif found is not None:
                rows.append(found)
                indexes.append(index)
        table = pa.Table.from_pylist(rows, DOCUMENT_SCHEMA)
        return Parsed([table] if rows else [], np.array(indexes, np.int64), failed)

    def _deep(self, line: bytes) -> dict[str, Any] | None:
        """A line that is nested too deep for the slow way, as the quick way reads it."""
        table = self.quick(Lines(line + b"\n", 1), np.zeros(1, np.int64))
        return None if table is None else dict(table.to_pylist()[0])


def _arrow(data: bytes, fields: Sequence[str], others: str) -> pa.Table:
    schema = pa.schema([DOCUMENT_SCHEMA.field(name) for name in fields])
    return pa.json.read_json(
        pa.BufferReader(data),
        read_options=pa.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others),
    )


def _first_fields(lines: Lines) -> set[str]:
    found = read_line(lines.line(0), lambda _line: None)
    return fields_of(found) if isinstance(found, dict) else set()


def _joined(parts: Sequence[Parsed]) -> Parsed:
    return Parsed(
        [table for part in parts for table in part.tables],
        np.concatenate([part.indexes for part in parts]),
        [failed for part in parts for failed in part.failed],
    )


def _not_blank(lines: Lines) -> Any:
    """Which lines are longer than a carriage return; those of other blanks are left to the slow way."""
    data = np.frombuffer(lines.data, np.uint8)
    length = lines.ends - lines.starts
    return (length > 1) | ((length == 1) & (data[lines.starts] != _RETURN))


def _looks_good(lines: Lines, documents: I64) -> bool:
    """Each document starts and ends with a brace and all is UTF-8.

    Then a document cannot reach over two lines: a closing and an opening brace in a row end one document and start
    another, or are no JSON. (Arrow also dies of a file that starts with null.)
    """
    data = np.frombuffer(lines.data, np.uint8)
    last = lines.ends[documents] - 1
    last = last - (data[last] == _RETURN)
    if not ((data[lines.starts[documents]] == _BRACE).all() and (data[last] == _CLOSED).all()):
        return False
    return is_utf8(lines.data)


def _has_odd_number(data: bytes) -> bool:
    """Whether NaN or Infinity may stand somewhere, which Arrow reads where it ignores the field."""
    codes = np.frombuffer(data, np.uint8)
    this, following = codes[:-1], codes[1:]
    found = ((this == _N) & (following == _A)) | ((this == _I) & (following == _SMALL_N))
    return bool(found.any()) and (b"NaN" in data or b"Inf" in data)
