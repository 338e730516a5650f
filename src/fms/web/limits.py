"""How often may be asked: by a user, by an address, and for an account by whoever tries to log in."""

from hashlib import sha256
from typing import Any

from flask import Flask, g, request
from flask_limiter import Limiter

from fms.settings import Settings

LOGIN_LIMITED = "fms_login_limited"


def limit(app: Flask, settings: Settings) -> Limiter:
    """Limit the requests of an app: in Redis if the price book is there, so that all processes count together."""
    limiter = Limiter(
        _who,
        default_limits=[settings.rate_limit],
        storage_uri=_storage(settings),
        strategy="sliding-window-counter",
        headers_enabled=True,
        in_memory_fallback_enabled=True,
        swallow_errors=False,
    )
    limiter.init_app(app)
    app.extensions["fms.limiter"] = limiter
    return limiter


def _who() -> str:
    who = g.get("identity")
    return f"user:{who.user_id}" if who else f"address:{request.remote_addr}"


def account_asked_for() -> str:
    """The account that somebody tries to log in to, or to register; nothing in its name tells which."""
    body: Any = request.get_json(silent=True)
    email = body.get("email") if isinstance(body, dict) else None
    return "account:" + sha256(str(email).strip().lower().encode()).hexdigest()[:32]


def _storage(settings: Settings) -> str:
    if settings.price_book_url is None:
        return "memory://"
    url = settings.price_book_url.get_secret_value()
    return f"redis+{url}" if url.startswith("unix://") else url
