"""How often may be asked: by a user, by an address, and for an account by whoever tries its password."""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar

from flask import Flask, g, request
from flask_limiter import Limiter, RateLimitExceeded
from limits.errors import StorageError
from werkzeug.exceptions import HTTPException

from fms.settings import Settings
from fms.web.bodies import read_json
from fms.web.problems import Problem

P = ParamSpec("P")
Answer = TypeVar("Answer")

STORAGE_SECONDS = 0.5
"""How long Redis may take to count; then each process counts for itself until it answers again."""

_ALWAYS = frozenset({"operations.livez", "operations.readyz", "operations.metrics"})
"""Never limited: whoever watches the processes must hear from them above all when there is much to do."""


def tries_passwords(view: Callable[P, Answer]) -> Callable[P, Answer]:
    """Mark a view that checks or hashes a password: it has the ``login_rate_limit`` too."""
    view.fms_tries_passwords = True  # type: ignore[attr-defined]  # functions may have attributes
    return view


class _Limits(Limiter):
    """Limits whose counters may be away."""

    def _check_request_limit(
        self, callable_name: str | None = None, in_middleware: bool = True
    ) -> None:  # as inherited
        try:
            self._counted(callable_name, in_middleware=in_middleware)
        except RateLimitExceeded:
            seconds = self._seconds_left()
            raise Problem(
                "too-many", f"too many requests: again in {seconds} s", headers={"Retry-After": str(seconds)}
            ) from None

    def _counted(self, callable_name: str | None, *, in_middleware: bool) -> None:
        try:
            super()._check_request_limit(callable_name, in_middleware)
        except StorageError:
            # It goes over to memory, but of several threads that find the storage gone only for the first.
            self.context.seen_limits.clear()
            super()._check_request_limit(callable_name, in_middleware)

    def _seconds_left(self) -> int:
        try:
            reset = self.current_limit.reset_at if self.current_limit else 0
        except StorageError:
            reset = 0
        return max(1, int(reset - time.time()) + 1)


def limit(app: Flask, settings: Settings) -> None:
    """Limit the requests of an app that has its views: in Redis if the price book is there, where processes add up."""
    storage = _storage(settings)
    waits = () if storage == "memory://" else ("socket_timeout", "socket_connect_timeout")
    options: dict[str, Any] = {"wrap_exceptions": True, **dict.fromkeys(waits, STORAGE_SECONDS)}
    limiter = _Limits(
        _who,
        default_limits=[settings.rate_limit],
        storage_uri=storage,
        storage_options=options,
        strategy="sliding-window-counter",
        in_memory_fallback_enabled=True,
        swallow_errors=False,
        key_prefix="fms",
    )
    limiter.init_app(app)
    limiter.request_filter(lambda: request.endpoint in _ALWAYS)
    for endpoint, view in app.view_functions.items():
        if getattr(view, "fms_tries_passwords", False):
            app.view_functions[endpoint] = _limited(limiter, view, settings.login_rate_limit)


def _limited(limiter: Limiter, view: Any, most: str) -> Any:
    """A view whose passwords are tried so often: from one address, and at one account, whichever view is asked."""
    for key, what in ((_address, "passwords from"), (account_asked_for, "passwords of")):
        view = limiter.shared_limit(most, scope=what, key_func=key, override_defaults=False)(view)
    return view


def _address() -> str:
    return f"address:{request.remote_addr}"


def _who() -> str:
    who = g.get("identity")
    return f"user:{who.user_id}" if who else _address()


def account_asked_for() -> str:
    """The account whose password is tried, or that is to be made; nothing in its name tells which.

    Whoever is logged in has a name of their own here: others who try the e-mail do not keep them from their account.
    """
    if who := g.get("identity"):
        return f"user:{who.user_id}"
    try:
        body = read_json(request.get_data())
    except (Problem, HTTPException):
        # The view will say so. Raised here it would be taken for a fault of the counters.
        body = None
    email = body.get("email") if isinstance(body, dict) else None
    return "account:" + sha256(str(email).strip().lower().encode()).hexdigest()[:32]


def _storage(settings: Settings) -> str:
    if settings.price_book_url is None:
        return "memory://"
    url = settings.price_book_url.get_secret_value()
    return f"redis+{url}" if url.startswith("unix://") else url
