"""Alerts as files: JSON lines in the form of ``fms alerts import``."""

import json
from typing import Any

from flask import Response, g, request
from marshmallow import fields

from fms.errors import Invalid, Transient
from fms.model.alert_document import document_of
from fms.model.alert_file import read_alert_lines
from fms.web.fields import Closed
from fms.web.logs import app_log
from fms.web.parts import me, parts
from fms.web.problems import Fault, Problem
from fms.web.routes import Routes

routes = Routes("alert_files", "/api/alerts", "Alerts as files.")

LINES = "application/x-ndjson"
FILES = (LINES, "application/jsonl", "application/json-lines", "text/plain")
FILE_FACTOR = 32
"""How much larger than other bodies a file may be."""


class ImportQuery(Closed):
    """How a file is imported."""

    update = fields.Boolean(
        load_default=False,
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Whether alerts whose ref is known with other content are edited."},
    )


class ImportedOut(Closed):
    """What an import did, in numbers of alerts."""

    added = fields.Integer(required=True)
    updated = fields.Integer(required=True)
    unchanged = fields.Integer(required=True)


@routes.view("POST", "/import", answer=ImportedOut, query=ImportQuery, problems=("limit", "too-large", "wrong-type"))
def import_(query: dict[str, bool]) -> dict[str, int]:
    """Import a file: all of it, or nothing if a line has an error. Sent again it changes nothing."""
    request.max_content_length = parts().site.settings.body_limit_kb * 1024 * FILE_FACTOR
    if request.mimetype not in FILES:
        raise Problem("wrong-type", f"{LINES} is wanted, one alert a line")
    site = parts().site
    try:
        wishes = read_alert_lines("body", request.get_data(cache=False))
        refs = {alert.ref for alert in site.alert_rows.all(me().id)}
        after = len(refs | {wish.ref for _, wish in wishes})
        if after > (most := site.settings.alerts_per_user):
            raise Problem("limit", f"you would have {after} alerts, and {most} are allowed")
        done = site.alerts.import_for(me(), wishes, update=query["update"])
    except Invalid as error:
        raise _in_place(str(error)) from None
    try:
        site.notifications.hand_over(site.alerts.evaluate_owed(me()))
    except Transient as error:
        # They are imported, and judged and told later.
        app_log().warning("evaluated later", why=str(error), request_id=g.request_id)
    return {"added": done.added, "updated": done.updated, "unchanged": done.unchanged}


def _in_place(text: str) -> Problem:
    place, colon, detail = text.removeprefix("body: ").partition(": ")
    return Problem("invalid", text.removeprefix("body: "), Fault(detail if colon else place, pointer=f"/{place}"))


@routes.view("GET", "/export", answer={"type": "string"}, content_type=LINES)
def export() -> Response:
    """All your alerts as such a file."""
    lines = [_line(document_of(alert)) for alert in parts().site.alert_rows.all(me().id)]
    return Response("".join(lines), mimetype=LINES)


def _line(document: dict[str, Any]) -> str:
    said = {name: value for name, value in document.items() if value not in (None, [])}
    return json.dumps(said, ensure_ascii=False) + "\n"
