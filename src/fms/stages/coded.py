"""Text columns as codes and distinct texts, so that a rule is applied once to each text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fms.errors import Invalid
from fms.model.batch import I64, TEXT
from fms.model.hashing import codes

Mask = npt.NDArray[np.bool_]

Normal = Callable[[str], str | None]
"""The normal form of a text; None: it says nothing. Raises Invalid for a text that breaks the rule."""


@dataclass(frozen=True)
class Coded:
    """A text column.

    Attributes:
        codes: one a row; a null is the code after the last text.
        texts: the distinct texts.
    """

    codes: I64
    texts: list[str]

    @classmethod
    def of(cls, column: pa.Array) -> "Coded":
        """A string column, coded unless it is so already."""
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        return cls(codes(encoded), encoded.dictionary.to_pylist())

    @property
    def missing(self) -> Mask:
        """Which rows have no text."""
        found: Mask = self.codes == len(self.texts)
        return found

    def where(self, holds: Callable[[str], bool], *, null: bool = False) -> Mask:
        """Which rows have a text for which something holds; ``null`` for those without."""
        table = np.array([*map(holds, self.texts), null], bool)
        found: Mask = table[self.codes]
        return found

    def numbers(self, value: Callable[[str], int], null: int = 0) -> tuple[I64, Mask]:
        """A number for each row, and which rows have a text that is none (Invalid, ValueError): ``null`` too."""
        values, bad = [null] * (len(self.texts) + 1), np.zeros(len(self.texts) + 1, bool)
        for code, text in enumerate(self.texts):
            try:
                values[code] = value(text)
            except (Invalid, ValueError):
                bad[code] = True
        return np.array(values, np.int64)[self.codes], bad[self.codes]

    def normal(self, rule: Normal, default: str | None = None) -> tuple[pa.DictionaryArray, Mask]:
        """The column in normal form, coded anew, and which rows break the rule; these are null.

        ``default`` stands for rows without text.
        """
        distinct: dict[str, int] = {}
        table, bad = [-1] * (len(self.texts) + 1), np.zeros(len(self.texts) + 1, bool)
        for code, text in enumerate(self.texts):
            try:
                found = rule(text)
            except Invalid:
                bad[code] = True
            else:
                table[code] = -1 if found is None else distinct.setdefault(found, len(distinct))
        if default is not None and len(self.texts) in self.codes:
            table[-1] = distinct.setdefault(default, len(distinct))
        return text_array(np.array(table, np.int32)[self.codes], list(distinct)), bad[self.codes]


def text_array(coded: npt.NDArray[np.int32], texts: Sequence[str]) -> pa.DictionaryArray:
    """A text column of a batch; a code below 0 is a null."""
    null = coded < 0
    indices = pa.array(coded, pa.int32(), mask=null if null.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))


def constant(text: str, rows: int) -> pa.DictionaryArray:
    """A text column of one text."""
    return text_array(np.zeros(rows, np.int32), [text])


def compact(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same column without texts that no row has."""
    used = np.zeros(len(column.dictionary) + 1, bool)
    used[codes(column)] = True
    used = used[:-1]
    if used.all():
        return column
    renumbered = np.cumsum(used, dtype=np.int32) - np.int32(1)
    indices = pa.array(renumbered).take(column.indices)
    return pa.DictionaryArray.from_arrays(indices, column.dictionary.filter(pa.array(used)))


def compacted(data: pa.RecordBatch, above: int = 0) -> pa.RecordBatch:
    """A record batch whose dictionaries of more than ``above`` texts hold only texts that some row has."""
    arrays: list[Any] = [
        compact(column) if column.type == TEXT and len(column.dictionary) > above else column for column in data.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=data.schema)
