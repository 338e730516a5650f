"""What tests of push providers share: answers as they come off the wire, and notes to send."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fms.channels.note import Note

NOON = 1_793_534_400_000
"""2026-11-01T12:00:00Z."""

NOTE = Note(
    title="STN-BGY 38.00 GBP, 2.00 under your 40.00",
    body="Sat 02 Jan 2027, FR4000, from ryanair, seen 12 min ago",
    tag="0190b3c2-7b1e-7c4e-9b1e-3f1f0e6f2a11",
    url="https://fares.example.org/#/inbox",
    data={"group": "g1"},
    ttl_seconds=3_600,
)


@dataclass(frozen=True)
class Reply:
    """An answer as the transport hands it over."""

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    ambiguous: bool = False


def reply(status: int, document: Any = None, **headers: str) -> Reply:
    """An answer with a body in JSON; underscores in names of headers stand for dashes."""
    body = b"" if document is None else json.dumps(document).encode()
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})
