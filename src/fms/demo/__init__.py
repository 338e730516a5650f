"""The bundled sample: four days of invented fares on six routes, and eight alerts that tell their stories.

``benchmarks/make_demo.py`` makes both files, the same bytes every time.
"""

from importlib.resources import files
from pathlib import Path


def fares() -> Path:
    """Fare documents, JSON lines in gzip: sixteen cycles of November 2026, with some bad, late and repeated lines."""
    return _bundled("fares.jsonl.gz")


def alerts() -> Path:
    """An alert file with all four kinds."""
    return _bundled("alerts.jsonl")


def _bundled(name: str) -> Path:
    return Path(str(files(__name__) / name))
