"""Alerts: make, list, read, change and delete them, and ask why one does not fire."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from hashlib import sha256
from typing import Any
from uuid import UUID

from flask import Response, jsonify, request

from fms.db.creation import Key, New, Repeat
from fms.db.listing import SORTS, Filter
from fms.errors import Invalid, NotFound, Transient
from fms.judging import Outlook, explain_fare
from fms.model.alert import Alert
from fms.model.alert_document import parse_alert
from fms.model.clock import DAY_MS, date_of, format_instant, parse_instant
from fms.model.notification import Message
from fms.model.route import slot_of_od
from fms.model.shown import price_document
from fms.ports import Outcome
from fms.verdicts import in_one_line
from fms.web.alert_answers import alert_answer, made_answer, made_document
from fms.web.alert_schemas import (
    AlertEdit,
    AlertIn,
    AlertOut,
    AlertPageOut,
    AlertQuery,
    ExplanationOut,
    MadeOut,
    SnoozeIn,
)
from fms.web.cursors import cursor_of, link_next, place_of, unknown_cursor
from fms.web.logs import app_log
from fms.web.parts import id_in_path, me, parts
from fms.web.preconditions import if_match, versioned
from fms.web.problems import Fault, Problem, invalid
from fms.web.routes import IDEMPOTENCY_KEY, IF_MATCH, Routes

CHANGED = ("changed", "version-wanted")

routes = Routes("alerts", "/api/alerts", "What you want to be told of.")


def mine(text: str) -> Alert:
    """The alert of an id, if it is the asker's; raises NotFound as for one that is not there."""
    found = parts().site.alert_rows.get(id_in_path(text))
    if found.user_id != me().id:
        raise NotFound(f"no alert {text}")
    return found


@routes.view(
    "POST",
    "",
    answer=MadeOut,
    status=201,
    body=AlertIn,
    problems=("conflict", "key-reused", "limit"),
    headers=(IDEMPOTENCY_KEY,),
)
def create(body: dict[str, Any]) -> Response:
    """Make an alert. With an Idempotency-Key the request may be sent again: it makes one alert, and has one answer."""
    key = _idempotency_key(body)
    made = _made(body)
    most = parts().site.settings.alerts_per_user
    census = parts().creation.census(me().id, made.ref if body.get("ref") else None, key, most)
    if census.repeat and key:
        return _again(census.repeat, key)
    if census.same_ref:
        raise _same_ref(made.ref, census.same_ref)
    if census.alerts >= most:
        raise Problem("limit", f"you have {census.alerts} alerts, and {most} are allowed: delete some first")
    outcome, outlook = _assessed(made)
    begun = replace(made, state=outcome.state) if outcome else made
    document = made_document(begun, outlook, parts().site.clock())
    if key:
        key = replace(key, answer=json.dumps(document))
    found = parts().creation.add(New(made, outcome, parts().site.alerts.catch_up_at(parts().site.clock()), key))
    if isinstance(found, UUID):
        raise _same_ref(made.ref, found)
    if isinstance(found, Repeat):
        assert key is not None  # noqa: S101  # nothing is repeated without
        return _again(found, key)
    _hand_over(found)
    return made_answer(document, 201)


def _assessed(made: Alert) -> tuple[Outcome, Outlook] | tuple[None, None]:
    """How an alert begins; if prices cannot be read it is evaluated later."""
    try:
        return parts().site.alerts.judging.assess(made)
    except Transient as error:
        app_log().warning("evaluated later", alert=str(made.id), why=str(error))
        return None, None


def _hand_over(messages: Sequence[Message]) -> None:
    """Let the inbox have at once what an alert fires when it is made; if it cannot, it has it later."""
    try:
        parts().site.notifications.hand_over(messages)
    except Transient as error:
        # The alert is made, and its outbox has them.
        app_log().warning("handed over later", messages=len(messages), why=str(error))


def _made(body: Mapping[str, Any]) -> Alert:
    # Whoever gives no ref knows the alert by its id.
    ref = body.get("ref")
    wish = parse_alert({**body, "ref": ref or "its id"})
    _check_dates(wish.criteria.depart_to)
    alert_id = parts().site.mint.new(slot_of_od(wish.criteria.od))
    name = wish.ref if ref else str(alert_id)
    return Alert(alert_id, me().id, me().email, name, wish.kind, wish.amount, wish.criteria)


def _check_dates(depart_to: date) -> None:
    # It is still yesterday in places west of us.
    if depart_to < date_of(parts().site.clock() // DAY_MS - 1):
        raise Invalid("depart_to: in the past")


def _idempotency_key(body: Mapping[str, Any]) -> Key | None:
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    if not 1 <= len(text) <= 255 or not text.isascii() or not text.isprintable():
        detail = "1 to 255 printable ASCII characters wanted"
        raise Problem("invalid", f"Idempotency-Key: {detail}", Fault(detail, header="Idempotency-Key"))
    return Key(text, sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())


def _same_ref(ref: str, there: UUID) -> Problem:
    return Problem("conflict", f"ref: {ref!r} is your alert {there}", Fault("you have one called so", pointer="/ref"))


def _again(before: Repeat, key: Key) -> Response:
    """The first answer, whatever became of the alert since."""
    if before.request != key.request:
        fault = Fault("it was used for another request", header="Idempotency-Key")
        raise Problem("key-reused", "Idempotency-Key: it was used for another alert", fault)
    return made_answer(json.loads(before.answer), 201, repeated=True)


def _judged(alert: Alert) -> dict[str, Any]:
    """The alert after the evaluation that is owed to it, or before if prices cannot be read: then it is done later."""
    outlook: Outlook | None = None
    site = parts().site
    try:
        messages, outlook = site.alerts.evaluate(alert)
        # Its outbox has them; so the inbox has them at once.
        site.notifications.hand_over(messages)
    except Transient as error:
        app_log().warning("evaluated later", alert=str(alert.id), why=str(error))
    return made_document(site.alert_rows.get(alert.id), outlook, site.clock())


@routes.view("GET", "", answer=AlertPageOut, query=AlertQuery)
def list_(query: dict[str, Any]) -> Response:
    """List your alerts."""
    sort, limit = query["sort"], query["limit"]
    wanted = Filter(
        query.get("state"),
        query.get("kind"),
        _upper(query.get("origin")),
        _upper(query.get("destination")),
        query.get("ref"),
    )
    site = parts().site
    after = _place(query["cursor"], sort) if "cursor" in query else None
    page = parts().pages.page(me().id, wanted, sort, limit=limit, after=after, today=date_of(site.clock() // DAY_MS))
    cursor = None if page.after is None else cursor_of(sort, str(page.after[0]), str(page.after[1]))
    items = [alert_answer(one, site.clock()) for one in page.alerts]
    response = jsonify({"items": items, "next": cursor})
    link_next(response, query, cursor)
    return response


def _upper(code: str | None) -> str | None:
    return None if code is None else code.upper()


_READ: Mapping[str, Callable[[str], Any]] = {"created": UUID, "departure": date.fromisoformat}


def _place(cursor: str, sort: str) -> tuple[Any, UUID]:
    given, value, alert_id = place_of(cursor, str, str, str)
    try:
        place = _READ.get(sort.removeprefix("-"), str)(value), UUID(alert_id)
    except ValueError:
        raise unknown_cursor() from None
    if given != sort or sort.removeprefix("-") not in SORTS:
        raise unknown_cursor()
    return place


@routes.view("GET", "/<alert_id>", answer=AlertOut)
def get(alert_id: str) -> Response:
    """One alert."""
    return _shown(mine(alert_id))


def _shown(alert: Alert) -> Response:
    return versioned(alert_answer(alert, parts().site.clock()), alert.version)


@routes.view(
    "PUT", "/<alert_id>", answer=MadeOut, body=AlertEdit, problems=("immutable", *CHANGED), headers=(IF_MATCH,)
)
def put(body: dict[str, Any], alert_id: str) -> Response:
    """Replace what an alert wants; it is measured afresh, as if it were new. Its market, kind and ref stay."""
    before = mine(alert_id)
    document = {name: value for name, value in body.items() if value is not None}
    if "depart_to" in document:
        _check_dates(_day(document["depart_to"]))
    try:
        edited = parts().site.alerts.replace(before, document, if_match())
    except Invalid as error:
        if "cannot be changed" in str(error):
            raise invalid(str(error), "immutable") from None
        raise
    return made_answer(_judged(edited), 200)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"depart_to: not a date: {text!r}") from None


@routes.view("DELETE", "/<alert_id>", status=204, problems=CHANGED, headers=(IF_MATCH,))
def delete(alert_id: str) -> None:
    """Delete an alert. What it has told stays in your inbox; what it has not is not told any more."""
    parts().site.alerts.delete(mine(alert_id), if_match())


@routes.view("POST", "/<alert_id>/pause", answer=AlertOut, problems=CHANGED, headers=(IF_MATCH,))
def pause(alert_id: str) -> Response:
    """Stop an alert from firing until it is resumed."""
    return _shown(parts().site.alerts.pause(mine(alert_id), if_match()))


@routes.view("POST", "/<alert_id>/resume", answer=MadeOut, problems=CHANGED, headers=(IF_MATCH,))
def resume(alert_id: str) -> Response:
    """End a pause; reference and threshold stay, and what is already below is told."""
    return made_answer(_judged(parts().site.alerts.resume(mine(alert_id), if_match())), 200)


@routes.view("POST", "/<alert_id>/snooze", answer=AlertOut, body=SnoozeIn, problems=CHANGED, headers=(IF_MATCH,))
def snooze(body: dict[str, str | None], alert_id: str) -> Response:
    """Hold back what an alert has to tell; it goes on being judged."""
    try:
        until = None if body["until"] is None else parse_instant(body["until"])
    except Invalid as error:
        raise Invalid(f"until: {error}") from None
    return _shown(parts().site.alerts.snooze(mine(alert_id), until, if_match()))


@routes.view("GET", "/<alert_id>/explain", answer=ExplanationOut)
def explain(alert_id: str) -> dict[str, Any]:
    """Why an alert fires or does not: on the best fares that it wants, and what each criterion excludes."""
    alerts, clock = parts().site.alerts, parts().site.clock
    found = alerts.judging.explain(mine(alert_id))
    judged = [(fare, explain_fare(found.alert, fare)) for fare in found.best]
    return {
        "alert": alert_answer(found.alert, clock()),
        "verdict": in_one_line(found),
        "holder": None if found.holder is None else price_document(found.holder),
        "known_fares": found.known,
        "newest_observation": None if found.newest is None else format_instant(found.newest),
        "best_fares": [
            {
                "fare": price_document(fare),
                "fires": unmet is None,
                "condition": unmet.criterion if unmet else None,
                "why": unmet.why if unmet else None,
            }
            for fare, unmet in judged
        ],
        "excluded": dict(found.excluded),
    }
