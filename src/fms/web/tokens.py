"""Access and refresh tokens: JWTs (RFC 9068's type, RFC 8725's rules) whose revocation is in SQL."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    verify_jwt_in_request,
)
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import PyJWTError
from werkzeug.exceptions import HTTPException

from fms.accounts.keys import Keys
from fms.accounts.service import Accounts, Identity
from fms.errors import Invalid
from fms.model.ids import parse_id
from fms.settings import Settings
from fms.web.problems import Problem

ISSUER, AUDIENCE, ALGORITHM = "fms", "fms-api", "HS256"
ACCESS, REFRESH = "at+jwt", "rt+jwt"
"""The types that the headers of tokens name, so that none is taken for the other."""


@dataclass(frozen=True)
class Pair:
    """The tokens of a session at one generation."""

    access: str
    refresh: str


class Tokens:
    """Gives out tokens, and says who comes with one.

    Args:
        app: whose requests they come with.
        accounts: whether their session has ended.
        keys: they are signed with.
        settings: how long they are valid.
    """

    def __init__(self, app: Flask, accounts: Accounts, keys: Keys, settings: Settings) -> None:
        self._accounts = accounts
        self._keys = keys
        self.access_seconds = settings.access_minutes * 60
        app.config |= {
            "JWT_ALGORITHM": ALGORITHM,
            "JWT_DECODE_ALGORITHMS": [ALGORITHM],
            "JWT_ENCODE_ISSUER": ISSUER,
            "JWT_DECODE_ISSUER": ISSUER,
            "JWT_ENCODE_AUDIENCE": AUDIENCE,
            "JWT_DECODE_AUDIENCE": AUDIENCE,
            "JWT_TOKEN_LOCATION": ["headers"],
            "JWT_REFRESH_JSON_KEY": "refresh_token",
            "JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=settings.access_minutes),
            "JWT_REFRESH_TOKEN_EXPIRES": timedelta(days=settings.refresh_days),
        }
        manager = JWTManager(app)
        manager.encode_key_loader(lambda _identity: keys.signing[keys.current])
        manager.decode_key_loader(self._key_of)

    def _key_of(self, header: dict[str, Any], _claims: dict[str, Any]) -> bytes:
        key = self._keys.signing.get(str(header.get("kid")))
        if key is None:
            raise Problem("unauthenticated", "the token was signed with a key that is not known here")
        return key

    def pair(self, user_id: UUID, session_id: UUID, generation: int) -> Pair:
        """The tokens of a user's session."""
        claims = {"sid": str(session_id)}
        access = create_access_token(str(user_id), additional_claims=claims, additional_headers=self._header(ACCESS))
        claims |= {"gen": str(generation)}
        refresh = create_refresh_token(str(user_id), additional_claims=claims, additional_headers=self._header(REFRESH))
        return Pair(access, refresh)

    def _header(self, kind: str) -> dict[str, str]:
        return {"typ": kind, "kid": self._keys.current}

    def identify(self) -> Identity:
        """Who asks; raises Problem unless there is a valid access token of a session that has not ended."""
        claims = self._claims(ACCESS)
        found = self._accounts.identify(_id(claims["sub"]), _id(claims["sid"]))
        if found is None:
            raise Problem("unauthenticated", "the session of this token has ended: log in again")
        return found

    def renewed(self) -> Pair:
        """Next tokens for the refresh token of this request, in its header or body; raises Problem."""
        claims = self._claims(REFRESH)
        session_id, generation = _id(claims["sid"]), int(claims["gen"])
        account = self._accounts.renew(session_id, generation)
        if account is None or account.user.id != _id(claims["sub"]):
            raise Problem(
                "unauthenticated", "this refresh token was used before, or its session has ended: log in again"
            )
        return self.pair(account.user.id, session_id, generation + 1)

    def _claims(self, kind: str) -> dict[str, Any]:
        refresh = kind == REFRESH
        try:
            found = verify_jwt_in_request(refresh=refresh, locations=["headers", "json"] if refresh else ["headers"])
        except (JWTExtendedException, PyJWTError, HTTPException, ValueError, TypeError) as error:
            raise Problem("unauthenticated", f"no valid {'refresh' if refresh else 'access'} token") from error
        assert found is not None  # noqa: S101  # it is not optional
        header, claims = found
        wanted = ("sub", "sid", "gen") if refresh else ("sub", "sid")
        if header.get("typ") != kind or not all(isinstance(claims.get(name), str) for name in wanted):
            raise Problem("unauthenticated", f"no valid {'refresh' if refresh else 'access'} token")
        return claims


def _id(text: str) -> UUID:
    try:
        return parse_id(text)
    except Invalid:
        raise Problem("unauthenticated", "the token names nobody") from None
