"""What may strike a process, and where."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from random import Random
from typing import Self


class Crash(BaseException):
    """A process is killed here: what it knew is lost, and what it had taken comes again. Nothing may catch it."""


CRASH, CUT, PAUSE, TAKEN_OVER = "crash", "cut", "pause", "taken over"
ANYWHERE = (CRASH, CRASH, CUT, PAUSE, TAKEN_OVER, TAKEN_OVER)
"""What strikes at every point: a crash; the connection to the broker is lost; the process stands still for a while; it
does so and has lost its connection, so that another one takes over before it wakes up."""

STEPS = {
    "next": (), "taken": (), "process": (), "processed": (),
    "publish": ("refused", "lost", "unconfirmed"), "published": ("deleted",),
    "settle": (), "settled": (),
    "acknowledge": ("lost", "unheard", "heard"), "acknowledged": (),
    "get pages": ("away",), "describe": (), "put pages": ("overtaken", "away", "unanswered"),
    "candidates": ("away",), "record": ("away", "unanswered"),
    "hand over": ("away", "half", "unanswered"), "waiting": (), "inbox": ("away",),
    "write": ("away", "unanswered"), "send": ("away", "unanswered"),
}  # fmt: skip
"""The points between the steps of a delivery, and those at which a process asks something of the world outside; with
what may strike there beside what may anywhere.

Publish: the queue is full; the connection is lost before or after the message came through; published: an outbox queue
is deleted with all that waits in it. Acknowledge: it does not
come through and the process knows, or does not know; it does come through, and the connection is lost. The others:
somebody else wrote; a service is away; half of it was done; it was done, but the answer is lost.
"""

SELDOM = {"send": 12, "write": 10, "inbox": 6, "hand over": 5, "record": 5, "candidates": 3, "put pages": 2}
"""Points that are come to seldom, and how much more often something strikes there."""


@dataclass
class Faults:
    """Strikes a few times in a life.

    Attributes:
        random: decides when and what.
        points: where.
        rate: at how many of them, from 0 to 1.
        left: how often it may still strike.
        struck: how often what struck where, over many lives.
        only: the one thing that strikes.
    """

    random: Random
    points: Collection[str] = ()
    rate: float = 0.0
    left: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    only: str | None = None

    @classmethod
    def drawn(cls, random: Random, struck: Counter[str]) -> Self:
        """A few faults: anywhere, again and again at the same few points, or again and again of the worst kind."""
        left, sort = random.choice((1, 2, 4, 8)), random.random()
        if sort < 0.4:
            return cls(random, STEPS, random.choice((0.01, 0.03, 0.08)), left, struck)
        if sort < 0.7:
            return cls(random, random.sample([*STEPS], 3), random.choice((0.1, 0.3, 0.6)), left, struck)
        return cls(random, STEPS, random.choice((0.05, 0.15)), left, struck, only=TAKEN_OVER)

    def at(self, point: str) -> str | None:
        """What strikes at a point, if something does."""
        if not self.left or point not in self.points:
            return None
        if self.random.random() >= self.rate * SELDOM.get(point, 1):
            return None
        kind = self.only or self.random.choice((*ANYWHERE, *STEPS[point] * 2))
        self.note(f"{point}: {kind}")
        return kind

    def note(self, what: str) -> None:
        """Something struck."""
        self.left -= 1
        self.struck[what] += 1
