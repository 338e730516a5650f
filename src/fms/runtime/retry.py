"""How long to wait before the next try. A policy answers; whoever asks does the waiting."""

from collections.abc import Callable
from dataclasses import dataclass
from random import random


@dataclass(frozen=True)
class Backoff:
    """Waits that double from ``first`` to ``most`` seconds, each shortened at random by up to a half."""

    first: float = 0.1
    most: float = 10.0
    chance: Callable[[], float] = random

    def seconds(self, tries: int) -> float:
        """The wait after so many tries, from 1."""
        whole = min(self.most, self.first * 2.0 ** min(tries - 1, 30))
        return whole * (1 - self.chance() / 2)
