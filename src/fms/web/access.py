"""What is done for every request: an id, a line in the log without secrets, and headers that keep browsers safe."""

import re
import time
from uuid import uuid4

from flask import Flask, Response, g, request

from fms.web import metering
from fms.web.logs import app_log

REQUEST_ID = "X-Request-Id"
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer that does not say otherwise itself."""


def watch_requests(app: Flask) -> None:
    """Give each request its id, its headers and its line in the log."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    given = request.headers.get(REQUEST_ID, "")
    g.request_id = given if _GIVEN.fullmatch(given) else uuid4().hex
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    response.headers[REQUEST_ID] = g.request_id
    for name, value in SAFE.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    seconds = time.perf_counter() - g.started
    who = g.get("identity")
    route = str(request.url_rule or "none")
    metering.count(route, request.method, response.status_code, seconds)
    # The route, not the path or the query: they may hold what is nobody's business.
    app_log().info(
        "request",
        method=request.method,
        route=route,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        bytes=response.content_length,
        address=request.remote_addr,
        user=None if who is None else str(who.user_id),
        request_id=g.request_id,
    )
    return response
