"""Runs of JSON lines that differ in nothing but the values of the same fields in the same order, as programs write.

Their quotes stand in the same places of the pattern in each line, so that a few numpy operations over all lines check
the text between the values and cut the values out. The first line says what the pattern is. Anything else (an escape,
a line of other fields, a list of two) is left to a real parser.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fms.model.batch import I64
from fms.model.document import FLIGHT_FIELDS, INT_FIELDS, TEXT_FIELDS
from fms.sources.lines import NEWLINE, Lines

LONGEST_VALUE = 40
"""Bytes of the longest text that is cut out this way."""

LONGEST_INT = 18

_QUOTE, _FIRST_PRINTABLE, _WORD = 34, 32, 8
_PAD = bytes(_WORD)
_MASKS = np.array([(1 << (8 * kept)) - 1 for kept in range(_WORD + 1)], np.uint64)

_TOKEN = re.compile(r'\{|\}|,|:|\[|\]|"([^"]*)"|(0|[1-9][0-9]{0,17})|true|false|null|[ ]+')
_PAIR = re.compile(
    r'[ ]*"(?P<key>[^"]+)"[ ]*:[ ]*'
    r'(?:"(?P<text>[^"]*)"|\[[ ]*"(?P<flight>[^"]*)"[ ]*\]|(?P<int>0|[1-9][0-9]{0,17})|null|true|false)[ ]*'
)


@dataclass(frozen=True)
class Value:
    """A value in the pattern.

    Attributes:
        field: its key.
        kind: ``text``, ``flight`` (the only one of a list) or ``int``.
    """

    field: str
    kind: str

    @property
    def known(self) -> bool:
        """Whether ingest reads the field."""
        return self.field in {"text": TEXT_FIELDS, "flight": FLIGHT_FIELDS, "int": INT_FIELDS}[self.kind]


@dataclass(frozen=True)
class Pattern:
    """What all lines have in common: ``fixed[0] values[0] fixed[1] values[1] … fixed[-1]``."""

    fixed: tuple[bytes, ...]
    values: tuple[Value, ...]

    @cached_property
    def quotes(self) -> int:
        """Quotes in each line."""
        return sum(text.count(b'"') for text in self.fixed)

    @classmethod
    def of(cls, line: bytes) -> "Pattern | None":
        """The pattern of a line; None if it is no flat object without escapes, or has a field twice or wrongly."""
        text = line.decode("latin-1")
        if not (text.startswith("{") and text.endswith("}")) or "\\" in text:
            return None
        fixed, values, keys = ["{"], [], set()
        place, end = 1, len(text) - 1
        while place < end:
            pair = _PAIR.match(text, place, end)
            if not pair or pair["key"] in keys or (pair.end() < end and text[pair.end()] != ","):
                return None
            keys.add(pair["key"])
            kind = pair.lastgroup if pair.lastgroup != "key" else None
            start, stop = pair.span(kind) if kind else (pair.end(), pair.end())
            fixed[-1] += text[place:start]
            if kind:
                values.append(Value(pair["key"], kind))
                fixed.append(text[stop : pair.end()])
            fixed[-1] += text[pair.end() : pair.end() + 1] if pair.end() < end else ""
            place = pair.end() + 1
            if place == end:
                return None
        fixed[-1] += "}"
        wrong = [one for one in values if not one.known and one.field in _KNOWN] or not values or not (keys & _KNOWN)
        return None if wrong else cls(tuple(part.encode("latin-1") for part in fixed), tuple(values))


_KNOWN = {*TEXT_FIELDS, *FLIGHT_FIELDS, *INT_FIELDS}


def read_uniform(lines: Lines, pattern: Pattern) -> pa.Table | None:
    """The known fields of lines that are all of the pattern; text is dictionary-coded. None if one line is not.

    The lines must be ASCII.
    """
    text = _Text(lines)
    spans = text.spans(pattern)
    if spans is None:
        return None
    columns: dict[str, Any] = {}
    for value, (start, end) in zip(pattern.values, spans, strict=True):
        column = text.ints(start, end) if value.kind == "int" else text.coded(start, end) if value.known else True
        if column is None:
            return None
        if value.known:
            columns[value.field] = _as_lists(column) if value.kind == "flight" else column
    return pa.table(columns)


def _as_lists(column: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32)), column)


class _Text:
    """The bytes of some lines, to be looked at eight at a time from any place."""

    def __init__(self, lines: Lines) -> None:
        data = lines.data + _PAD
        self._bytes = np.frombuffer(data, np.uint8)
        # Words at every byte, not at every eighth: unaligned on purpose.
        self._words = np.ndarray((len(lines.data),), "<u8", buffer=data, strides=(1,))
        self._starts, self._ends = lines.starts, lines.ends
        self._plain = b"\\" not in data

    def spans(self, pattern: Pattern) -> list[tuple[I64, I64]] | None:
        """Where each value starts and ends in each line; None if a line is not of the pattern."""
        body = self._bytes[:-_WORD]
        if not self._plain or np.count_nonzero(body < _FIRST_PRINTABLE) != len(self._ends):
            return None
        quotes = np.flatnonzero(body == _QUOTE)
        if len(quotes) != pattern.quotes * len(self._ends):
            return None
        found = self._cut(pattern, quotes.reshape(len(self._ends), pattern.quotes))
        edges = [self._starts, *(edge for span in found for edge in span), self._ends]
        for fixed, start, end in zip(pattern.fixed, edges[::2], edges[1::2], strict=True):
            if not self._is_fixed(fixed, start, end):
                return None
        return found

    def _cut(self, pattern: Pattern, quotes: I64) -> list[tuple[I64, I64]]:
        """Where the values are if the lines are of the pattern: between the quotes around them."""
        found, passed = [], 0
        for place, value in enumerate(pattern.values):
            before, after = pattern.fixed[place], pattern.fixed[place + 1]
            passed += before.count(b'"')
            # An integer is cut out between the nearest quotes, or the line's end, and the text that is known.
            lead = len(before) - before.rindex(b'"') - 1
            trail = after.find(b'"')
            end = quotes[:, passed] if trail >= 0 else self._ends
            start = quotes[:, passed - 1] + 1 + lead
            found.append((start, end - (trail if trail >= 0 else len(after)) if value.kind == "int" else end - trail))
        return found

    def _is_fixed(self, fixed: bytes, start: I64, end: I64) -> bool:
        if (end - start != len(fixed)).any():
            return False
        # The last word may look at some bytes again; only a text shorter than a word must be cut.
        offsets = [*range(0, len(fixed) - _WORD, _WORD), max(0, len(fixed) - _WORD)]
        for offset in offsets:
            part = fixed[offset : offset + _WORD]
            word = self._words[start + offset if offset else start]
            if len(part) < _WORD:
                word &= _MASKS[len(part)]
            if (word != np.uint64(int.from_bytes(part, "little"))).any():
                return False
        return True

    def coded(self, start: I64, end: I64) -> pa.DictionaryArray | None:
        """The texts between the places, each distinct one once; None if one is too long."""
        length = end - start
        longest = int(length.max())
        if longest > LONGEST_VALUE:
            return None
        words = max(1, -(-longest // _WORD))
        cut = np.empty((len(start), words), np.uint64)
        alike = int(length.min()) == longest
        for word in range(words):
            place = word * _WORD
            kept = min(longest - place, _WORD) if alike else np.clip(length - place, 0, _WORD)
            # A place behind a short text may be behind all text too; nothing of it is kept.
            found = self._words[start + place if alike else np.minimum(start + place, len(self._words) - 1)]
            cut[:, word] = found if alike and kept == _WORD else found & _MASKS[kept]
        raw = pa.FixedSizeBinaryArray.from_buffers(pa.binary(words * _WORD), len(cut), [None, pa.py_buffer(cut)])
        coded = raw.dictionary_encode()
        texts = [text.rstrip(b"\0").decode() for text in coded.dictionary.to_pylist()]
        return pa.DictionaryArray.from_arrays(coded.indices, pa.array(texts, pa.string()))

    def ints(self, start: I64, end: I64) -> pa.Array | None:
        """The integers between the places; None if one is none, or is longer than fits."""
        length = end - start
        longest = int(length.max())
        if int(length.min()) < 1 or longest > LONGEST_INT:
            return None
        first = self._bytes[start]
        if ((first == ord("0")) & (length > 1)).any():
            return None
        value = np.zeros(len(start), np.int64)
        for place in range(longest):
            digit = self._bytes[np.minimum(start + place, end - 1)] - np.uint8(ord("0"))
            inside = place < length
            if (digit[inside] > 9).any():
                return None
            value = np.where(inside, value * 10 + digit, value)
        return pa.array(value)


def has_only_lines(lines: Lines) -> bool:
    """Whether each line is one of text, ended by a newline alone."""
    return lines.data[-1] == NEWLINE and lines.data.isascii()
