"""Finds out what a file is, by its first bytes and its name, and opens it."""

import stat
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from fms.errors import Invalid
from fms.model.document import Source
from fms.sources.csv import CsvFile
from fms.sources.ipc import FILE_MAGIC, ArrowFile
from fms.sources.jsonl import JsonLines
from fms.sources.lines import Input
from fms.sources.mapping import Mapping, read_mapping
from fms.sources.parquet import ParquetFile

_STREAM_MAGIC = b"\xff\xff\xff\xff"
_UNREAD = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"SQLite": "SQLite"}
_CSV_SUFFIXES = (".csv", ".tsv", ".txt")


def open_source(name: str, mapping: Mapping | Path | None = None) -> Source:
    """The documents of a file: JSON lines, CSV (both also gzip), Parquet or Arrow; ``-`` is JSON lines on stdin.

    Args:
        name: the file.
        mapping: what the columns of a CSV file mean; files of other kinds do without it.

    Raises Invalid with one line: no such file, a directory, not readable, CSV without a mapping, a broken mapping.
    """
    if isinstance(mapping, Path):
        mapping = read_mapping(mapping)
    if name == "-":
        return JsonLines(Input("stdin", _stdin))
    path = Path(name)
    magic, size = _peek(path)
    for start, kind in _UNREAD.items():
        if magic.startswith(start):
            raise Invalid(f"{name}: a {kind} file, which is not read")
    if magic.startswith(b"PAR1"):
        return ParquetFile(path)
    if magic.startswith((FILE_MAGIC, _STREAM_MAGIC)):
        return ArrowFile(path)
    source = Input(name, lambda: path.open("rb"), size)
    if not _is_csv(path):
        return JsonLines(source)
    if mapping is None:
        raise Invalid(f"{name}: a CSV file needs a mapping (--mapping FILE.toml)")
    return CsvFile(source, mapping)


def _stdin() -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer)


def _is_csv(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(_CSV_SUFFIXES)


def _peek(path: Path) -> tuple[bytes, int | None]:
    """The first bytes and the size of a file; none of both for a pipe, which can be read only once."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise Invalid(f"{path}: a directory, not a file")
        if not stat.S_ISREG(status.st_mode):
            return b"", None
        with path.open("rb") as file:
            return file.read(16), status.st_size
    except (OSError, ValueError) as error:
        raise Invalid(f"{path}: {getattr(error, 'strerror', None) or error}") from None
