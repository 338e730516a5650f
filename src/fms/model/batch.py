"""Rows in columns: what every kind of batch shares, and its form in files and messages (Arrow IPC stream, LZ4)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fms.errors import Invalid
from fms.model.hashing import codes

BATCH_ROWS = 10_000
"""Rows a batch aims at."""

TICK_ROWS = 10_000
"""Rows of one time in one tick; more are several ticks. Ingest never splits a tick, and diff finds it again."""

I64 = npt.NDArray[np.int64]
TEXT = pa.dictionary(pa.int32(), pa.string())
INSTANT = pa.timestamp("ms", "UTC")


def text_column(values: Iterable[str | None]) -> pa.DictionaryArray:
    """A dictionary-coded text column, in the one form that batches use."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return encoded.cast(TEXT)


def ints(column: pa.Array, null: int = 0) -> I64:
    """An integer, date or time column as int64 (dates: days, times: ms); a null becomes ``null``."""
    if pa.types.is_date32(column.type):
        column = column.view(pa.int32())
    elif pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    if column.null_count:
        column = column.fill_null(null)
    values: I64 = column.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return values


class TextView:
    """A dictionary column read row by row without asking Arrow for each row."""

    def __init__(self, column: pa.DictionaryArray) -> None:
        self._texts: list[str | None] = [*column.dictionary.to_pylist(), None]
        self._codes = codes(column)

    def __getitem__(self, row: int) -> str | None:
        return self._texts[int(self._codes[row])]


@dataclass(frozen=True)
class Batch:
    """Columns of one fixed schema.

    Attributes:
        data: the columns, exactly ``SCHEMA``.
        partition: where the rows belong (0-15); every row's O&D lives in it.
    """

    KIND: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    SCHEMA: ClassVar[pa.Schema]

    data: pa.RecordBatch
    partition: int = 0

    def __len__(self) -> int:
        return int(self.data.num_rows)

    @classmethod
    def of_columns(cls, columns: dict[str, Any], partition: int = 0) -> Self:
        """A batch of the given columns (arrays of ``SCHEMA``'s types); missing ones are null."""
        rows = len(next(iter(columns.values())))
        arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in cls.SCHEMA]
        return cls(pa.RecordBatch.from_arrays(arrays, schema=cls.SCHEMA), partition)

    def column(self, name: str) -> pa.Array:
        """One column."""
        return self.data.column(name)


AnyBatch = TypeVar("AnyBatch", bound=Batch)

# Arrow's threads cost a batch of this size several times what they save, and processes that share a machine even more.
_READING = pa.ipc.IpcReadOptions(use_threads=False)
_WRITING = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False, unify_dictionaries=False)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """A table of one or many chunks as one record batch; dictionaries are unified."""
    if table.num_rows == 0:
        return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in table.schema], schema=table.schema)
    return table.unify_dictionaries().combine_chunks().to_batches()[0]


def write_batches(out: IO[bytes], kind: type[Batch], batches: Iterable[Batch], made_from: str = "") -> int:
    """Write batches as one Arrow IPC stream; answers the number of rows. Readable by any Arrow library.

    ``made_from`` names what the batches were made from, for ``read_made_from``.
    """
    meta = {"fms.kind": kind.KIND, "fms.version": str(kind.VERSION), "fms.made_from": made_from}
    rows = 0
    with pa.ipc.new_stream(out, kind.SCHEMA.with_metadata(meta), options=_WRITING) as writer:
        for batch in batches:
            # A stream may replace dictionaries between batches, which is cheaper than making them one.
            writer.write_batch(batch.data, custom_metadata={"fms.partition": str(batch.partition)})
            rows += len(batch)
    return rows


def read_batches(source: IO[bytes] | bytes, kind: type[AnyBatch]) -> Iterator[AnyBatch]:
    """Read what ``write_batches`` wrote; raises Invalid for another kind, version or schema, or a cut-off file."""
    try:
        with pa.ipc.open_stream(source, options=_READING) as reader:
            _check_header(reader.schema, kind)
            while True:
                try:
                    found = reader.read_next_batch_with_custom_metadata()
                except StopIteration:
                    return
                meta = found.custom_metadata or {}
                yield kind(found.batch.replace_schema_metadata(None), int(meta.get(b"fms.partition", b"0")))
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, ValueError) as error:
        raise Invalid(f"no file of {kind.KIND} batches, or one that is cut off or damaged") from error


def read_made_from(source: IO[bytes]) -> str | None:
    """What a stream of batches was made from; None for anything else than such a stream."""
    try:
        with pa.ipc.open_stream(source) as reader:
            return (reader.schema.metadata or {}).get(b"fms.made_from", b"").decode() or None
    except (pa.ArrowInvalid, OSError, ValueError):
        return None


def _check_header(schema: pa.Schema, kind: type[Batch]) -> None:
    meta = schema.metadata or {}
    found = meta.get(b"fms.kind", b"something else").decode(errors="replace")
    if found != kind.KIND:
        raise Invalid(f"expected {kind.KIND} batches, found {found}")
    if meta.get(b"fms.version") != str(kind.VERSION).encode():
        raise Invalid(f"{kind.KIND} batches of another schema version: {meta.get(b'fms.version')!r}")
    if not schema.equals(kind.SCHEMA):
        raise Invalid(f"{kind.KIND} batches with other columns")


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for messages of one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
