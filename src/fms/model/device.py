"""Devices: what a user's pushes are sent to."""

import re
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from fms.errors import Invalid

FCM, APNS, WEBPUSH = "fcm", "apns", "webpush"
PROVIDERS = (FCM, APNS, WEBPUSH)
"""Who carries a push to the device."""

ACTIVE, UNPROVED, RETIRED = "active", "unproved", "retired"
STATES = (ACTIVE, UNPROVED, RETIRED)
"""It is sent pushes; nothing but the proof, since another account has its token; nothing at all."""

MOVED = "moved to another account"
"""Why a device was retired whose token another account has proved to hold."""

# One is part of a path, the other of a document, in what is sent to the provider.
_TOKENS = {APNS: re.compile(r"(?:[0-9a-f]{2}){8,100}"), FCM: re.compile(r"[A-Za-z0-9:_.~-]{16,2048}")}


@dataclass(frozen=True)
class Device:
    """A device of a user, without what it is reached by.

    Attributes:
        token_hash: the same for whoever registers the same token.
        state: one of ``STATES``.
        registered_at: when its client last brought the token, UTC ms; ``seen_at``: when it last said anything.
        retired_at: since when it is sent nothing, UTC ms; ``retired_why``: in words.
    """

    id: UUID
    user_id: UUID
    provider: str
    name: str
    token_hash: str
    state: str
    registered_at: int
    seen_at: int
    retired_at: int | None = None
    retired_why: str | None = None


def checked_token(provider: str, text: str) -> str:
    """A token of FCM or APNs as it is kept; raises Invalid."""
    token = text.lower() if provider == APNS else text
    if not _TOKENS[provider].fullmatch(token):
        raise Invalid(f"not a token of {provider}")
    return token


def checked_name(text: str) -> str:
    """What a user calls a device; raises Invalid."""
    name = text.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise Invalid("1 to 100 printable characters wanted")
    return name


def hash_of(provider: str, token: str) -> str:
    """What tells one token from another; ``token`` of web push: its endpoint."""
    return sha256(f"{provider}:{token}".encode()).hexdigest()
