"""Ids: UUIDv7 (RFC 9562) whose 12 bits of ``rand_a`` are the slot, so an id names its owner and sorts by creation."""

import secrets
from threading import Lock
from uuid import UUID

from fms.errors import Invalid
from fms.model.clock import Clock, system_clock
from fms.model.route import SLOTS


class IdMint:
    """Makes ids that grow strictly, also within one millisecond (a 16-bit counter follows the slot), in any thread."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._ms = 0
        self._count = 0
        self._turn = Lock()

    def new(self, slot: int) -> UUID:
        """A fresh id owned by ``slot`` (0-4095)."""
        if not 0 <= slot < SLOTS:
            raise Invalid(f"not a slot: {slot}")
        with self._turn:
            ms, count = self._next(self._clock())
        tail = count << 46 | secrets.randbits(46)
        return UUID(int=ms << 80 | 0x7 << 76 | slot << 64 | 0b10 << 62 | tail)

    def _next(self, now: int) -> tuple[int, int]:
        if now > self._ms:
            self._ms, self._count = now, 0
        else:
            # The counter may run over, and clocks may step back: borrow from the next millisecond.
            self._count += 1
            self._ms, self._count = self._ms + (self._count >> 16), self._count & 0xFFFF
        return self._ms, self._count


def first_id(ms: int) -> UUID:
    """What sorts before every id made at ``ms`` (UTC) or later, and after all others."""
    return UUID(int=ms << 80)


def made_at(value: UUID) -> int:
    """When an id was made, UTC ms."""
    return value.int >> 80


def slot_of_id(value: UUID) -> int:
    """The slot named by an id that fms made; raises Invalid for any other UUID."""
    if value.version != 7:
        raise Invalid(f"not an id of fms: {value}")
    return (value.int >> 64) & 0xFFF


def parse_id(text: str) -> UUID:
    """The id written in ``text``; raises Invalid."""
    try:
        value = UUID(text)
    except ValueError:
        raise Invalid(f"not an id: {text[:60]!r}") from None
    slot_of_id(value)
    return value
