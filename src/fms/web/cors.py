"""Which other origins' pages may ask the API from a browser (Fetch standard, CORS): exactly those that are named."""

from flask import Flask, Response, request

from fms.settings import Settings

_ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id"
    ),
    "Access-Control-Max-Age": "600",
}
_EXPOSED = "ETag, Idempotency-Replayed, Link, Location, Retry-After, WWW-Authenticate, X-Request-Id"


def allow_origins(app: Flask, settings: Settings) -> None:
    """Let the pages of the origins in; without any nothing is said. Tokens come in headers: no cookies are let in."""
    origins = {origin.strip() for origin in settings.cors_origins.split(",")} - {"", "*", "null"}
    if not origins:
        return

    def say(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
            if _is_preflight():
                response.headers.update(_ALLOWED)
        return response

    app.after_request(say)


def _is_preflight() -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
