"""Rows that are told, and pushes of them, made by hand."""

from typing import Any
from uuid import UUID

from fms.model.clock import HOUR_MS
from fms.model.facts import Facts
from fms.model.notification import Message, Notification, Push
from fms.model.user import User
from tests.builders import MONDAY, fare

ID = UUID(int=1)
USER = User(ID, "me@example.org")


def row(kind: str = "target", old: int | None = 45_000, *, told: Any = None, **message: Any) -> Notification:
    """A firing at 380 USD: T 400, trigger 396, of series 7; ``told``: the price and series that are shown instead."""
    values: dict[str, Any] = {
        "notification_id": ID, "alert_id": ID, "ref": "mine", "edition": 1, "hour": MONDAY // HOUR_MS, "revision": 1,
        "series": 7, "old_price": old, "trigger": 39_600, "threshold": 40_000, "unusual": False, "evaluated": False,
        "fare": fare(price=38_000),
    }  # fmt: skip
    fired = Message(user_id=ID, user="me@example.org", kind=kind, **(values | message))
    if told is None:
        return Notification(fired)
    price, series = told
    return Notification(fired, told=fare(price=price, observed_at=MONDAY + HOUR_MS), told_series=series)


def push(*rows: Notification, user: User = USER, facts: Facts | None = None) -> Push:
    """One push of rows, about each of which the same is known."""
    known = {one.message.notification_id: facts for one in rows if facts}
    return Push(ID, user, rows, known)
