"""What is known about a source of fares: how much its prices breathe, and how long it is believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SourceRule:
    """Rules of one source.

    Attributes:
        noise_bp: a newer price within so many basis points of the stored one is no change (100 for sources that
            convert currencies).
        believe_days: an observation so much older than its page's newest one is no longer believed; 0: always believed.
    """

    noise_bp: int = 0
    believe_days: int = 3


@dataclass(frozen=True)
class SourceRules:
    """The rules of every source: its own or the default."""

    default: SourceRule = field(default_factory=SourceRule)
    own: Mapping[str, SourceRule] = field(default_factory=dict)

    def of(self, source: str) -> SourceRule:
        """The rules of ``source``."""
        return self.own.get(source, self.default)
