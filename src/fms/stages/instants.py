"""RFC 3339 times as UTC ms, column by column; one by one it is ``clock.parse_instant``."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fms.errors import Invalid
from fms.model.batch import I64
from fms.model.clock import parse_instant
from fms.stages.coded import Coded, Mask

MANY = 64
"""From so many distinct times on the column is worth its own way."""

_SHAPES = {20: b"0000-00-00T00:00:00Z", 24: b"0000-00-00T00:00:00.000Z"}
"""The two shapes that nearly all times have."""

_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)

_parse = lru_cache(maxsize=4096)(parse_instant)


def parse_instants(column: Coded) -> tuple[I64, Mask]:
    """UTC ms of each row (0 where there is no text), and which rows have a text that is no time."""
    if len(column.texts) < MANY:
        return column.numbers(_parse)
    texts = np.array([text.encode() for text in column.texts], object)
    lengths = np.array([len(text) for text in texts], np.int64)
    values, bad = np.zeros(len(texts) + 1, np.int64), np.zeros(len(texts) + 1, bool)
    for length, shape in _SHAPES.items():
        places = np.flatnonzero(lengths == length)
        if len(places):
            values[places], bad[places] = _shaped(b"".join(texts[places]), shape)
    # Whatever is not of these shapes, or not good, is judged by the one rule.
    for place in np.flatnonzero(bad[:-1] | ~np.isin(lengths, list(_SHAPES))).tolist():
        try:
            values[place], bad[place] = parse_instant(column.texts[place]), False
        except Invalid:
            bad[place] = True
    return values[column.codes], bad[column.codes]


def _shaped(data: bytes, shape: bytes) -> tuple[I64, npt.NDArray[np.bool_]]:
    """Texts of one shape, one after the other: their times, and which are not good."""
    pattern = np.frombuffer(shape, np.uint8)
    text = np.frombuffer(data, np.uint8).reshape(-1, len(shape))
    is_digit = pattern == ord("0")
    digits = (text - np.uint8(48)).astype(np.int64)
    good = (text[:, ~is_digit] == pattern[~is_digit]).all(axis=1) & (digits[:, is_digit] < 10).all(axis=1)
    year, month, day, hour, minute, second = (
        _number(digits, *span) for span in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))
    )
    ms = _number(digits, 20, 23) if len(shape) > 20 else np.zeros(len(text), np.int64)
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    month = np.where(good, month, 1)
    good &= (day >= 1) & (day <= _MONTH_DAYS[month] + ((month == 2) & _leap(year)))
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms, ~good


def _number(digits: I64, start: int, end: int) -> I64:
    found: I64 = digits[:, start:end] @ (10 ** np.arange(end - start - 1, -1, -1, dtype=np.int64))
    return found


def _leap(year: I64) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return found
