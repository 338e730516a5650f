"""Access and refresh tokens: JWTs (RFC 9068's type, RFC 8725's rules) whose revocation is in SQL."""

import re
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    decode_token,
    get_unverified_jwt_headers,
)
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import PyJWTError

from fms.accounts.keys import Keys
from fms.accounts.service import Accounts, Identity
from fms.errors import Invalid
from fms.model.ids import parse_id
from fms.settings import Settings
from fms.web.problems import Problem

ISSUER, AUDIENCE, ALGORITHM = "fms", "fms-api", "HS256"
ACCESS, REFRESH = "at+jwt", "rt+jwt"
"""The types that the headers of tokens name, so that none is taken for the other."""

_CLAIMS = {ACCESS: ("sub", "sid"), REFRESH: ("sub", "sid", "gen")}
_NAMES = {ACCESS: "access", REFRESH: "refresh"}
_GENERATION = re.compile(r"[0-9]{1,18}", re.ASCII)


REMEMBERED = 10_000
"""Verified access tokens that a process remembers: to verify one takes a fifth of the time to read an alert."""


@dataclass(frozen=True)
class Pair:
    """The tokens of a session at one generation."""

    access: str
    refresh: str


@dataclass(frozen=True)
class _Named:
    """Whom an access token names, and when it expires, UTC s."""

    user_id: UUID
    session_id: UUID
    expires_at: int


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
        self._verified: dict[str, _Named] = {}
        self.access_seconds = settings.access_minutes * 60
        app.config |= {
            "JWT_ALGORITHM": ALGORITHM,
            "JWT_DECODE_ALGORITHMS": [ALGORITHM],
            "JWT_ENCODE_ISSUER": ISSUER,
            "JWT_DECODE_ISSUER": ISSUER,
            "JWT_ENCODE_AUDIENCE": AUDIENCE,
            "JWT_DECODE_AUDIENCE": AUDIENCE,
            "JWT_TOKEN_LOCATION": ["headers"],
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
        named = self._named(_in_header(ACCESS))
        found = self._accounts.identify(named.user_id, named.session_id)
        if found is None:
            raise Problem("unauthenticated", "the session of this token has ended: log in again")
        return found

    def _named(self, token: str) -> "_Named":
        """What a valid access token names. A token that was verified is not verified again, but it may have expired."""
        found = self._verified.get(token)
        if found is None:
            claims = _claims(token, ACCESS)
            found = _Named(_id(claims["sub"]), _id(claims["sid"]), claims["exp"])
            if len(self._verified) >= REMEMBERED:
                self._verified.clear()
            self._verified[token] = found
        if found.expires_at <= time.time():
            raise _no_valid(ACCESS)
        return found

    def renewed(self, given: str | None) -> Pair:
        """Next tokens for a refresh token, by default the one in the header of this request; raises Problem."""
        claims = _claims(given or _in_header(REFRESH), REFRESH)
        session_id, generation = _id(claims["sid"]), int(claims["gen"])
        account = self._accounts.renew(session_id, generation)
        if account is None or account.user.id != _id(claims["sub"]):
            raise Problem(
                "unauthenticated", "this refresh token was used before, or its session has ended: log in again"
            )
        return self.pair(account.user.id, session_id, generation + 1)


def _in_header(kind: str) -> str:
    """The token of the request's header: all that stands there, for of two it would be anybody's guess which counts."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise _no_valid(kind)
    return token


def _claims(token: str, kind: str) -> dict[str, Any]:
    try:
        claims = decode_token(token)
        header = get_unverified_jwt_headers(token)
    except (JWTExtendedException, PyJWTError, ValueError, TypeError) as error:
        raise _no_valid(kind) from error
    said = all(isinstance(claims.get(name), str) for name in _CLAIMS[kind]) and isinstance(claims.get("exp"), int)
    if header.get("typ") != kind or claims.get("type") != _NAMES[kind] or not said:
        raise _no_valid(kind)
    if kind == REFRESH and not _GENERATION.fullmatch(claims["gen"]):
        raise _no_valid(kind)
    return claims


def _no_valid(kind: str) -> Problem:
    return Problem("unauthenticated", f"no valid {_NAMES[kind]} token")


def _id(text: str) -> UUID:
    try:
        return parse_id(text)
    except Invalid:
        raise Problem("unauthenticated", "the token names nobody") from None
