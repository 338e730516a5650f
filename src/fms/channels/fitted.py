"""A push that fits: made shorter step by step, whole lines at a time, until it is no larger than it may be."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from fms.channels.words import SHOWN, entries, plain, rest
from fms.model.notification import Push

ROOMY, TIGHT = 3_000, 1_000
"""Bytes for title and body: within the 4,096 of a payload, and what is tried after a provider found that too large."""

SMALLEST = 250
"""Bytes in which the title of every push and the count of the others fit."""


@dataclass(frozen=True)
class Text:
    """A title that can do alone, and a body of lines; the body may be empty."""

    title: str
    body: str

    @property
    def size(self) -> int:
        """Bytes of title and body as strings of JSON in UTF-8."""
        return sum(len(json.dumps(text, ensure_ascii=False).encode()) for text in (self.title, self.body))


def fitted(push: Push, now: int, most_bytes: int = ROOMY, most: int = SHOWN) -> Text:
    """What a push says in at most ``most_bytes``: fewer and fewer rows, then the same without their bodies.

    A line is there as a whole or not at all, so that no character is cut and no price stands without what it is for.

    Args:
        push: its best row first.
        now: UTC ms; ages are counted to it.
        most_bytes: at least ``SMALLEST``; raises ValueError for less.
        most: rows shown at most, at least one.
    """
    if most_bytes < SMALLEST:
        raise ValueError(f"at least {SMALLEST} bytes wanted, not {most_bytes}")
    return next(text for text in _ever_shorter(push, now, most) if text.size <= most_bytes)


def _ever_shorter(push: Push, now: int, most: int) -> Iterator[Text]:
    said = entries(push, now, most)
    head = said[0][0]
    for with_bodies in (True, False):
        for count in range(len(said), 0, -1):
            text = [said[0][1]] if with_bodies else []
            for row, (title, body) in zip(push.rows[1:count], said[1:count], strict=True):
                text += [f"{plain(row.message.ref)}: {title}", *([f"    {body}"] if with_bodies else [])]
            more = rest(push, count)
            yield Text(head, "\n".join([*text, more] if more else text))
