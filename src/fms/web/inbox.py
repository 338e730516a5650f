"""Your inbox: what fired, what became of it, and what you have read."""

from typing import Any
from uuid import UUID

from flask import Response, jsonify
from marshmallow import fields, validate

from fms.db.inbox_pages import InboxFilter
from fms.errors import Invalid
from fms.model.ids import parse_id
from fms.model.notification import STATUSES, Notification
from fms.model.shown import notification_document
from fms.web.alert_schemas import KINDS, PAGE_LIMIT, FareOut
from fms.web.cursors import cursor_of, link_next, place_of, unknown_cursor
from fms.web.fields import Closed
from fms.web.parts import id_in_path, me, parts
from fms.web.problems import Fault, Problem
from fms.web.routes import Routes

routes = Routes("inbox", "/api/notifications", "What your alerts have found.")

_FLIGHTS = fields.List(fields.String(), required=True, allow_none=True)

FlightsOut = Closed.from_dict({"outbound": _FLIGHTS, "return": _FLIGHTS}, name="FlightsOut")
"""Flights of each direction; one of the names could not be an attribute."""


class NotificationOut(Closed):
    """What fired, and under ``told`` what was shown of it. Times are RFC 3339 in UTC, prices in minor units."""

    notification_id = fields.String(required=True, metadata={"format": "uuid"})
    alert_id = fields.String(required=True, metadata={"format": "uuid"})
    ref = fields.String(required=True, metadata={"description": "Of the alert."})
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    revision = fields.Integer(required=True, metadata={"description": "Raised when it fires again in the same hour."})
    origin = fields.String(required=True)
    destination = fields.String(required=True)
    departure_date = fields.String(required=True, metadata={"format": "date"})
    return_date = fields.String(required=True, allow_none=True, metadata={"format": "date"})
    departure_time = fields.String(required=True, allow_none=True)
    cabin = fields.String(required=True)
    flights = fields.Nested(FlightsOut, required=True, allow_none=True)
    carrier = fields.String(required=True, allow_none=True)
    fare_brand = fields.String(required=True, allow_none=True)
    source = fields.String(required=True)
    currency = fields.String(required=True)
    price_minor = fields.Integer(required=True)
    old_price_minor = fields.Integer(required=True, allow_none=True, metadata={"description": "Null: first seen."})
    trigger_minor = fields.Integer(required=True)
    threshold_minor = fields.Integer(required=True)
    unusual = fields.Boolean(required=True, metadata={"description": "Whether it may be a mistake of the source."})
    observed_at = fields.String(required=True, metadata={"format": "date-time"})
    release_at = fields.String(
        required=True,
        allow_none=True,
        metadata={"format": "date-time", "description": "When one that waits is judged again."},
    )
    told_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    told_price_minor = fields.Integer(required=True, allow_none=True)
    told = fields.Nested(FareOut, required=True, allow_none=True)
    read_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})


class InboxPageOut(Closed):
    """Some notifications."""

    items = fields.List(fields.Nested(NotificationOut), required=True)
    next = fields.String(
        required=True, allow_none=True, metadata={"description": "The cursor of the next page; null: this is the last."}
    )


class InboxQuery(Closed):
    """Which notifications."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    unread = fields.Boolean(truthy={"true"}, falsy={"false"})
    alert_id = fields.String(validate=validate.Length(1, 60), metadata={"format": "uuid"})
    limit = fields.Integer(load_default=PAGE_LIMIT, validate=validate.Range(1, PAGE_LIMIT))
    cursor = fields.String(validate=validate.Length(1, 1_000), metadata={"description": "next of the page before."})


class ReadIn(Closed):
    """What was read."""

    up_to = fields.String(
        validate=validate.Length(1, 60),
        metadata={"format": "uuid", "description": "This one and all that are older. Default: all."},
    )


class UnreadOut(Closed):
    """How much there is to read: what was superseded, cancelled or told already does not count."""

    unread = fields.Integer(required=True)


@routes.view("GET", "", answer=InboxPageOut, query=InboxQuery)
def list_(query: dict[str, Any]) -> Response:
    """List your notifications, the newest first."""
    wanted = InboxFilter(query.get("status"), query.get("unread"), _alert(query.get("alert_id")))
    after = _place(query["cursor"]) if "cursor" in query else None
    page = parts().inbox.page(me().id, wanted, limit=query["limit"], after=after)
    cursor = None if page.after is None else cursor_of(str(page.after))
    response = jsonify({"items": [_answer(row) for row in page.rows], "next": cursor})
    said = {"unread": str(query["unread"]).lower()} if "unread" in query else {}
    link_next(response, {**query, **said}, cursor)
    return response


def _alert(text: str | None) -> UUID | None:
    try:
        return None if text is None else parse_id(text)
    except Invalid as error:
        raise Problem("invalid", f"alert_id: {error}", Fault(str(error), parameter="alert_id")) from None


def _place(cursor: str) -> UUID:
    [text] = place_of(cursor, str)
    try:
        return parse_id(text)
    except Invalid:
        raise unknown_cursor() from None


def _answer(row: Notification) -> dict[str, Any]:
    document = notification_document(row)
    del document["user"]
    return document


@routes.view("GET", "/unread", answer=UnreadOut)
def unread() -> dict[str, int]:
    """How many of your notifications are unread."""
    return {"unread": parts().inbox.unread(me().id)}


@routes.view("POST", "/read", answer=UnreadOut, body=ReadIn, problems=("not-found",))
def read_all(body: dict[str, str]) -> dict[str, int]:
    """Note that you have read everything, or one and all that are older; answers what is unread then."""
    try:
        up_to = parse_id(body["up_to"]) if "up_to" in body else None
    except Invalid as error:
        raise Invalid(f"up_to: {error}") from None
    return {"unread": parts().inbox.mark_all(me().id, up_to)}


@routes.view("GET", "/<notification_id>", answer=NotificationOut)
def get(notification_id: str) -> dict[str, Any]:
    """One notification."""
    return _answer(parts().inbox.get(me().id, id_in_path(notification_id)))


@routes.view("POST", "/<notification_id>/read", answer=NotificationOut)
def read(notification_id: str) -> dict[str, Any]:
    """Note that you have read it; what was read before keeps its time. Fired again, it is unread again."""
    return _answer(parts().inbox.mark(me().id, id_in_path(notification_id), read=True))


@routes.view("POST", "/<notification_id>/unread", answer=NotificationOut)
def not_read(notification_id: str) -> dict[str, Any]:
    """Note that you have not read it."""
    return _answer(parts().inbox.mark(me().id, id_in_path(notification_id), read=False))
