"""Stable 64-bit hashes: the same in every process, on every machine, for ever (stored in price books)."""

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

U64 = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)

_WORD = 0xFFFF_FFFF_FFFF_FFFF

NULL_HASH = 0x6E756C6C
"""What stands for a missing value."""


def text_hash(text: str) -> int:
    """64 bits of BLAKE2b of the UTF-8 text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def mix(left: U64, right: U64 | np.uint64) -> U64:
    """Two columns of hashes folded into one, order-sensitive (the finaliser of splitmix64 over a sum)."""
    with np.errstate(over="ignore"):
        z = left * _GOLDEN + right
        z = (z ^ (z >> _S30)) * _M1
        z = (z ^ (z >> _S27)) * _M2
        return z ^ (z >> _S31)


def mix_one(left: int, right: int) -> int:
    """``mix`` of two hashes, without the cost of arrays."""
    z = (left * int(_GOLDEN) + right) & _WORD
    z = ((z ^ (z >> 30)) * int(_M1)) & _WORD
    z = ((z ^ (z >> 27)) * int(_M2)) & _WORD
    return z ^ (z >> 31)


def hash_ints(values: npt.NDArray[np.int64]) -> U64:
    """A column of integers as hashes."""
    return mix(values.view(np.uint64), _GOLDEN)


def hash_coded(column: pa.DictionaryArray) -> U64:
    """A dictionary-coded text column as hashes: each distinct text is hashed once, then taken by code."""
    table = [text_hash(text) for text in column.dictionary.to_pylist()]
    table.append(NULL_HASH)
    return np.array(table, dtype=np.uint64)[codes(column)]


def codes(column: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """The codes of a dictionary column; a null is the code after the last."""
    indices = column.indices
    if indices.null_count:
        indices = indices.fill_null(len(column.dictionary))
    values: npt.NDArray[np.int64] = indices.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return values
