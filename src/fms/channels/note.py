"""What a phone or a browser is told, whatever way it goes there, and how it is cut to what the way can carry."""

import json
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fms.errors import Invalid

LONGEST_TTL_SECONDS = 28 * 86_400
"""FCM and the push services of browsers keep nothing longer than four weeks."""


@dataclass(frozen=True)
class Note:
    """One push to one device. Sent again under the same tag it replaces itself.

    Attributes:
        tag: of what it is, the same however often it is sent.
        url: what opens when it is tapped; absolute.
        data: for the app, beside what is shown.
        ttl_seconds: how long it is worth delivering; 0: only to a device that is reached at once.
        urgent: may wake the device.
    """

    title: str
    body: str
    tag: str
    url: str
    data: Mapping[str, str] = field(default_factory=dict)
    ttl_seconds: int = 4 * 3_600
    urgent: bool = False

    @property
    def ttl(self) -> int:
        """Seconds, within what every provider takes."""
        return min(max(self.ttl_seconds, 0), LONGEST_TTL_SECONDS)


class Post(NamedTuple):
    """A request as it goes to a provider; header names are in lower case, as HTTP/2 has them."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def compact_json(document: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8 without blanks; halves of surrogate pairs become question marks, since no reader takes them."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def cut_to_fit(note: Note, most: int, written: Callable[[Note], bytes]) -> bytes:
    """The note as ``written``, in at most so many bytes: without the last lines of its body, then of a shorter title.

    A line is left out as a whole: no price shall stand without what it is for. Raises Invalid if there is no room for
    a title: url, tag and data are never cut.
    """
    whole = written(note)
    if len(whole) <= most:
        return whole
    lines = note.body.split("\n")
    kept = _most(len(lines), lambda n: len(written(_with_lines(note, lines, n))) <= most)
    if kept is not None:
        return written(_with_lines(note, lines, kept))
    letters = _most(len(note.title), lambda n: len(written(_with_title(note, n))) <= most)
    if not letters:
        raise Invalid(f"url, tag and data leave no room for a title in {most} bytes")
    return written(_with_title(note, letters))


def _with_lines(note: Note, lines: Sequence[str], count: int) -> Note:
    return replace(note, body="\n".join(lines[:count]))


def _with_title(note: Note, letters: int) -> Note:
    return replace(note, title=note.title[:letters].rstrip() + "…", body="")


def _most(count: int, fits: Callable[[int], bool]) -> int | None:
    """The largest number below ``count`` that fits, where all below one that fits do; None: not even 0 does."""
    if not fits(0):
        return None
    return bisect_left(range(1, count), True, key=lambda n: not fits(n))
