"""How often may be asked: by a user, by an address, and for an account by whoever tries its password."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import ParamSpec, TypeVar

from flask import Flask, current_app, g, request
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter
from werkzeug.exceptions import HTTPException

from fms.settings import Settings
from fms.web.bodies import read_json
from fms.web.problems import Problem

P = ParamSpec("P")
Answer = TypeVar("Answer")

STORAGE_SECONDS, AWAY_SECONDS = 0.5, 5.0
"""How long Redis may take to count, and for how long each process counts for itself when it took longer."""

LENT, REMEMBERED = 50, 10_000
"""At most one in so many of a limit's requests are lent to a process at a time, to so many users or addresses."""

_ALWAYS = frozenset({"operations.livez", "operations.readyz", "operations.metrics"})
"""Never limited: whoever watches the processes must hear from them above all when there is much to do."""


def tries_passwords(view: Callable[P, Answer]) -> Callable[P, Answer]:
    """Mark a view that checks or hashes a password: it has the ``login_rate_limit`` too."""
    view.fms_tries_passwords = True  # type: ignore[attr-defined]  # functions may have attributes
    return view


@dataclass
class Loan:
    """Requests that a process may still answer without counting, until a time; and how many it was lent."""

    left: int
    until: float
    size: int


class Counters:
    """Counts in one place for all processes, or each for itself while that is away.

    Whoever asks often within a second is counted some at a time: they were lent. So many that were not asked for in
    that second are lost, which is why they are few.

    ``storage``: for all; None: there is none.
    """

    def __init__(self, storage: Storage | None) -> None:
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = self._own if storage is None else SlidingWindowCounterRateLimiter(storage)
        self._away_until = 0.0
        self._loans: dict[tuple[str, ...], Loan] = {}

    def hit(self, limits: list[RateLimitItem], *names: str) -> int:
        """Count one; answers after how many seconds to come again, 0: it is not too much."""
        loan, now = self._loans.get(names), time.monotonic()
        if loan and loan.left > 0 and loan.until > now:
            loan.left -= 1
            return 0
        most = min(one.amount for one in limits) // LENT
        size = min(loan.size * 2, most) if loan and loan.until > now else 1
        if size > 1 and not self._count(limits, names, size):
            self._loans[names] = Loan(size - 1, now + 1, size)
            return 0
        if len(self._loans) >= REMEMBERED:
            self._loans.clear()
        self._loans[names] = Loan(0, now + 1, 1)
        return self._count(limits, names, 1)

    def _count(self, limits: list[RateLimitItem], names: tuple[str, ...], cost: int) -> int:
        if time.monotonic() >= self._away_until:
            try:
                return _hit(self._shared, limits, names, cost)
            except StorageError:
                self._away_until = time.monotonic() + AWAY_SECONDS
        return _hit(self._own, limits, names, cost)


def _hit(
    counters: SlidingWindowCounterRateLimiter, limits: list[RateLimitItem], names: tuple[str, ...], cost: int
) -> int:
    for limit in limits:
        if not counters.hit(limit, *names, cost=cost):
            reset = counters.get_window_stats(limit, *names).reset_time
            return max(1, int(reset - time.time()) + 1)
    return 0


def limit(app: Flask, settings: Settings) -> None:
    """Limit the requests of an app: in Redis if the price book is there, so that processes count together."""
    counters = Counters(_storage(settings))
    most, tries = parse_many(settings.rate_limit), parse_many(settings.login_rate_limit)

    def count() -> None:
        if request.endpoint in _ALWAYS:
            return
        _check(counters.hit(most, "fms", _who()))
        if _is_try():
            _check(counters.hit(tries, "fms", "passwords from", _address()))
            _check(counters.hit(tries, "fms", "passwords of", _account_asked_for()))

    app.before_request(count)


def _check(seconds: int) -> None:
    if seconds:
        raise Problem("too-many", f"too many requests: again in {seconds} s", headers={"Retry-After": str(seconds)})


def _is_try() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return bool(getattr(view, "fms_tries_passwords", False)) and request.method != "OPTIONS"


def _address() -> str:
    return f"address:{request.remote_addr}"


def _who() -> str:
    who = g.get("identity")
    return f"user:{who.user_id}" if who else _address()


def _account_asked_for() -> str:
    """The account whose password is tried, or that is to be made; nothing in its name tells which.

    Whoever is logged in has a name of their own here: others who try the e-mail do not keep them from their account.
    """
    if who := g.get("identity"):
        return f"user:{who.user_id}"
    try:
        body = read_json(request.get_data())
    except (Problem, HTTPException):
        # The view will say so.
        body = None
    email = body.get("email") if isinstance(body, dict) else None
    return "account:" + sha256(str(email).strip().lower().encode()).hexdigest()[:32]


def _storage(settings: Settings) -> Storage | None:
    if settings.price_book_url is None:
        return None
    url = settings.price_book_url.get_secret_value()
    waits = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), STORAGE_SECONDS)
    found = storage_from_string(f"redis+{url}" if url.startswith("unix://") else url, wrap_exceptions=True, **waits)
    assert isinstance(found, Storage)  # noqa: S101  # others are for asyncio
    return found
