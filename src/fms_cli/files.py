"""Files of batches between the stages: read as a stream, written whole or not at all."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import IO

from fms.errors import Fatal, Invalid
from fms.model.batch import AnyBatch, Batch, read_batches, read_made_from, write_batches


def batches_in(name: str, kind: type[AnyBatch]) -> Iterator[AnyBatch]:
    """The batches in a file (``-``: stdin); raises Invalid with its name."""
    try:
        with _opened(name) as source:
            yield from read_batches(source, kind)
    except Invalid as error:
        raise Invalid(f"{name}: {error}") from None
    except OSError as error:
        raise Invalid(f"{name}: {error.strerror}") from None


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as source:
            yield source


def digest_of(name: str) -> str:
    """The SHA-256 of a file's bytes; empty for stdin. Raises Invalid with its name."""
    if name == "-":
        return ""
    try:
        with Path(name).open("rb") as source:
            return file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise Invalid(f"{name}: {error.strerror}") from None


def is_made_from(name: str, made_from: str) -> bool:
    """Whether the file is a whole result that ``write_safely`` made from this."""
    if name == "-" or not made_from or not Path(name).is_file():
        return False
    with Path(name).open("rb") as source:
        return read_made_from(source) == made_from


def write_safely(name: str, kind: type[Batch], batches: Iterable[Batch], made_from: str = "") -> int:
    """Write batches to a file that is there whole, and on the disk, or not at all; answers the rows.

    What cannot be put in place whole is written as it comes: stdout (``-``), devices and pipes.
    """
    if name == "-":
        rows = write_batches(sys.stdout.buffer, kind, batches)
        sys.stdout.buffer.flush()
        return rows
    path = Path(name)
    try:
        # To rename a file to the name of a device would be the end of the device.
        if path.exists() and not path.is_file():
            with path.open("wb") as out:
                return write_batches(out, kind, batches, made_from)
        return _write_whole(path.resolve(), kind, batches, made_from)
    except OSError as error:
        raise Fatal(f"{path}: {error.strerror}") from None


def _write_whole(path: Path, kind: type[Batch], batches: Iterable[Batch], made_from: str) -> int:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as out:
            rows = write_batches(out, kind, batches, made_from)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
        _sync_directory(path.parent)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
