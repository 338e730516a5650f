"""Bytes of a file as runs of whole lines, in memory that no line can exceed."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, BinaryIO

import numpy as np

from fms.errors import Invalid
from fms.model.batch import I64, first_line
from fms.model.document import RAW_KEPT, kept_raw

BLOCK_BYTES = 4 * 1024 * 1024
"""How much is read and parsed at a time."""

LONGEST_LINE = 1024 * 1024
"""Bytes of the longest line that is read."""

PACKED_BYTES = 16 * 1024
"""How much of a gzip file is unpacked at a time."""

BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
NEWLINE = 10


@dataclass(frozen=True)
class Lines:
    """Whole lines.

    Attributes:
        data: their bytes; ends with a newline.
        first: the number of the first line, from 1.
    """

    data: bytes
    first: int

    @cached_property
    def ends(self) -> I64:
        """Where each line's newline is."""
        return np.flatnonzero(np.frombuffer(self.data, np.uint8) == NEWLINE)

    @cached_property
    def starts(self) -> I64:
        """Where each line starts."""
        return np.concatenate(([0], self.ends[:-1] + 1)).astype(np.int64)

    def line(self, index: int) -> bytes:
        """One line, without its newline."""
        return self.data[self.starts[index] : self.ends[index]]

    def part(self, start: int, end: int) -> "Lines":
        """Lines ``start`` to ``end``, the last not included."""
        return Lines(self.data[self.starts[start] : self.ends[end - 1] + 1], self.first + start)

    def only(self, indexes: I64) -> "Lines":
        """Some lines, ascending; their numbers mean nothing any more unless they follow each other."""
        if len(indexes) == len(self.ends):
            return self
        start, end = int(indexes[0]), int(indexes[-1]) + 1
        if end - start == len(indexes):
            return self.part(start, end)
        return Lines(b"".join(self.data[a : b + 1] for a, b in self._edges(indexes)), 1)

    def _edges(self, indexes: I64) -> Iterator[tuple[int, int]]:
        return zip(self.starts[indexes].tolist(), self.ends[indexes].tolist(), strict=True)

    def text(self, index: int) -> str:
        """One line as it is kept in a reject."""
        return kept_raw(self.line(index).rstrip(b"\r"))


@dataclass(frozen=True)
class LongLine:
    """A line that cannot be read with others: its number and its start; ``whole``: it is too long by itself."""

    number: int
    head: bytes
    whole: bool = True


@dataclass(frozen=True)
class Input:
    """A file or a stream of bytes.

    Attributes:
        name: as the user calls it.
        open: opens it at its start; a context.
        size: in bytes; None: not known.
    """

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    size: int | None = None


@dataclass
class Progress:
    """How many bytes of a file were read."""

    bytes_done: int = 0


def read_lines(
    source: Input, progress: Progress, block_bytes: int = BLOCK_BYTES, first: int = 1
) -> Iterator[Lines | LongLine]:
    """The lines of a plain or gzip file in order; a byte order mark is skipped, a last line may lack its newline.

    ``first`` is the number of the first line.

    Raises Invalid, after the lines before it, when the file is damaged or cut off.
    """
    number, rest = first, b""
    for block in _without_bom(_gathered(_plain(source, progress, block_bytes), block_bytes)):
        chunk = block
        if len(rest) > LONGEST_LINE:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            yield LongLine(number, rest[:RAW_KEPT])
            number, rest, chunk = number + 1, b"", chunk[end + 1 :]
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            rest += chunk
            continue
        lines = Lines(rest + chunk[:cut], number)
        yield from _long_ones_apart(lines)
        number, rest = number + len(lines.ends), chunk[cut:]
    if len(rest) > LONGEST_LINE:
        yield LongLine(number, rest[:RAW_KEPT])
    elif rest:
        yield Lines(rest + b"\n", number)


def _long_ones_apart(lines: Lines) -> Iterator[Lines | LongLine]:
    long_ones = np.flatnonzero(lines.ends - lines.starts > LONGEST_LINE).tolist()
    if not long_ones:
        yield lines
        return
    done = 0
    for index in long_ones:
        if index > done:
            yield lines.part(done, index)
        yield LongLine(lines.first + index, lines.line(index)[:RAW_KEPT])
        done = index + 1
    if done < len(lines.ends):
        yield lines.part(done, len(lines.ends))


def _without_bom(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for head in chunks:
        yield head.removeprefix(BOM)
        yield from chunks


def _gathered(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Pieces put together to at least ``size``; what there is also when no more can be read."""
    held: list[bytes] = []
    try:
        for piece in pieces:
            held.append(piece)
            if sum(map(len, held)) >= size:
                yield b"".join(held)
                held = []
    except Invalid:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _plain(source: Input, progress: Progress, size: int) -> Iterator[bytes]:
    chunks = _chunks(source, progress, size)
    for head in chunks:
        whole = chain((head,), chunks)
        yield from _unzipped(whole, source.name, size) if head.startswith(GZIP) else whole


def _chunks(source: Input, progress: Progress, size: int) -> Iterator[bytes]:
    try:
        with source.open() as stream:
            while chunk := stream.read(size):
                progress.bytes_done += len(chunk)
                yield chunk
    except OSError as error:
        raise Invalid(f"{source.name}: {error.strerror or first_line(error)}") from None


def _unzipped(chunks: Iterator[bytes], name: str, size: int) -> Iterator[bytes]:
    """A gzip file of one or more members. By hand: ``gzip`` loses what stands before a damaged place."""
    unzip = _Unzip()
    for piece in _small(chunks):
        packed = piece
        while packed:
            try:
                plain, packed = unzip.feed(packed, size)
            except zlib.error as error:
                raise Invalid(f"{name}: damaged gzip file: {first_line(error)}") from None
            if plain:
                yield plain
    if not unzip.whole:
        raise Invalid(f"{name}: the gzip file is cut off")


def _member() -> Any:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _small(chunks: Iterator[bytes]) -> Iterator[bytes]:
    # An error costs all that the same call would have given.
    for chunk in chunks:
        for start in range(0, len(chunk), PACKED_BYTES):
            yield chunk[start : start + PACKED_BYTES]


class _Unzip:
    """Unpacks members one after the other; zeros may follow them."""

    def __init__(self) -> None:
        self.whole = False
        self._member = _member()

    def feed(self, packed: bytes, most: int) -> tuple[bytes, bytes]:
        """At most ``most`` plain bytes, and what is to be fed next."""
        if self.whole:
            packed = packed.lstrip(b"\0")
            if not packed:
                return b"", b""
            self._member = _member()
        plain = self._member.decompress(packed, most)
        self.whole = self._member.eof
        return plain, self._member.unused_data if self.whole else self._member.unconsumed_tail


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8 text."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
