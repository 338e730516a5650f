"""The loose columns of a block, as the checks want them; and which check each row failed first."""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fms.errors import Invalid
from fms.model.batch import I64, TEXT, ints
from fms.model.document import REASONS
from fms.model.hashing import codes
from fms.stages.coded import Coded, Mask, Normal, constant
from fms.stages.words import FLIGHT_MARK, flight_list, flight_text

REASON_NUMBERS = {reason: number for number, reason in enumerate(REASONS, 1)}

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_INT64 = 1 << 63


class Verdict:
    """The first reason against each row, as a number in ``REASON_NUMBERS``; 0: none yet."""

    def __init__(self, rows: int) -> None:
        self.why: npt.NDArray[np.uint8] = np.zeros(rows, np.uint8)

    def fail(self, reason: str, rows: Mask) -> None:
        """Reject rows that nothing was said against so far."""
        if rows.any():
            self.why[rows & (self.why == 0)] = REASON_NUMBERS[reason]


class Rows:
    """The documents of a block, column by column; columns that are not there are all null."""

    def __init__(self, table: pa.Table, verdict: Verdict) -> None:
        self._columns = {name: _whole(table[name]) for name in table.column_names}
        self._coded: dict[str, Coded] = {}
        self._verdict = verdict
        self.count = table.num_rows
        self.nothing: Mask = np.zeros(self.count, bool)

    def fail(self, reason: str, rows: Mask) -> None:
        """Reject rows that nothing was said against so far."""
        self._verdict.fail(reason, rows)

    def column(self, name: str) -> pa.Array | None:
        """A column as it came; None if no row has a value."""
        column = self._columns.get(name)
        return None if column is None or column.null_count == self.count else column

    def coded(self, name: str) -> Coded:
        """A text column."""
        if name not in self._coded:
            column = self.column(name)
            missing = Coded(np.zeros(self.count, np.int64), [])
            self._coded[name] = missing if column is None else Coded.of(column)
        return self._coded[name]

    def present(self, name: str) -> Mask:
        """Which rows have a value."""
        column = self.column(name)
        return self.nothing if column is None else _valid(column)

    def integers(self, name: str, default: int, reason: str) -> I64:
        """An integer column, given as such or as text; what is no integer is rejected with ``reason``."""
        column = self.column(name)
        if column is None:
            return np.full(self.count, default, np.int64)
        if pa.types.is_integer(column.type):
            return ints(column, null=default)
        values, bad = self.coded(name).numbers(_integer, null=default)
        self.fail(reason, bad)
        return values

    def days(self, name: str, reason: str, parse: Callable[[str], int]) -> I64:
        """A date column as days since 1970 (0: none); what is no date is rejected with ``reason``."""
        column = self.column(name)
        if column is not None and pa.types.is_date32(column.type):
            return ints(column)
        values, bad = self.coded(name).numbers(parse)
        self.fail(reason, bad)
        return values

    def words(self, name: str, rule: Normal, default: str | None = None) -> pa.DictionaryArray:
        """A text column in normal form; what breaks the rule is rejected as ``bad_<name>``."""
        if self.column(name) is None:
            return pa.nulls(self.count, TEXT) if default is None else constant(default, self.count)
        column, bad = self.coded(name).normal(rule, default)
        self.fail(f"bad_{name}", bad)
        return column

    def flights(self, name: str) -> pa.DictionaryArray:
        """A column of flights, each row's joined by ``+``; what is none is rejected as ``bad_flights``."""
        column = self.column(name)
        if column is None:
            return pa.nulls(self.count, TEXT)
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not pa.types.is_list(kind):
            found, bad = self.coded(name).normal(flight_text)
        elif kind is not column.type:
            joined, odd = _joined(column.dictionary)
            self.fail("bad_flights", np.append(odd, False)[codes(column)])
            found, bad = Coded(codes(column), joined.fill_null("").to_pylist()).normal(flight_list)
        else:
            joined, odd = _joined(column)
            self.fail("bad_flights", odd)
            found, bad = Coded.of(joined).normal(flight_list)
        self.fail("bad_flights", bad)
        return found


def _whole(column: pa.ChunkedArray) -> pa.Array:
    # combine_chunks copies even a single chunk.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _valid(column: pa.Array) -> Mask:
    found: Mask = column.is_valid().to_numpy(zero_copy_only=False)
    return found


def _joined(lists: pa.Array) -> tuple[pa.Array, Mask]:
    """Each list as one text, and which lists cannot be one: a null in it, or the mark between flights."""
    flat = lists.flatten()
    if not lists.null_count and not flat.null_count and len(flat) == len(lists):
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
        if (lengths == 1).all():
            return flat, _mask(pc.match_substring(flat, FLIGHT_MARK))
    joined = pc.binary_join(lists, FLIGHT_MARK)
    marks = pc.add(pc.count_substring(joined, FLIGHT_MARK), 1)
    odd = pc.and_(lists.is_valid(), pc.fill_null(pc.not_equal(marks, pc.list_value_length(lists)), True))
    return joined, _mask(odd)


def _mask(column: pa.Array) -> Mask:
    found: Mask = column.to_numpy(zero_copy_only=False).astype(bool)
    return found


def _integer(text: str) -> int:
    """An integer, held within 64 bits: all that is beyond is out of every range."""
    if not _INTEGER.fullmatch(text):
        raise Invalid("not an integer")
    return max(-_INT64, min(_INT64 - 1, int(text)))
