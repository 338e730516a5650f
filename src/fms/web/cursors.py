"""Cursors: where a page begins, as text that a client hands back. They grant nothing: whose rows is always asked."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from fms.web.bodies import read_json
from fms.web.problems import Fault, Problem


def cursor_of(*place: Any) -> str:
    """A place as a cursor; its parts are texts or numbers."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place_of(cursor: str, *kinds: type) -> list[Any]:
    """The place of a cursor, whose parts are of the kinds; raises Problem."""
    try:
        place = read_json(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, Problem):
        raise unknown_cursor() from None
    if not isinstance(place, list) or list(map(type, place)) != list(kinds):
        raise unknown_cursor()
    return place


def unknown_cursor() -> Problem:
    """The problem of a cursor that was not given out for such a list."""
    detail = "not a cursor of this list"
    return Problem("invalid", f"cursor: {detail}", Fault(detail, parameter="cursor"))


def link_next(response: Response, asked: Mapping[str, Any], cursor: str | None) -> None:
    """Say in a ``Link`` header (RFC 8288) where the next page is."""
    if cursor is not None:
        query = urlencode({**{name: value for name, value in asked.items() if value is not None}, "cursor": cursor})
        response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
