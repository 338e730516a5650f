"""Register, log in, refresh, log out."""

from typing import Any

from flask import request
from marshmallow import fields, validate

from fms.errors import Invalid
from fms.model.account import LONGEST_PASSWORD, SHORTEST_PASSWORD
from fms.model.user import parse_email
from fms.web.fields import Closed
from fms.web.limits import tries_passwords
from fms.web.parts import identity, parts
from fms.web.problems import Problem
from fms.web.routes import Routes

routes = Routes("auth", "/api/auth", "Accounts and logins.")

NEW_PASSWORD = validate.Length(SHORTEST_PASSWORD, LONGEST_PASSWORD)


class Registration(Closed):
    """A new account."""

    email = fields.String(required=True, validate=validate.Length(3, 254), metadata={"format": "email"})
    password = fields.String(required=True, validate=NEW_PASSWORD, metadata={"format": "password"})


class Credentials(Closed):
    """What logging in takes."""

    email = fields.String(required=True, validate=validate.Length(1, 254))
    password = fields.String(required=True, validate=validate.Length(1, 1_024), metadata={"format": "password"})


class Refresh(Closed):
    """A refresh token, if it does not come in the header."""

    refresh_token = fields.String(validate=validate.Length(1, 4_096))


class Registered(Closed):
    """Said of every e-mail, also of one that has an account."""

    email = fields.String(required=True)


class TokenPair(Closed):
    """Tokens: the access token goes with every request, the refresh token is used once, for the next pair."""

    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.Constant("Bearer", required=True)
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds for which the access token is valid."})


@routes.view(
    "POST", "/register", answer=Registered, status=201, body=Registration, public=True, problems=("forbidden",)
)
@tries_passwords
def register(body: dict[str, str]) -> dict[str, str]:
    """Make an account. The answer is the same if there is one: it stays as it is, and logging in tells its owner."""
    if parts().site.settings.registration == "closed":
        raise Problem("forbidden", "accounts are made by the operator here")
    email = _email(body["email"])
    try:
        parts().accounts.register(email, body["password"])
    except Invalid as error:
        raise Invalid(f"password: {error}") from None
    return {"email": email}


def _email(text: str) -> str:
    try:
        return parse_email(text)
    except Invalid as error:
        raise Invalid(f"email: {error}") from None


@routes.view("POST", "/login", answer=TokenPair, body=Credentials, public=True, problems=("wrong-credentials",))
@tries_passwords
def login(body: dict[str, str]) -> dict[str, Any]:
    """Log in."""
    email = body["email"].strip().lower()
    found = parts().accounts.log_in(email, body["password"], request.headers.get("User-Agent", ""))
    pair = parts().tokens.pair(found.user_id, found.session.id, found.session.generation)
    return _document(pair.access, pair.refresh)


@routes.view("POST", "/refresh", answer=TokenPair, body=Refresh, public=True, problems=("unauthenticated",))
def refresh(body: dict[str, str]) -> dict[str, Any]:
    """Change a refresh token for the next pair. It works once; used again it ends the login."""
    pair = parts().tokens.renewed(body.get("refresh_token"))
    return _document(pair.access, pair.refresh)


def _document(access: str, renewal: str) -> dict[str, Any]:
    return {
        "access_token": access,
        "refresh_token": renewal,
        "token_type": "Bearer",
        "expires_in": parts().tokens.access_seconds,
    }


@routes.view("POST", "/logout", status=204)
def logout() -> None:
    """End this login."""
    parts().accounts.log_out(identity().user_id, identity().session.id)


@routes.view("POST", "/logout-everywhere", status=204)
def logout_everywhere() -> None:
    """End every login of this account."""
    parts().accounts.log_out_everywhere(identity().user_id)
