"""My account: who I am, my logins, my password, all my data, and the end of it."""

from typing import Any

from flask import Response, jsonify
from marshmallow import fields, validate

from fms.errors import Invalid, NotFound
from fms.model.account import ROLES, Session
from fms.model.clock import format_instant
from fms.model.shown import account_document
from fms.web.auth import NEW_PASSWORD
from fms.web.exporting import all_data
from fms.web.fields import Closed
from fms.web.limits import tries_passwords
from fms.web.parts import id_in_path, identity, me, parts
from fms.web.routes import Routes

routes = Routes("account", "/api/account", "Your account.")


class AccountOut(Closed):
    """An account."""

    id = fields.String(required=True, metadata={"format": "uuid"})
    email = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    created_at = fields.String(required=True, metadata={"format": "date-time"})


class PasswordIn(Closed):
    """A change of the password."""

    password = fields.String(required=True, validate=validate.Length(1, 1_024), metadata={"format": "password"})
    new_password = fields.String(required=True, validate=NEW_PASSWORD, metadata={"format": "password"})


class FarewellIn(Closed):
    """The password, once more."""

    password = fields.String(required=True, validate=validate.Length(1, 1_024), metadata={"format": "password"})


class SessionOut(Closed):
    """A login."""

    id = fields.String(required=True, metadata={"format": "uuid"})
    agent = fields.String(required=True, metadata={"description": "What the client called itself."})
    created_at = fields.String(required=True, metadata={"format": "date-time"})
    used_at = fields.String(required=True, metadata={"format": "date-time"})
    expires_at = fields.String(required=True, metadata={"format": "date-time"})
    this = fields.Boolean(required=True, metadata={"description": "Whether it is the one that asks."})


class SessionsOut(Closed):
    """The logins that have not ended."""

    items = fields.List(fields.Nested(SessionOut), required=True)
    next = fields.String(required=True, allow_none=True)


@routes.view("GET", "", answer=AccountOut)
def get() -> dict[str, Any]:
    """Who you are."""
    return account_document(identity().account)


@routes.view("POST", "/password", status=204, body=PasswordIn, problems=("wrong-credentials",))
@tries_passwords
def change_password(body: dict[str, str]) -> None:
    """Change your password; every login ends, this one too."""
    try:
        parts().accounts.change_password(identity().account, body["password"], body["new_password"])
    except Invalid as error:
        raise error if str(error).startswith("wrong") else Invalid(f"new_password: {error}") from None


@routes.view("DELETE", "", status=204, body=FarewellIn, problems=("wrong-credentials",))
@tries_passwords
def delete(body: dict[str, str]) -> None:
    """Delete your account with your alerts, your inbox, your devices: everything, at once and for ever."""
    parts().accounts.delete(identity().account, body["password"])


@routes.view("GET", "/export", answer={"type": "object"})
def export() -> Response:
    """All that is kept about you, as one JSON document."""
    response = jsonify(all_data(parts(), identity()))
    response.headers["Content-Disposition"] = 'attachment; filename="fms-export.json"'
    return response


@routes.view("GET", "/sessions", answer=SessionsOut)
def sessions() -> dict[str, Any]:
    """Where you are logged in."""
    found = parts().accounts.sessions(me().id)
    return {"items": [session_answer(one, this=one.id == identity().session.id) for one in found], "next": None}


def session_answer(session: Session, *, this: bool) -> dict[str, Any]:
    """One login for its owner."""
    return {
        "id": str(session.id),
        "agent": session.agent,
        "created_at": format_instant(session.created_at),
        "used_at": format_instant(session.used_at),
        "expires_at": format_instant(session.expires_at),
        "this": this,
    }


@routes.view("DELETE", "/sessions/<session_id>", status=204)
def end_session(session_id: str) -> None:
    """End one of your logins."""
    if not parts().accounts.log_out(me().id, id_in_path(session_id)):
        raise NotFound("no such session")
