"""Alert files: one JSON object per line."""

import json
from collections.abc import Sequence
from pathlib import Path

from fms.alerts import Alerts, Imported
from fms.errors import Invalid
from fms.model.batch import first_line


def read_alerts(path: Path) -> Sequence[tuple[int, object]]:
    """The objects of an alert file with their line numbers; raises Invalid with file and line."""
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from None
    return [(number, _object(path, number, line)) for number, line in enumerate(lines, 1) if line.strip()]


def _object(path: Path, number: int, line: bytes) -> object:
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{path}: line {number}: not JSON: {first_line(error)}") from None


def import_alerts(
    alerts: Alerts, path: Path, documents: Sequence[tuple[int, object]], email: str, *, update: bool = False
) -> Imported:
    """Import what ``read_alerts`` read, all or none; raises Invalid with file, line and field."""
    try:
        return alerts.import_documents(documents, email, update=update)
    except Invalid as error:
        raise Invalid(f"{path}: {error}") from None
