"""The inbox over HTTP: pages, what is unread, and what was read."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from fms.bootstrap import Site
from fms.db.inbox_pages import InboxPages
from fms.model.clock import HOUR_MS, format_instant
from fms.model.ids import slot_of_id
from fms.model.notification import CANCELLED, NO_NEWS, PENDING, SENT, STATUSES, Message
from fms.web.inbox import InboxPageOut, NotificationOut
from tests.builders import MINT, MONDAY, fare, series_of
from tests.web.people import Person, neighbour_of


@pytest.fixture
def ben(anna: Person) -> Person:
    """Somebody else beside her."""
    return neighbour_of(anna)


ALERT_ID = MINT.new(7)


def site_of(person: Person) -> Site:
    site: Site = person.app.extensions["fms"].site
    return site


def message_for(person: Person, **changes: Any) -> Message:
    user = site_of(person).users.find(person.email)
    shown = fare(price=39_000)
    made = Message(
        notification_id=MINT.new(slot_of_id(ALERT_ID)),
        alert_id=ALERT_ID,
        user_id=user.id,
        user=user.email,
        ref="mine",
        kind="target",
        edition=1,
        hour=MONDAY // HOUR_MS,
        revision=1,
        series=series_of(shown),
        old_price=45_000,
        trigger=40_000,
        threshold=40_000,
        unusual=False,
        evaluated=False,
        fare=shown,
    )
    return replace(made, **changes)


def fired(person: Person, status: str = PENDING, **changes: Any) -> str:
    """Something fires for somebody; answers its id."""
    message = message_for(person, **changes)
    notifications = site_of(person).notifications
    notifications.hand_over([message])
    if status != PENDING:
        [row] = [one for one in notifications.all() if one.message.notification_id == message.notification_id]
        notifications.write(message.user_id, [replace(row, status=status)])
    return str(message.notification_id)


def pages(person: Person, path: str) -> Iterator[list[str]]:
    """The ids of each page, as a client follows the links."""
    while path:
        page = person.ask("GET", path)
        yield [one["notification_id"] for one in page.checked()["items"]]
        link = page.headers.get("Link")
        assert (link is None) == (page.json["next"] is None)
        path = link.split(">")[0].removeprefix("<") if link else ""


def unread(person: Person) -> int:
    found: int = person.ask("GET", "/api/notifications/unread").checked()["unread"]
    return found


def test_the_newest_come_first_page_by_page_each_once(anna: Person) -> None:
    ids = [fired(anna) for _ in range(5)]
    assert list(pages(anna, "/api/notifications?limit=2")) == [ids[4:2:-1], ids[2:0:-1], ids[:1]]
    assert list(pages(anna, "/api/notifications?limit=5")) == [ids[::-1]]
    assert list(pages(anna, "/api/notifications")) == [ids[::-1]]


def test_what_fires_meanwhile_moves_no_page(anna: Person) -> None:
    ids = [fired(anna) for _ in range(4)]
    reading = pages(anna, "/api/notifications?limit=2")
    assert next(reading) == [ids[3], ids[2]]
    fired(anna)
    assert next(reading) == [ids[1], ids[0]]


def test_everything_that_is_answered_is_declared(anna: Person) -> None:
    one = fired(anna, fare=fare(outbound_flights=("BA1",), return_flights=("BA2",)))
    two = fired(anna, SENT, fare=fare(outbound_flights=None))
    notifications = site_of(anna).notifications
    [row] = [row for row in notifications.all() if str(row.message.notification_id) == two]
    told = replace(row, told=row.message.fare, told_series=1, told_at=MONDAY, told_price=39_000)
    notifications.write(row.message.user_id, [told])
    page = anna.ask("GET", "/api/notifications").checked()
    assert InboxPageOut().validate(page) == {}
    assert page["items"][1]["flights"] == {"outbound": ["BA1"], "return": ["BA2"]}
    assert (page["items"][0]["flights"], page["items"][0]["told"]["total_amount_minor"]) == (None, 40_000)
    for method, path in (("GET", ""), ("POST", "/read"), ("POST", "/unread")):
        answer = anna.ask(method, f"/api/notifications/{one}{path}").checked()
        assert NotificationOut().validate(answer) == {}
        assert answer.keys() == NotificationOut().fields.keys()
    assert "user" not in page["items"][0]


def test_only_what_has_news_counts_as_unread(anna: Person) -> None:
    ids = {status: fired(anna, status) for status in STATUSES}
    news = [ids[status] for status in reversed(STATUSES) if status not in NO_NEWS]
    others = [ids[status] for status in reversed(STATUSES) if status in NO_NEWS]
    assert (unread(anna), len(others)) == (len(news), 3)
    assert list(pages(anna, "/api/notifications?unread=true")) == [news]
    assert list(pages(anna, "/api/notifications?unread=false")) == [others]
    for left, one in enumerate(reversed(news)):
        assert unread(anna) == len(news) - left
        anna.ask("POST", f"/api/notifications/{one}/read").checked()
    assert (unread(anna), list(pages(anna, "/api/notifications?unread=true"))) == (0, [[]])


def test_lists_are_filtered_on_every_page(anna: Person) -> None:
    other = MINT.new(8)
    sent = [fired(anna, SENT) for _ in range(3)]
    theirs = [fired(anna, CANCELLED, alert_id=other) for _ in range(3)]
    assert list(pages(anna, "/api/notifications?status=sent&limit=2")) == [[sent[2], sent[1]], [sent[0]]]
    assert list(pages(anna, "/api/notifications?unread=true&limit=2")) == [[sent[2], sent[1]], [sent[0]]]
    assert list(pages(anna, f"/api/notifications?alert_id={other}&limit=2")) == [[theirs[2], theirs[1]], [theirs[0]]]
    assert list(pages(anna, f"/api/notifications?alert_id={other}&status=sent")) == [[]]


SENSELESS = {
    "status=open": "status",
    "unread=maybe": "unread",
    "alert_id=mine": "alert_id",
    f"alert_id={UUID(int=1)}": "alert_id",
    "limit=0": "limit",
    "limit=101": "limit",
    "cursor=x": "cursor",
    "cursor=WyJub3QgYW4gaWQiXQ": "cursor",
    "user=ben": "user",
}


def test_a_query_that_makes_no_sense_is_refused_by_name(anna: Person) -> None:
    for query, parameter in SENSELESS.items():
        refused = anna.ask("GET", f"/api/notifications?{query}").checked(422)
        assert [error["parameter"] for error in refused["errors"]] == [parameter]


def test_what_was_read_keeps_its_time_until_it_is_unread(anna: Person) -> None:
    one = fired(anna)
    user = site_of(anna).users.find(anna.email)
    InboxPages(site_of(anna).router, lambda: MONDAY).mark(user.id, UUID(one), read=True)
    again = anna.ask("POST", f"/api/notifications/{one}/read").checked()
    assert again["read_at"] == format_instant(MONDAY)
    assert anna.ask("POST", f"/api/notifications/{one}/unread").checked()["read_at"] is None
    assert unread(anna) == 1
    assert anna.ask("POST", f"/api/notifications/{one}/read").checked()["read_at"] > format_instant(MONDAY)


def test_what_fires_again_in_its_hour_is_unread_again(anna: Person) -> None:
    message = message_for(anna)
    site_of(anna).notifications.hand_over([message])
    anna.ask("POST", "/api/notifications/read", {}).checked()
    site_of(anna).notifications.hand_over([message])
    assert unread(anna) == 0
    site_of(anna).notifications.hand_over([replace(message, revision=2)])
    assert unread(anna) == 1


def test_what_was_read_stays_read_when_it_is_told(anna: Person) -> None:
    one = fired(anna)
    notifications = site_of(anna).notifications
    [before] = notifications.all()
    anna.ask("POST", f"/api/notifications/{one}/read").checked()
    notifications.write(before.message.user_id, [replace(before, status=SENT)])
    told = anna.ask("GET", f"/api/notifications/{one}").checked()
    assert (told["status"], told["read_at"] is None) == ("sent", False)


def test_everything_is_read_at_once(anna: Person, ben: Person) -> None:
    for _ in range(3):
        fired(anna)
        fired(ben)
    assert anna.ask("POST", "/api/notifications/read", {}).checked() == {"unread": 0}
    assert (unread(anna), unread(ben)) == (0, 3)


def test_what_is_newer_than_what_was_read_stays_unread(anna: Person, ben: Person) -> None:
    ids = [fired(anna) for _ in range(4)]
    fired(ben)
    assert anna.ask("POST", "/api/notifications/read", {"up_to": ids[1]}).checked() == {"unread": 2}
    assert list(pages(anna, "/api/notifications?unread=true")) == [[ids[3], ids[2]]]
    assert unread(ben) == 1


def test_nothing_is_read_by_mistake(anna: Person) -> None:
    fired(anna)
    for body in ({"up_to": None}, {"up_to": "mine"}, {"up_to": str(UUID(int=1))}, {"all": True}):
        assert anna.ask("POST", "/api/notifications/read", body).status == 422
    assert anna.ask("POST", "/api/notifications/read", {"up_to": str(MINT.new(1))}).status == 404
    assert unread(anna) == 1


def test_what_is_somebody_elses_is_not_there(anna: Person, ben: Person) -> None:
    older, theirs = fired(anna), fired(ben)
    for method, path in (("GET", ""), ("POST", "/read"), ("POST", "/unread")):
        assert anna.ask(method, f"/api/notifications/{theirs}{path}").status == 404
        assert anna.ask(method, f"/api/notifications/{MINT.new(1)}{path}").status == 404
        assert anna.ask(method, f"/api/notifications/nothing{path}").status == 404
    assert anna.ask("POST", "/api/notifications/read", {"up_to": theirs}).status == 404
    assert (unread(anna), unread(ben)) == (1, 1)
    assert list(pages(anna, "/api/notifications")) == [[older]]


def test_a_cursor_of_somebody_else_shows_nothing_of_theirs(anna: Person, ben: Person) -> None:
    for _ in range(3):
        fired(ben)
    cursor = ben.ask("GET", "/api/notifications?limit=1").checked()["next"]
    assert anna.ask("GET", f"/api/notifications?cursor={cursor}").checked()["items"] == []
