"""What the tests of ingest share: documents as text, and what became of them."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fms.model.clock import parse_instant
from fms.model.document import Reject
from fms.model.fare import Fare, FareBatch
from fms.sources.mapping import Mapping
from fms.sources.open import open_source
from fms.stages.ingest import Ingest

NOW = parse_instant("2026-11-02T12:00:00Z")

GOOD: dict[str, Any] = {
    "observed_at": "2026-11-02T06:00:00Z", "origin": "JFK", "destination": "LHR", "departure_date": "2026-12-01",
    "currency": "USD", "total_amount_minor": 38000,
}  # fmt: skip


def line(**fields: Any) -> str:
    """A good document, with some fields changed; None leaves a field out."""
    return json.dumps({name: value for name, value in {**GOOD, **fields}.items() if value is not None})


class Outcome:
    """What ingest made of a file."""

    def __init__(self, path: Path, mapping: Mapping | None = None, **options: Any) -> None:
        self.rejects: list[Reject] = []
        self.ingest = Ingest(clock=lambda: NOW, on_reject=self.rejects.append, **options)
        self.batches: list[FareBatch] = list(self.ingest.batches(open_source(str(path), mapping)))
        self.fares: list[Fare] = [fare for batch in self.batches for fare in batch.rows()]

    @property
    def reasons(self) -> list[tuple[int, str]]:
        """Line and reason of each reject."""
        return [(reject.number, reject.reason) for reject in self.rejects]


def ingest_lines(directory: Path, lines: Iterable[str | bytes], **options: Any) -> Outcome:
    """Write lines to a file and ingest it."""
    return ingest_bytes(
        directory, b"".join(one.encode() + b"\n" if isinstance(one, str) else one for one in lines), **options
    )


def ingest_bytes(directory: Path, data: bytes, name: str = "fares.jsonl", **options: Any) -> Outcome:
    """Write a file and ingest it."""
    path = directory / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return Outcome(path, **options)


def one_fare(directory: Path, **fields: Any) -> Fare:
    """The fare that a good document with some fields changed becomes."""
    (fare,) = ingest_lines(directory, [line(**fields)]).fares
    return fare


def why_not(directory: Path, **fields: Any) -> str:
    """Why a good document with some fields changed is rejected."""
    ((_, reason),) = ingest_lines(directory, [line(**fields)]).reasons
    return reason
