"""Between a batch and a message: an Arrow IPC stream with LZ4 as the body, and headers that say what it is."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa

from fms.errors import Invalid
from fms.model.batch import AnyBatch, Batch, first_line, read_batches, write_batches
from fms.model.change import ChangeBatch
from fms.model.fare import FareBatch
from fms.model.route import partition_of_od
from fms.ports import Delivery, Headers

KIND, VERSION, PARTITION, ROWS = "fms.kind", "fms.version", "fms.partition", "fms.rows"
BATCH, RUN, AT, TRACE = "fms.batch", "fms.run", "fms.at", "traceparent"


@dataclass(frozen=True)
class Letter:
    """What is published: a body for a queue. Its headers say what it is and what it was made from."""

    queue: str
    body: bytes
    headers: Headers


class Headings:
    """Makes the headers of letters.

    Args:
        clock: UTC ms, for ``fms.at``.
        run: names the run that made the fares.
    """

    def __init__(self, clock: Callable[[], int], run: str | None = None) -> None:
        self._clock = clock
        self._run = run or uuid4().hex

    def of(self, batch: Batch, made_from: Headers | None = None) -> Headers:
        """The headers of a batch; what it was made from gives it its run and its trace (W3C Trace Context)."""
        before = made_from or {}
        return {
            KIND: batch.KIND,
            VERSION: batch.VERSION,
            PARTITION: batch.partition,
            ROWS: len(batch),
            BATCH: uuid4().hex,
            RUN: str(before.get(RUN, self._run)),
            AT: self._clock(),
            TRACE: _traced(before.get(TRACE)),
        }

    def of_rejects(self, rows: int) -> Headers:
        """The headers of rejected documents, as lines of JSON."""
        return {KIND: "document", ROWS: rows, BATCH: uuid4().hex, RUN: self._run, AT: self._clock()}


def _traced(parent: object) -> str:
    """A span of the trace that ``parent`` belongs to, or of a new one."""
    parts = parent.split("-") if isinstance(parent, str) else []
    trace = parts[1] if len(parts) == 4 and len(parts[1]) == 32 else secrets.token_hex(16)
    return f"00-{trace}-{secrets.token_hex(8)}-01"


def packed(batch: Batch) -> bytes:
    """The body of a message with this batch."""
    body = pa.BufferOutputStream()
    write_batches(body, type(batch), [batch])
    found: bytes = body.getvalue().to_pybytes()
    return found


def unpacked(delivery: Delivery, kind: type[AnyBatch]) -> AnyBatch:
    """The one batch in a message; raises Invalid with the reason why there is none that can be read."""
    _check(delivery.headers, kind)
    found = list(read_batches(delivery.body, kind))
    if len(found) != 1:
        raise Invalid(f"expected one {kind.KIND} batch, found {len(found)}")
    _check_rows(found[0])
    return found[0]


def _check_rows(batch: Batch) -> None:
    """A queue may hold what anybody wrote, and codes beyond their dictionary would be read blindly."""
    try:
        batch.data.validate(full=True)
    except pa.ArrowInvalid as error:
        raise Invalid(f"damaged {batch.KIND} batch: {first_line(error)}") from error
    for field, column in zip(batch.SCHEMA, batch.data.columns, strict=True):
        if column.null_count and not field.nullable:
            raise Invalid(f"{batch.KIND} batch without {field.name} in {column.null_count} rows")
    if batch.KIND in (FareBatch.KIND, ChangeBatch.KIND):
        strays = [od for od in batch.column("od").dictionary.to_pylist() if partition_of_od(od) != batch.partition]
        if strays:
            raise Invalid(f"{batch.KIND} batch of partition {batch.partition} with fares of {strays[0][:20]!r}")


def _check(headers: Mapping[str, object], kind: type[Batch]) -> None:
    # The headers speak first, since what a newer version means by its body is not known here.
    found, version = headers.get(KIND), headers.get(VERSION)
    if found != kind.KIND:
        raise Invalid(f"expected a message of {kind.KIND} batches, found {str(found)[:40]!r}")
    if not isinstance(version, int) or version > kind.VERSION:
        raise Invalid(f"{kind.KIND} batch of schema version {str(version)[:20]}, this fms knows {kind.VERSION}")
