"""A run: every file through the four stages in one process, then what is still true is told."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fms.bootstrap import Site
from fms.model.document import Source
from fms.model.notification import OutboxBatch
from fms.pipeline import Pipeline
from fms.ports import Channel
from fms.stages.diff import Diff
from fms.stages.ingest import Ingest
from fms.stages.notify import Notify

DIFF_COUNTS = ("duplicates", "late", "unchanged", "first_seen", "moved", "gone")


@dataclass
class Report:
    """What a run did. ``documents = accepted + rejected``; ``accepted`` is the sum of duplicates, late, unchanged, first_seen and moved.

    Attributes:
        notifications: rows that are new in their users' inboxes.
        told: how many rows ended in each status this time.
    """

    documents: int = 0
    accepted: int = 0
    rejected: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    late: int = 0
    unchanged: int = 0
    first_seen: int = 0
    moved: int = 0
    gone: int = 0
    notifications: int = 0
    seconds: float = 0.0
    told: dict[str, int] = field(default_factory=dict)
