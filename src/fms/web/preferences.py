"""Your preferences: when you want to be left in peace, and how you want to hear."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from flask import Response
from marshmallow import fields, validate

from fms.model.clock import parse_instant
from fms.model.shown import preferences_document
from fms.model.user import (
    CHANNELS,
    MOST_PUSHES,
    TIME_OF_DAY,
    User,
    check_quiet,
    checked_cap,
    checked_channels,
    parse_time_of_day,
    zone_of,
)
from fms.web.fields import Closed, Pattern, by_rule
from fms.web.parts import me, parts
from fms.web.preconditions import check_version, versioned
from fms.web.routes import IF_MATCH, Routes

Given = TypeVar("Given")
Kept = TypeVar("Kept")

routes = Routes("preferences", "/api/preferences", "When you want to be left in peace, and how you want to hear.")


class Preferences(Closed):
    """They hold pushes back, and are never a reason to miss a fare: the inbox has everything."""

    zone = fields.String(
        required=True,
        validate=[validate.Length(1, 64), by_rule(zone_of)],
        metadata={"description": "IANA time zone, like Europe/London."},
    )
    quiet_from = fields.String(
        required=True,
        allow_none=True,
        validate=Pattern(rf"^{TIME_OF_DAY}$"),
        metadata={"description": "Local time, HH:MM, from which nothing is delivered; null: always delivered."},
    )
    quiet_to = fields.String(
        required=True,
        allow_none=True,
        validate=Pattern(rf"^{TIME_OF_DAY}$"),
        metadata={"description": "Until when; null with quiet_from only."},
    )
    daily_cap = fields.Integer(
        required=True,
        allow_none=True,
        strict=True,
        validate=validate.Range(1, MOST_PUSHES),
        metadata={"description": "Pushes in a local day; null: no cap."},
    )
    snoozed_until = fields.String(
        required=True,
        allow_none=True,
        validate=by_rule(parse_instant),
        metadata={"format": "date-time", "description": "Nothing is delivered before (RFC 3339); null: not snoozed."},
    )
    channels = fields.List(
        fields.String(validate=validate.OneOf(CHANNELS)),
        required=True,
        allow_none=True,
        validate=by_rule(checked_channels),
        metadata={"description": "How you want to hear; empty: by the inbox only; null: by all that there are."},
    )


@routes.view("GET", "", answer=Preferences)
def get() -> Response:
    """Your preferences."""
    return _answer(parts().site.users.find(me().email))


@routes.view("PUT", "", answer=Preferences, body=Preferences, problems=("changed",), headers=(IF_MATCH,))
def put(body: dict[str, Any]) -> Response:
    """Replace your preferences, all of them."""
    wanted = _wanted(body)

    def edit(user: User) -> User:
        check_version(user.version, "preferences are")
        return replace(user, **wanted)

    return _answer(parts().site.users.change_with(me().id, edit))


def _wanted(body: dict[str, Any]) -> dict[str, Any]:
    quiet = {name: _read(parse_time_of_day, body[name]) for name in ("quiet_from", "quiet_to")}
    check_quiet(quiet["quiet_from"], quiet["quiet_to"])
    return quiet | {
        "zone": str(zone_of(body["zone"])),
        "daily_cap": _read(checked_cap, body["daily_cap"]),
        "snoozed_until": _read(parse_instant, body["snoozed_until"]),
        "channels": _read(checked_channels, body["channels"]),
    }


def _read(rule: Callable[[Given], Kept], given: Given | None) -> Kept | None:
    return None if given is None else rule(given)


def _answer(user: User) -> Response:
    return versioned(preferences_document(user), user.version)
