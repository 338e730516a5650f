"""The records of a CSV file: where each one starts and ends, and how many columns it has."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fms.model.batch import I64
from fms.model.document import RAW_KEPT, kept_raw
from fms.sources.lines import LONGEST_LINE, Lines, LongLine, is_utf8

BLANKS = b" \t\r"
QUOTE = 34


@dataclass(frozen=True)
class Records:
    """Whole records.

    Attributes:
        lines: the lines that they take.
        first, last: of each record, the index of its first and last line.
    """

    lines: Lines
    first: I64
    last: I64

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def numbers(self) -> I64:
        """The number of each record's first line."""
        return self.first + self.lines.first

    def record(self, index: int) -> bytes:
        """One record without its line end."""
        return self.lines.data[self.lines.starts[self.first[index]] : self.lines.ends[self.last[index]]]

    def whole(self, index: int) -> bytes:
        """One record with its line end."""
        return self.record(index) + b"\n"

    def text(self, index: int) -> str:
        """One record as it is kept in a reject."""
        return kept_raw(self.record(index).removesuffix(b"\r"))

    def after(self, index: int) -> "list[Records]":
        """The records behind one, if there are any."""
        if index + 1 == len(self):
            return []
        start = int(self.first[index + 1])
        lines = self.lines.part(start, len(self.lines.ends))
        return [Records(lines, self.first[index + 1 :] - start, self.last[index + 1 :] - start)]

    def judged(self, width: int, delimiter: str) -> tuple[I64, list[tuple[int, str]]]:
        """The records of so many columns, and why others are none; blank lines are neither."""
        starts, ends = self.lines.starts[self.first], self.lines.ends[self.last]
        data = np.frombuffer(self.lines.data, np.uint8)
        marks = np.flatnonzero(data == ord(delimiter))
        quotes = np.flatnonzero(data == QUOTE)
        if len(quotes):
            marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
        columns = np.searchsorted(marks, ends) - np.searchsorted(marks, starts) + 1
        good = (columns == width) & (ends > starts)
        failed = [
            (index, "wrong_columns" if is_utf8(self.record(index)) else "not_utf8")
            for index in np.flatnonzero(~good).tolist()
            if self.record(index).strip(BLANKS)
        ]
        if not is_utf8(self.lines.data):
            odd = [index for index in np.flatnonzero(good).tolist() if not is_utf8(self.record(index))]
            good[odd] = False
            failed = sorted([*failed, *((index, "not_utf8") for index in odd)])
        return np.flatnonzero(good), failed


def read_records(runs: Iterator[Lines | LongLine]) -> Iterator[Records | LongLine]:
    """Lines put together where a quoted value goes on over the end of a line."""
    rest: Lines | None = None
    for run in runs:
        if isinstance(run, LongLine):
            yield from _ended(rest)
            yield run
            rest = None
            continue
        records, rest = _cut(run if rest is None else Lines(rest.data + run.data, rest.first))
        if records is not None:
            yield records
        while rest is not None and len(rest.data) > LONGEST_LINE:
            line, records, rest = _without_first(rest)
            yield line
            if records is not None:
                yield records
    yield from _ended(rest)


def _ended(rest: Lines | None) -> Iterator[Records | LongLine]:
    """What is left when nothing follows: a quote was opened that is never closed."""
    while rest is not None:
        line, records, rest = _without_first(rest)
        yield line
        if records is not None:
            yield records


def _without_first(rest: Lines) -> tuple[LongLine, Records | None, Lines | None]:
    line = LongLine(rest.first, rest.line(0)[:RAW_KEPT], whole=False)
    if len(rest.ends) == 1:
        return line, None, None
    return line, *_cut(rest.part(1, len(rest.ends)))


def _cut(lines: Lines) -> tuple[Records | None, Lines | None]:
    """The whole records of some lines, and the lines of one that is not whole yet."""
    if b'"' not in lines.data:
        every = np.arange(len(lines.ends))
        return Records(lines, every, every), None
    quotes = np.flatnonzero(np.frombuffer(lines.data, np.uint8) == QUOTE)
    last = np.flatnonzero(np.searchsorted(quotes, lines.ends) % 2 == 0)
    if not len(last):
        return None, lines
    end = int(last[-1]) + 1
    first = np.concatenate(([0], last[:-1] + 1))
    rest = lines.part(end, len(lines.ends)) if end < len(lines.ends) else None
    return Records(lines.part(0, end), first, last), rest
