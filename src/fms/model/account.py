"""Who may do what: an account is a user who can log in, a session is one of their logins."""

import unicodedata
from dataclasses import dataclass
from uuid import UUID

from fms.errors import Invalid
from fms.model.user import User

USER, OPERATOR = "user", "operator"
ROLES = (USER, OPERATOR)

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 128
"""In characters after normalisation (NFKC), as in OWASP's password storage and NIST SP 800-63B's length rules."""


@dataclass(frozen=True)
class Account:
    """A user with what logging in takes.

    Attributes:
        user: who.
        password: argon2id hash; None: nobody can log in, as with users that an import made.
        role: ``user`` or ``operator``.
        token_version: raised by whatever ends all logins; tokens name the one they were made under.
        closed_at: since when it is being deleted, UTC ms.
    """

    user: User
    password: str | None
    role: str = USER
    token_version: int = 1
    closed_at: int | None = None


@dataclass(frozen=True)
class Session:
    """One login. Its refresh token is good once: it names the generation, which each use raises.

    Attributes:
        agent: what the client called itself.
        created_at, used_at, expires_at, revoked_at: UTC ms.
    """

    id: UUID
    user_id: UUID
    generation: int
    agent: str
    created_at: int
    used_at: int
    expires_at: int
    revoked_at: int | None = None


@dataclass(frozen=True)
class Listed:
    """An account in a list of all, with how many alerts it has, and logins that have not ended."""

    account: Account
    alerts: int
    sessions: int


def checked_password(text: str) -> str:
    """A new password as it is hashed; raises Invalid."""
    password = normalised(text)
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Invalid(f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters wanted")
    if len(set(password)) < 3:
        raise Invalid("more than two different characters wanted")
    return password


def normalised(text: str) -> str:
    """A password as it is compared: the same however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", text)
