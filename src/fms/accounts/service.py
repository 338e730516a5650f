"""What people do with their account: make it, log in and out, change the password, delete it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from fms.accounts.passwords import Passwords
from fms.db.accounts import AccountRows
from fms.db.closing import Closing
from fms.errors import Invalid, NotFound
from fms.model.account import ROLES, USER, Account, Listed, Session, checked_password
from fms.model.clock import DAY_MS, Clock
from fms.model.user import parse_email

STRAYS_MS = 7 * DAY_MS
"""How far back it is looked for what was made of accounts while they were being deleted."""


class Refused(Invalid):
    """Wrong e-mail, wrong password, no password, or no such account: which of them is nobody's business."""

    def __init__(self) -> None:
        super().__init__("wrong e-mail or password")


@dataclass(frozen=True)
class Identity:
    """Who asks: an account, and the login by which it does."""

    account: Account
    session: Session

    @property
    def user_id(self) -> UUID:
        """The user's id."""
        return self.account.user.id


class Accounts:
    """The accounts of a site.

    Args:
        rows: where they are kept.
        closing: deletes what an account has.
        passwords: hashes them.
        clock: UTC ms.
        refresh_days: how long a login lasts that nobody uses.
    """

    def __init__(
        self, rows: AccountRows, closing: Closing, passwords: Passwords, clock: Clock, refresh_days: int
    ) -> None:
        self._rows = rows
        self._closing = closing
        self._passwords = passwords
        self._clock = clock
        self._refresh_ms = refresh_days * DAY_MS

    def register(self, email: str, password: str) -> None:
        """Make an account, unless the e-mail has one: that one stays as it is, and nobody learns of it.

        A user that an import made is such an account too: nobody takes it over by registering.
        """
        hashed = self._passwords.hash(checked_password(password))
        self._rows.add(parse_email(email), hashed)

    def add(self, email: str, password: str, role: str | None = None) -> None:
        """Make an account, or give a password to a user who has none.

        Without a role a new one is a user's, and one that is there keeps its own. Raises Invalid as ``check_vacant``.
        """
        self.check_vacant(email)
        email, hashed = parse_email(email), self._passwords.hash(checked_password(password))
        if self._rows.add(email, hashed, _checked_role(role or USER)):
            return
        # Somebody may have registered meanwhile.
        self.check_vacant(email)
        found = self.find(email)
        # The password last: until then all of this can be done again.
        if role is not None:
            self._rows.set_role(found.user.id, role)
        self._rows.set_password(found.user.id, hashed)

    def check_vacant(self, email: str) -> None:
        """Raise Invalid if somebody can log in with an e-mail, or its account is being deleted."""
        found = self._rows.find(parse_email(email))
        if found is None:
            return
        _check_open(found)
        if found.password is not None:
            raise Invalid(f"{found.user.email} has an account already; fms users password changes its password")

    def find(self, email: str) -> Account:
        """The account of an e-mail; raises NotFound."""
        found = self._rows.find(parse_email(email))
        if found is None:
            raise NotFound(f"no user {parse_email(email)}")
        return found

    def log_in(self, email: str, password: str, agent: str) -> Identity:
        """Begin a session; raises Refused, after the same time whatever the reason."""
        account = self._checked(self._rows.find(email), password)
        session = self._rows.begin(account, _printable(agent[:200]), self._clock() + self._refresh_ms)
        if session is None:
            raise Refused
        return Identity(account, session)

    def _checked(self, account: Account | None, password: str) -> Account:
        hashed = None if account is None or account.closed_at is not None else account.password
        if not self._passwords.check(hashed, password) or account is None or hashed is None:
            raise Refused
        if self._passwords.is_outdated(hashed):
            self._rows.rehash(account.user.id, hashed, self._passwords.hash(password))
        return account

    def renew(self, session_id: UUID, generation: int) -> Account | None:
        """Use a refresh token; see ``AccountRows.renew``. The next one has ``generation + 1``."""
        return self._rows.renew(session_id, generation, self._clock() + self._refresh_ms)

    def identify(self, user_id: UUID, session_id: UUID) -> Identity | None:
        """Who asks with an access token of a user's session; None if that has ended."""
        found = self._rows.of_session(session_id)
        if found is None or found[0].closed_at is not None or found[0].user.id != user_id:
            return None
        return Identity(*found)

    def sessions(self, user_id: UUID) -> Sequence[Session]:
        """The logins of a user that have not ended, the one used last first."""
        return self._rows.sessions(user_id)

    def log_out(self, user_id: UUID, session_id: UUID) -> bool:
        """End one login of a user; False: they have no such login."""
        return self._rows.revoke(user_id, session_id)

    def log_out_everywhere(self, user_id: UUID) -> None:
        """End every login of a user."""
        self._rows.log_out_everywhere(user_id)

    def change_password(self, account: Account, before: str, password: str) -> None:
        """Change a password, which ends every login; raises Refused if the one before is wrong."""
        wanted = checked_password(password)
        self._checked(account, before)
        self._rows.set_password(account.user.id, self._passwords.hash(wanted))

    def set_password(self, account: Account, password: str) -> None:
        """Give an account a password, whatever it had; ends every login. Raises Invalid while it is being deleted."""
        _check_open(account)
        self._rows.set_password(account.user.id, self._passwords.hash(checked_password(password)))

    def set_role(self, account: Account, role: str) -> None:
        """Make an account a user's or an operator's; raises Invalid for another role, and while it is being deleted."""
        _check_open(account)
        self._rows.set_role(account.user.id, _checked_role(role))

    def delete(self, account: Account, password: str) -> None:
        """Delete an account with all that it has; raises Refused if the password is wrong."""
        self._checked(account, password)
        self.remove(account)

    def remove(self, account: Account) -> None:
        """The same without a password, for operators. What was cut short is finished by being called again."""
        self._rows.close(account.user.id)
        self._closing.delete(account.user)

    def clear_if_gone(self, account: Account) -> None:
        """Delete what was made of an account's while it was being deleted; to be called afterwards."""
        now = self._rows.get(account.user.id)
        if now is None or now.closed_at is not None:
            self._closing.delete(account.user)

    def finish_removing(self) -> int:
        """Delete what is left of accounts whose deletion was cut short: nobody can ask for it again. Answers how many.

        What is being deleted at this moment may be among them; it does not mind.
        """
        cut_short = self._rows.closed()
        for account in cut_short:
            self._closing.delete(account.user)
        for user in self._closing.strays(self._clock() - STRAYS_MS):
            self._closing.clear(user)
        return len(cut_short)

    def everybody(self) -> Sequence[Listed]:
        """Every user by e-mail, also those who cannot log in."""
        return self._rows.everybody()


def _printable(text: str) -> str:
    # It is shown on terminals, and PostgreSQL has no NUL.
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _check_open(account: Account) -> None:
    if account.closed_at is not None:
        raise Invalid(f"{account.user.email} is being deleted; fms users delete finishes that")


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise Invalid(f"role: one of {', '.join(ROLES)} wanted, not {role[:40]!r}")
    return role
