"""JSON lines: one document a line, plain or gzip.

Blocks are cut up by ``uniform``; those that are not uniform are parsed by Arrow; where that fails, smaller ones, and
at last line by line, so that a bad line costs its neighbours some time and nothing else. All ways read the same
documents: what a quick way would read in another way than the slow one (several objects in a line, NaN, text that is
not UTF-8) it refuses.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from fms.model.batch import I64
from fms.model.document import DOCUMENT_SCHEMA, Block, Reject, kept_raw
from fms.sources.json_line import fields_of, read_line
from fms.sources.lines import BLOCK_BYTES, Input, Lines, LongLine, Progress, is_utf8, read_lines
from fms.sources.uniform import read_uniform

FEW_LINES = 64
"""So many lines that do not parse together are read one by one."""

PARTS = 8
"""More lines that do not parse together are tried again in so many parts."""

MANY_LINES = 1_000
"""Fewer lines are not worth looking for patterns."""

MISSES = 3
"""After so many runs of lines without patterns they are not looked for any more."""

_BRACE, _CLOSED, _RETURN, _N, _A, _I, _SMALL_N = b"{}\rNaIn"


class JsonLines:
    """A file or stream of JSON lines; ``first`` is the number of its first line."""

    def __init__(self, source: Input, block_bytes: int = BLOCK_BYTES, first: int = 1) -> None:
        self.name = source.name
        self._input = source
        self._block_bytes = block_bytes
        self._first = first

    def blocks(self) -> Iterator[Block]:
        """The documents in order. Raises Invalid when no more can be read."""
        progress = Progress()
        parser = Parser()
        for lines in read_lines(self._input, progress, self._block_bytes, self._first):
            how_far = {"bytes_done": progress.bytes_done, "bytes_total": self._input.size}
            if isinstance(lines, LongLine):
                reject = Reject(self.name, lines.number, "line_too_long", kept_raw(lines.head))
                yield Block.of_rejects([reject], **how_far)
            else:
                yield _block(self.name, lines, parser.parse(lines), how_far)


@dataclass
class Found:
    """What a run of lines holds; lines are counted from its first one, which is 0.

    Attributes:
        tables: documents, with the line of each.
        singles: documents that were read by themselves, with their lines.
        failed: line and reason of those that are none.
    """

    tables: list[tuple[pa.Table, I64]] = field(default_factory=list)
    singles: list[tuple[dict[str, Any], int]] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)

    def in_order(self) -> tuple[pa.Table, I64]:
        """All documents in one table in the order of the lines, and the line of each."""
        if self.singles:
            table = pa.Table.from_pylist([row for row, _ in self.singles], DOCUMENT_SCHEMA)
            self.tables.append((table, np.array([index for _, index in self.singles], np.int64)))
        indexes = np.concatenate([np.zeros(0, np.int64), *(indexes for _, indexes in self.tables)])
        table = _one_table([table for table, _ in self.tables])
        if (np.diff(indexes) > 0).all():
            return table, indexes
        order = np.argsort(indexes)
        return table.take(pa.array(order)), indexes[order]


def _block(name: str, lines: Lines, found: Found, how_far: dict[str, Any]) -> Block:
    columns, indexes = found.in_order()
    return Block(
        columns=columns,
        numbers=indexes + lines.first,
        raw=_raw(lines, indexes),
        rejects=[Reject(name, lines.first + index, why, lines.text(index)) for index, why in sorted(found.failed)],
        **how_far,
    )


def _one_table(tables: Sequence[pa.Table]) -> pa.Table:
    if len(tables) < 2:
        return tables[0] if tables else pa.table({})
    return pa.concat_tables(map(_without_codes, tables), promote_options="default")


def _without_codes(table: pa.Table) -> pa.Table:
    columns = {name: table[name] for name in table.column_names}
    for name, column in columns.items():
        if pa.types.is_dictionary(column.type):
            whole = column.combine_chunks()
            columns[name] = whole.dictionary.take(whole.indices)
    return pa.table(columns)


def _raw(lines: Lines, indexes: I64) -> Callable[[int], str]:
    return lambda row: lines.text(int(indexes[row]))


class Parser:
    """Parses runs of lines; learns which fields the documents have, because a column that is not there costs time."""

    def __init__(self) -> None:
        self._fields: set[str] | None = None
        self._others = False
        self._misses = 0

    def parse(self, lines: Lines) -> Found:
        """The documents in some lines, and the lines that are none."""
        if self._fields is None:
            self._fields = _first_fields(lines)
        found = Found()
        documents = np.flatnonzero(_not_blank(lines))
        # Most bad lines show it at once, and need not spoil the reading of their neighbours.
        braced = _is_braced(lines)[documents]
        self._read(lines, documents[braced], found)
        self._one_by_one(lines, documents[~braced], found)
        return found

    def _read(self, lines: Lines, indexes: I64, found: Found) -> None:
        if not len(indexes):
            return
        table = self.quick(lines.only(indexes))
        if table is not None:
            found.tables.append((table, indexes))
        elif len(indexes) <= FEW_LINES:
            self._one_by_one(lines, indexes, found)
        else:
            for part in np.array_split(indexes, PARTS):
                self._read(lines, part, found)

    def _one_by_one(self, lines: Lines, indexes: I64, found: Found) -> None:
        for index in indexes.tolist():
            document = read_line(lines.line(index), self._deep)
            if isinstance(document, str):
                found.failed.append((index, document))
            elif document is not None:
                found.singles.append((document, index))

    def quick(self, lines: Lines) -> pa.Table | None:
        """One row for each line; None if there is doubt."""
        if len(lines.ends) >= MANY_LINES and self._misses < MISSES:
            table = read_uniform(lines)
            self._misses = 0 if table is not None else self._misses + 1
            if table is not None:
                return table
        # With braces at both ends a document cannot reach over two lines: a closing and an opening brace in a row end
        # one document and start another, or are no JSON. (And Arrow dies of a file that starts with null.)
        if not (_is_braced(lines).all() and is_utf8(lines.data)):
            return None
        table = self._parsed(lines.data)
        return table if table is not None and table.num_rows == len(lines.ends) else None

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

    def _deep(self, line: bytes) -> dict[str, Any] | None:
        """A line that is nested too deep for the slow way, as the quick way reads it."""
        table = self.quick(Lines(line + b"\n", 1))
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


def _not_blank(lines: Lines) -> Any:
    """Which lines are longer than a carriage return; those of other blanks are left to the slow way."""
    data = np.frombuffer(lines.data, np.uint8)
    length = lines.ends - lines.starts
    return (length > 1) | ((length == 1) & (data[lines.starts] != _RETURN))


def _is_braced(lines: Lines) -> Any:
    """Which lines start and end with a brace."""
    data = np.frombuffer(lines.data, np.uint8)
    last = lines.ends - 1
    last = last - (data[last] == _RETURN)
    return (data[lines.starts] == _BRACE) & (data[last] == _CLOSED)


def _has_odd_number(data: bytes) -> bool:
    """Whether NaN or Infinity may stand somewhere, which Arrow reads where it ignores the field."""
    codes = np.frombuffer(data, np.uint8)
    this, following = codes[:-1], codes[1:]
    found = ((this == _N) & (following == _A)) | ((this == _I) & (following == _SMALL_N))
    return bool(found.any()) and (b"NaN" in data or b"Inf" in data)
