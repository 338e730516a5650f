"""Typed columns of somebody else's Arrow data as the columns of documents."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from fms.errors import Invalid
from fms.model.batch import INSTANT, first_line
from fms.model.document import FIELDS, FLIGHT_FIELDS, INT_FIELDS, RAW_KEPT, Block

BLOCK_ROWS = 20_000
_REQUIRED = ("origin", "destination", "departure_date", "currency")
_PRICES = ("total_amount", "total_amount_minor")
_DATES = ("departure_date", "return_date")


def check_columns(name: str, schema: pa.Schema) -> list[str]:
    """The columns that are fields of documents; raises Invalid if a required one is not there or of a wrong type."""
    if b"fms.kind" in (schema.metadata or {}):
        raise Invalid(f"{name}: holds batches of fms, not documents; it is for the next stage")
    for field in _REQUIRED:
        if field not in schema.names:
            raise Invalid(f"{name}: no column called {field}")
    if not set(_PRICES) & set(schema.names):
        raise Invalid(f"{name}: no column called {_PRICES[0]} or {_PRICES[1]}")
    known = [field for field in FIELDS if field in schema.names]
    for field in known:
        _target(name, field, schema.field(field).type)
    return known


def typed_blocks(
    name: str, batch: pa.RecordBatch, first: int, bytes_done: int, bytes_total: int | None
) -> Iterator[Block]:
    """Rows as blocks; ``first`` is the number of the first. Raises Invalid for values that no document can have."""
    for start in range(0, batch.num_rows, BLOCK_ROWS):
        yield _block(name, batch.slice(start, BLOCK_ROWS), first + start, bytes_done, bytes_total)


def _block(name: str, rows: pa.RecordBatch, first: int, bytes_done: int, bytes_total: int | None) -> Block:
    columns = {}
    for field in FIELDS:
        if field in rows.schema.names:
            columns[field] = _column(name, field, rows.column(field))
    return Block(
        columns=pa.table(columns),
        numbers=np.arange(first, first + rows.num_rows, dtype=np.int64),
        raw=lambda row: _raw(rows, row),
        bytes_done=bytes_done,
        bytes_total=bytes_total,
    )


def _column(name: str, field: str, column: pa.Array) -> pa.Array:
    try:
        column.validate(full=True)
        # Fractions of a millisecond are cut; nothing else may be lost.
        return column.cast(_target(name, field, column.type), safe=not pa.types.is_timestamp(column.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Invalid(f"{name}: column {field}: {first_line(error)}") from None


def _target(name: str, field: str, kind: Any) -> Any:
    """The type that a column is read as; raises Invalid for one that means something else."""
    found = _read_as(field, kind.value_type if pa.types.is_dictionary(kind) else kind)
    if found is None:
        raise Invalid(f"{name}: column {field} is {kind}; wanted {_wanted(field)}")
    return found


def _read_as(field: str, kind: Any) -> Any:
    if field in INT_FIELDS:
        return pa.int64() if pa.types.is_integer(kind) or pa.types.is_null(kind) else None
    if _is_text(kind):
        return pa.string()
    if field in FLIGHT_FIELDS:
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        return pa.list_(pa.string()) if is_list and _is_text(kind.value_type) else None
    if field in _DATES and (pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)):
        return pa.date32()
    if field == "observed_at" and pa.types.is_timestamp(kind) and kind.tz is not None:
        return INSTANT
    return pa.string() if field == "total_amount" and pa.types.is_decimal(kind) else None


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(check(kind) for check in checks)


def _wanted(field: str) -> str:
    if field in INT_FIELDS:
        return "integers"
    if field in FLIGHT_FIELDS:
        return "text or lists of text"
    if field in _DATES:
        return "text or dates"
    return {"observed_at": "text or timestamps with a zone", "total_amount": "text or decimals"}.get(field, "text")


def _raw(rows: pa.RecordBatch, row: int) -> str:
    return json.dumps(rows.slice(row, 1).to_pylist()[0], default=str, ensure_ascii=False)[:RAW_KEPT]
