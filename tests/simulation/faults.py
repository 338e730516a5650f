"""What may strike a process, and where."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random


class Crash(BaseException):
    """A process is killed here: what it knew is lost, and what it had taken comes again. Nothing may catch it."""


CRASH, CUT, PAUSE, TAKEN_OVER = "crash", "cut", "pause", "taken over"
ANYWHERE = (CRASH, CRASH, CUT, PAUSE, TAKEN_OVER, TAKEN_OVER)
"""What strikes at every point: a crash; the connection to the broker is lost; the process stands still for a while; it
does so and has lost its connection, so that another one takes over before it wakes up."""

STEPS = {
    "next": (), "taken": (), "process": (), "processed": (),
    "publish": ("refused", "lost", "unconfirmed"), "published": (),
    "settle": (), "settled": (),
    "acknowledge": ("lost", "unheard", "heard"), "acknowledged": (),
    "get pages": ("away",), "describe": (), "put pages": ("overtaken", "away", "unanswered"),
    "candidates": ("away",), "record": ("away", "unanswered"),
    "hand over": ("away", "half", "unanswered"), "waiting": (), "inbox": ("away",),
    "write": ("away", "unanswered"), "send": ("away", "unanswered"),
}  # fmt: skip
"""The points between the steps of a delivery, and those at which a process asks something of the world outside; with
what may strike there beside what may anywhere.

Publish: the queue is full; the connection is lost before or after the message came through. Acknowledge: it does not
come through and the process knows, or does not know; it does come through, and the connection is lost. The others:
somebody else wrote; a service is away; half of it was done; it was done, but the answer is lost.
"""


@dataclass
class Faults:
    """Strikes a few times in a life.

    Attributes:
        random: decides when and what.
        rate: at how many of the points, from 0 to 1.
        left: how often it may still strike.
        struck: how often what struck where, over many lives.
    """

    random: Random
    rate: float = 0.0
    left: int = 0
    struck: Counter[str] = field(default_factory=Counter)

    def at(self, point: str) -> str | None:
        """What strikes at a point, if something does."""
        if not self.left or self.random.random() >= self.rate:
            return None
        self.left -= 1
        kind = self.random.choice((*ANYWHERE, *STEPS[point] * 2))
        self.struck[f"{point}: {kind}"] += 1
        return kind
