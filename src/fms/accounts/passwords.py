"""Passwords as argon2id hashes, at most two of which are computed at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from fms.errors import Transient
from fms.model.account import normalised

AT_ONCE, WAITING, WAIT_SECONDS = 2, 4, 5.0
"""Hashes computed at a time in a process, each of 46 MB, how many others wait for their turn, and how long.

Those who wait hold threads that others need who ask for something else.
"""


class TooMany(Transient):
    """Too many passwords are being checked just now."""


class Passwords:
    """Hashes and checks passwords; threads may share one.

    Args:
        fast: in a way that costs next to nothing and protects nothing, for tests.

    The cost is one of OWASP's equal choices for argon2id (46 MiB, one pass, one lane): more lanes would take the
    processors of those who ask for something else.
    """

    def __init__(self, *, fast: bool = False) -> None:
        self._hasher = PasswordHasher(
            time_cost=1, memory_cost=64 if fast else 46 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
        )
        self._turn = BoundedSemaphore(AT_ONCE)
        # What costs next to nothing is not waited for.
        self._room = BoundedSemaphore(1_000 if fast else AT_ONCE + WAITING)
        # Of whoever is not there the password is checked as well: an answer that came sooner would say so.
        self._nobodys = self._hasher.hash("nobody has this password")

    def hash(self, password: str) -> str:
        """A new hash; raises TooMany."""
        with self._in_turn():
            return self._hasher.hash(normalised(password))

    def check(self, hashed: str | None, password: str) -> bool:
        """Whether the password is the one hashed; it takes as long if there is none. Raises TooMany."""
        with self._in_turn():
            try:
                self._hasher.verify(hashed or self._nobodys, normalised(password))
            except (VerificationError, InvalidHashError):
                return False
            return hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made at another cost than new ones are."""
        return self._hasher.check_needs_rehash(hashed)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        with _held(self._room, 0), _held(self._turn, WAIT_SECONDS):
            yield


@contextmanager
def _held(places: BoundedSemaphore, seconds: float) -> Iterator[None]:
    """One of the places, for the length of the block; raises TooMany if none is free in time."""
    if not places.acquire(timeout=seconds):
        raise TooMany("too many passwords are being checked: try again in a moment")
    try:
        yield
    finally:
        places.release()
