"""What tests of the runtime stand on: time that only passes when somebody waits, and whoever is told of everything."""

from dataclasses import dataclass, field

from fms.errors import Disconnected, Invalid, Transient
from fms.ports import Delivery
from fms.queues.memory import MemoryBroker
from fms.runtime.delivery import Delivered
from fms.runtime.retry import Backoff

STEADY = Backoff(first=1, most=8, chance=lambda: 0.0)
"""Waits of 1, 2, 4, 8 and 8 seconds."""


@dataclass
class Time:
    """Seconds, which pass while somebody waits."""

    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds


class WaitingBroker(MemoryBroker):
    """Queues in memory at which time passes, and whose connection may be lost meanwhile."""

    time: Time
    lost = False

    def next(self, seconds: float) -> Delivery | None:
        delivery = super().next(seconds)
        if delivery is None:
            self.wait(seconds)
        return delivery

    def wait(self, seconds: float) -> None:
        self.time.seconds += seconds
        if self.lost:
            self.lost = False
            self.cut()
            raise Disconnected("lost")


@dataclass
class Diary:
    """A ``Watch`` that remembers."""

    done_bodies: list[bytes] = field(default_factory=list)
    holds: list[tuple[bytes, float]] = field(default_factory=list)
    buried_bodies: list[bytes] = field(default_factory=list)
    troubles: list[tuple[str, str, float]] = field(default_factory=list)
    beats: int = 0

    def done(self, delivery: Delivery, found: Delivered, seconds: float) -> None:
        self.done_bodies.append(delivery.body)

    def held(self, delivery: Delivery, error: Transient, seconds: float) -> None:
        self.holds.append((delivery.body, seconds))

    def buried(self, delivery: Delivery, error: Invalid) -> None:
        self.buried_bodies.append(delivery.body)

    def away(self, what: str, error: Transient, seconds: float) -> None:
        self.troubles.append((what, str(error), seconds))

    def beat(self) -> None:
        self.beats += 1
