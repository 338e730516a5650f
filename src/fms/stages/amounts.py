"""Amounts of money in decimal text as minor units, column by column; one by one it is ``money.parse_amount``."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fms.errors import Invalid
from fms.model.batch import I64
from fms.model.money import EXPONENT, MAX_MINOR, parse_amount
from fms.stages.coded import Coded

_DIGITS_AT_ONCE = 18
"""An integer of so many digits fits int64."""

_SIGNED = re.compile(r"(-?)(\d{1,20})(?:\.(\d{1,20}))?", re.ASCII)
_TENS = 10 ** np.arange(_DIGITS_AT_ONCE + 1, dtype=np.int64)


@dataclass(frozen=True)
class Amounts:
    """Prices, one a row: minor units where ``why`` is "", else the reason why there is none."""

    minor: I64
    why: npt.NDArray[np.object_]


def parse_amounts(column: pa.Array, currency: Coded) -> Amounts:
    """A column of decimal texts without nulls, each in the row's currency (known to ISO 4217, else the row is bad)."""
    exponents = np.array([*(EXPONENT.get(code, -1) for code in currency.texts), -1], np.int64)[currency.codes]
    value, decimals, plain = _plain(column)
    minor, settled = _scaled(value, decimals, exponents)
    why = np.full(len(column), "", object)
    for row in np.flatnonzero(~(plain & settled & (exponents >= 0))).tolist():
        code = currency.texts[currency.codes[row]] if exponents[row] >= 0 else ""
        try:
            minor[row] = parse_amount(column[row].as_py(), code)
        except Invalid:
            why[row] = _reason(column[row].as_py(), code)
    return Amounts(minor, why)


def _plain(column: pa.Array) -> tuple[I64, I64, npt.NDArray[np.bool_]]:
    """Of each text the number without its point, the digits after the point, and whether it is as simple as that."""
    offsets, data = _buffers(column)
    digit, point = (data - np.uint8(48)) < 10, data == 46
    digits_before = np.concatenate(([0], np.cumsum(digit)))[offsets]
    points_before = np.concatenate(([0], np.cumsum(point)))[offsets]
    digits, points, length = np.diff(digits_before), np.diff(points_before), np.diff(offsets)
    plain = (digits + points == length) & (points <= 1) & (digits >= 1) & (digits <= _DIGITS_AT_ONCE)
    # A point must have digits on both sides.
    plain[plain] &= digit[offsets[:-1][plain]] & digit[offsets[1:][plain] - 1]
    decimals = np.zeros(len(column), np.int64)
    pointed = np.flatnonzero(plain & (points == 1))
    decimals[pointed] = offsets[1:][pointed] - 1 - np.flatnonzero(point)[points_before[:-1][pointed]]
    value = np.zeros(len(column), np.int64)
    value[plain] = _integers(data[digit], digits_before, plain)
    return value, decimals, plain


def _buffers(column: pa.Array) -> tuple[I64, npt.NDArray[np.uint8]]:
    _, offsets_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def _integers(digits: npt.NDArray[np.uint8], offsets: I64, wanted: npt.NDArray[np.bool_]) -> I64:
    texts = pa.StringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(digits.tobytes())
    )
    found: I64 = texts.filter(pa.array(wanted)).cast(pa.int64()).to_numpy()
    return found


def _scaled(value: I64, decimals: I64, exponents: I64) -> tuple[I64, npt.NDArray[np.bool_]]:
    """Minor units, and whether they are a price; what is not is for the slow way to name."""
    surplus = np.clip(decimals - exponents, 0, _DIGITS_AT_ONCE)
    lacking = np.clip(exponents - decimals, 0, _DIGITS_AT_ONCE)
    whole, rest = np.divmod(value, _TENS[surplus])
    settled = (rest == 0) & (whole >= 1) & (whole <= MAX_MINOR // _TENS[lacking])
    return np.where(settled, whole, 0) * _TENS[lacking], settled


def _reason(text: str, currency: str) -> str:
    found = _SIGNED.fullmatch(text)
    if not found:
        return "bad_price"
    sign, whole, fraction = found.groups("")
    if sign or not (whole + fraction).strip("0"):
        return "price_not_positive"
    return "too_many_decimals" if fraction[EXPONENT.get(currency, 4) :].strip("0") else "price_out_of_range"
