"""Arrow IPC files and streams whose columns are named like the fields of documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from fms.errors import Invalid
from fms.model.batch import first_line
from fms.model.document import Block
from fms.sources.typed import check_columns, typed_blocks

FILE_MAGIC = b"ARROW1"


class ArrowFile:
    """An Arrow IPC file or stream (Feather 2 is the same). The types are those of ``ParquetFile``."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def blocks(self) -> Iterator[Block]:
        """The documents in order. Raises Invalid when no more can be read, or a column is of another type."""
        size, row = self._path.stat().st_size, 1
        try:
            with self._path.open("rb") as file:
                for batch in self._batches(file):
                    yield from typed_blocks(self.name, batch, row, file.tell(), size)
                    row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise Invalid(f"{self.name}: not a readable Arrow file: {first_line(error)}") from None

    def _batches(self, file: Any) -> Iterator[pa.RecordBatch]:
        is_file = file.read(len(FILE_MAGIC)) == FILE_MAGIC
        file.seek(0)
        if not is_file:
            reader = pa.ipc.open_stream(file)
            known = check_columns(self.name, reader.schema)
            for batch in reader:
                yield batch.select(known)
            return
        reader = pa.ipc.open_file(file)
        known = check_columns(self.name, reader.schema)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number).select(known)
