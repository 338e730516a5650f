"""CSV with a header and a mapping, plain or gzip.

A record is one line, or more if a quoted value has line ends in it; a malformed one is set aside, the others go on.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from fms.errors import Invalid
from fms.model.batch import I64
from fms.model.document import Block, Reject, kept_raw
from fms.sources.csv_records import BLANKS, Records, read_records
from fms.sources.lines import BLOCK_BYTES, Input, LongLine, Progress, is_utf8, read_lines
from fms.sources.mapping import Mapping


class CsvFile:
    """A CSV file, read by a mapping."""

    def __init__(self, source: Input, mapping: Mapping, block_bytes: int = BLOCK_BYTES) -> None:
        self.name = source.name
        self._input = source
        self._mapping = mapping
        self._block_bytes = block_bytes

    def blocks(self) -> Iterator[Block]:
        """The documents in order. Raises Invalid when no more can be read, or the header lacks a mapped column."""
        progress = Progress()
        records = read_records(read_lines(self._input, progress, self._block_bytes))
        header, rest = self._header(records)
        for found in chain(rest, records):
            how_far = {"bytes_done": progress.bytes_done, "bytes_total": self._input.size}
            if isinstance(found, LongLine):
                reason = "line_too_long" if found.whole else "wrong_columns"
                yield Block.of_rejects([Reject(self.name, found.number, reason, kept_raw(found.head))], **how_far)
            else:
                yield self._block(header, found, how_far)

    def _header(self, records: Iterator[Records | LongLine]) -> "tuple[Header, list[Records]]":
        """The first line that is not blank, and the records that were read with it."""
        for found in records:
            if isinstance(found, LongLine):
                break
            for place in range(len(found)):
                if found.record(place).strip(BLANKS):
                    return self._checked_header(found.record(place)), found.after(place)
        raise Invalid(f"{self.name}: no CSV header")

    def _checked_header(self, record: bytes) -> "Header":
        names = [name.strip() for name in _row(record, self._mapping.delimiter)] if is_utf8(record) else []
        if not names:
            raise Invalid(f"{self.name}: the first line is no CSV header")
        for wanted in self._mapping.used:
            if names.count(wanted) != 1:
                raise Invalid(f"{self.name}: the header has {names.count(wanted) or 'no'} column called {wanted!r}")
        return Header(names)

    def _block(self, header: "Header", records: Records, how_far: dict[str, Any]) -> Block:
        kept, failed = records.judged(len(header.names), self._mapping.delimiter)
        cells = self._parsed(header, records, kept)
        if cells is None:
            cells, kept, odd = self._one_by_one(header, records, kept)
            failed = sorted([*failed, *odd])
        return Block(
            columns=self._mapping.fields(cells),
            numbers=records.numbers[kept],
            raw=lambda row: records.text(int(kept[row])),
            rejects=[Reject(self.name, int(records.numbers[index]), why, records.text(index)) for index, why in failed],
            **how_far,
        )

    def _parsed(self, header: "Header", records: Records, kept: I64) -> pa.Table | None:
        data = records.lines.data if len(kept) == len(records) else b"".join(map(records.whole, kept.tolist()))
        if not data:
            return self._cells(header, [])
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(data),
                read_options=pa.csv.ReadOptions(
                    use_threads=False, block_size=len(data) + 1, column_names=header.numbered
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=self._mapping.delimiter, newlines_in_values=b'"' in data, ignore_empty_lines=False
                ),
                convert_options=pa.csv.ConvertOptions(
                    include_columns=header.places(self._mapping.used),
                    column_types=dict.fromkeys(header.numbered, pa.string()),
                ),
            )
        except pa.ArrowInvalid:
            return None
        return table.rename_columns(self._mapping.used) if table.num_rows == len(kept) else None

    def _one_by_one(self, header: "Header", records: Records, kept: I64) -> tuple[pa.Table, I64, list[tuple[int, str]]]:
        rows: list[list[str]] = []
        good: list[int] = []
        odd: list[tuple[int, str]] = []
        for index in kept.tolist():
            cells = _row(records.record(index), self._mapping.delimiter)
            if len(cells) == len(header.names):
                rows.append(cells)
                good.append(index)
            else:
                odd.append((index, "wrong_columns"))
        return self._cells(header, rows), np.array(good, np.int64), odd

    def _cells(self, header: "Header", rows: list[list[str]]) -> pa.Table:
        places = {name: header.names.index(name) for name in self._mapping.used}
        return pa.table({name: pa.array([row[at] for row in rows], pa.string()) for name, at in places.items()})


def _row(record: bytes, delimiter: str) -> list[str]:
    """The cells of one record; none if its quotes do not match."""
    text = record.removesuffix(b"\r").decode()
    try:
        rows = list(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
    except csv.Error:
        return []
    return rows[0] if len(rows) == 1 else []


@dataclass(frozen=True)
class Header:
    """The names of a file's columns."""

    names: list[str]

    @cached_property
    def numbered(self) -> list[str]:
        """A name for each column that is different from all others."""
        return [f"c{place}" for place in range(len(self.names))]

    def places(self, names: list[str]) -> list[str]:
        """The columns of these names, as they are numbered."""
        return [self.numbered[self.names.index(name)] for name in names]
