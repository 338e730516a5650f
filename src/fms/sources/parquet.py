"""Parquet files whose columns are named like the fields of documents."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from fms.errors import Invalid
from fms.model.batch import first_line
from fms.model.document import Block
from fms.sources.typed import BLOCK_ROWS, check_columns, typed_blocks


class ParquetFile:
    """A Parquet file. Text may be text, dates dates, ``observed_at`` a timestamp with a zone, amounts decimals."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def blocks(self) -> Iterator[Block]:
        """The documents in order. Raises Invalid when no more can be read, or a column is of another type."""
        size, row = self._path.stat().st_size, 1
        try:
            with pa.parquet.ParquetFile(self._path) as file:
                known, rows = check_columns(self.name, file.schema_arrow), file.metadata.num_rows
                for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=known, use_threads=False):
                    done = size * (row - 1 + batch.num_rows) // max(rows, 1)
                    yield from typed_blocks(self.name, batch, row, done, size)
                    row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise Invalid(f"{self.name}: not a readable Parquet file: {first_line(error)}") from None
