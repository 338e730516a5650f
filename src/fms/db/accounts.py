"""Accounts and their sessions, each in the slot of its user."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select, update

from fms.db.given import insert_rows
from fms.db.tables import alert, session, user_account
from fms.db.users import user_of, user_values
from fms.model.account import USER, Account, Listed, Session
from fms.model.clock import Clock
from fms.model.ids import IdMint, slot_of_id
from fms.model.route import slot_of_user
from fms.model.user import User
from fms.shards.asked import Asked
from fms.shards.ownership import is_owned
from fms.shards.router import Router

REMEMBERED = 10_000
"""Sessions that are believed to be good, at most."""

_SESSION = ("id", "user_id", "generation", "agent", "created_at", "used_at", "expires_at", "revoked_at")
_RAISED = user_account.c.version + 1


def _open(now: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return session.c.revoked_at.is_(None), session.c.expires_at > now


_BY_ID = Asked(select(user_account).where(user_account.c.id == bindparam("user_id")))
_BY_SESSION = Asked(
    select(user_account, *(session.c[name].label(f"session_{name}") for name in _SESSION))
    .join(session, session.c.user_id == user_account.c.id)
    .where(session.c.id == bindparam("session_id"), *_open(bindparam("now")))
)


Good = tuple[Account, Session]


class Sure:
    """Sessions that were good a moment ago. Whatever ends one here ends this: others end within ``seconds``.

    Attributes:
        endings: how often that was.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._found: dict[UUID, tuple[float, Good]] = {}
        self.endings = 0

    def get(self, session_id: UUID) -> Good | None:
        """A session that was good just now."""
        known = self._found.get(session_id)
        return known[1] if known and known[0] > monotonic() else None

    def remember(self, session_id: UUID, found: Good, endings: int) -> None:
        """Note that a session is good, unless one was ended since it was looked for."""
        if not self._seconds or endings != self.endings:
            return
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[session_id] = monotonic() + self._seconds, found

    def forget(self) -> None:
        """Ask again for each of them."""
        self.endings += 1
        self._found.clear()


class AccountRows:
    """The accounts over every shard.

    ``sure_seconds``: for so long a session that was found good is believed to be; one that is ended here is not.
    """

    def __init__(self, router: Router, mint: IdMint, clock: Clock, sure_seconds: float = 0) -> None:
        self._router = router
        self._mint = mint
        self._clock = clock
        self._sure = Sure(sure_seconds)

    def find(self, email: str) -> Account | None:
        """The account of an e-mail in lower case."""
        # Not as the others, which ask once more if there is nothing: that takes time, and would tell who is here.
        query = select(user_account).where(user_account.c.email == email)
        row = self._router.read(slot_of_user(email), lambda connection: connection.execute(query).first())
        return None if row is None else _account_of(row)

    def get(self, user_id: UUID) -> Account | None:
        """One account by its id."""
        row = self._one(slot_of_id(user_id), _BY_ID, user_id=user_id)
        return None if row is None else _account_of(row)

    def _one(self, slot: int, asked: Asked, **values: Any) -> Row[Any] | None:
        if row := self._router.ask(slot, asked, **values):
            return row
        whole = {"asked_slot": slot, **values}
        return self._router.read(slot, lambda connection: connection.execute(asked.query, whole).first())

    def add(self, email: str, password: str | None, role: str = USER) -> bool:
        """Make an account; False: the e-mail has one, which stays as it is."""
        slot = slot_of_user(email)

        def insert(connection: Connection) -> bool:
            row = user_values(User(self._mint.new(slot), email)) | {
                "slot": slot,
                "created_at": self._clock(),
                "password": password,
                "role": role,
            }
            returned = insert_rows(connection, user_account, [row], "ON CONFLICT (email) DO NOTHING RETURNING version")
            return returned.first() is not None

        return self._router.write(slot, insert)

    def set_password(self, user_id: UUID, password: str) -> None:
        """Change a password, which ends every login."""
        self._end_all(user_id, password=password)

    def rehash(self, user_id: UUID, before: str, password: str) -> None:
        """Keep a password in another form, unless it was changed meanwhile."""
        mine = user_account.c.id == user_id, user_account.c.password == before
        statement = update(user_account).where(*mine).values(password=password, version=_RAISED)
        self._router.write(slot_of_id(user_id), lambda connection: connection.execute(statement))

    def set_role(self, user_id: UUID, role: str) -> None:
        """Change what an account may do, from the next request on."""
        statement = update(user_account).where(user_account.c.id == user_id).values(role=role, version=_RAISED)
        self._router.write(slot_of_id(user_id), lambda connection: connection.execute(statement))
        self._sure.forget()

    def log_out_everywhere(self, user_id: UUID) -> None:
        """End every login."""
        self._end_all(user_id)

    def close(self, user_id: UUID) -> None:
        """Begin to delete an account: nobody can log in any more, and every login is ended."""
        self._end_all(user_id, closed_at=self._clock(), password=None)

    def _end_all(self, user_id: UUID, **values: Any) -> None:
        def end(connection: Connection) -> None:
            raised = {"token_version": user_account.c.token_version + 1, "version": _RAISED}
            connection.execute(update(user_account).where(user_account.c.id == user_id).values(**values, **raised))
            connection.execute(_revoked(session.c.user_id == user_id, self._clock()))

        self._router.write(slot_of_id(user_id), end)
        self._sure.forget()

    def begin(self, account: Account, agent: str, expires_at: int) -> Session | None:
        """Make a session, at generation 1; None: the account has changed since it was read."""
        now, slot = self._clock(), slot_of_id(account.user.id)
        made = Session(self._mint.new(slot), account.user.id, 1, agent, now, now, expires_at)

        def insert(connection: Connection) -> bool:
            # The lock orders it with whatever ends all logins at this moment.
            same = (
                user_account.c.id == account.user.id,
                user_account.c.token_version == account.token_version,
                user_account.c.closed_at.is_(None),
            )
            if connection.execute(select(user_account.c.id).where(*same).with_for_update()).first() is None:
                return False
            row = {name: getattr(made, name) for name in _SESSION} | {"slot": slot, "version": 1}
            connection.execute(session.insert(), row)
            return True

        return made if self._router.write(slot, insert) else None

    def renew(self, session_id: UUID, generation: int, expires_at: int) -> Account | None:
        """Use a session's refresh token: of many who do, one gets the account, and the next generation.

        Whoever comes with a generation that was used ends the session: one of the two has stolen it. None: so it was,
        or it had ended before.
        """

        def use(connection: Connection) -> Account | None:
            now = self._clock()
            fresh = session.c.id == session_id, session.c.generation == generation, *_open(now)
            values = {"generation": generation + 1, "used_at": now, "expires_at": expires_at}
            raised = {"version": session.c.version + 1}
            used = connection.execute(update(session).where(*fresh).values(**values, **raised))
            if not used.rowcount:
                connection.execute(_revoked(session.c.id == session_id, now))
                return None
            owner = select(session.c.user_id).where(session.c.id == session_id).scalar_subquery()
            row = connection.execute(select(user_account).where(user_account.c.id == owner)).one_or_none()
            return None if row is None or row.closed_at is not None else _account_of(row)

        found = self._router.write(slot_of_id(session_id), use)
        if found is None:
            self._sure.forget()
        return found

    def of_session(self, session_id: UUID) -> tuple[Account, Session] | None:
        """A session that has not ended, and whose it is."""
        if (known := self._sure.get(session_id)) and known[1].expires_at > self._clock():
            return known
        endings = self._sure.endings
        row = self._one(slot_of_id(session_id), _BY_SESSION, session_id=session_id, now=self._clock())
        if row is None:
            return None
        found = _account_of(row), Session(*row[-len(_SESSION) :])
        self._sure.remember(session_id, found, endings)
        return found

    def sessions(self, user_id: UUID) -> Sequence[Session]:
        """The sessions of a user that have not ended, the one used last first."""
        mine = session.c.user_id == user_id, *_open(self._clock())
        query = select(session).where(*mine).order_by(session.c.used_at.desc(), session.c.id)
        rows = self._router.read(slot_of_id(user_id), lambda connection: connection.execute(query).all())
        return [_session_of(row) for row in rows]

    def revoke(self, user_id: UUID, session_id: UUID) -> bool:
        """End one session of a user; False: they have no such session."""
        revoked = _revoked(session.c.id == session_id, self._clock()).where(session.c.user_id == user_id)
        done = self._router.write(slot_of_id(user_id), lambda connection: connection.execute(revoked).rowcount > 0)
        self._sure.forget()
        return done

    def closed(self) -> Sequence[Account]:
        """The accounts whose deletion has begun."""
        query = select(user_account).where(user_account.c.closed_at.is_not(None), is_owned(user_account))
        found = self._router.read_all(lambda connection: connection.execute(query).all())
        return [_account_of(row) for row in chain.from_iterable(found)]

    def everybody(self) -> Sequence[Listed]:
        """Every account, by e-mail."""
        logins = func.count().filter(*_open(self._clock()))
        people = select(
            user_account, select(logins).where(session.c.user_id == user_account.c.id).scalar_subquery()
        ).where(is_owned(user_account))
        wishes = select(alert.c.user_id, func.count()).where(is_owned(alert)).group_by(alert.c.user_id)
        # Alerts lie in the slots of their routes, so those of one user are counted in every shard.
        read = self._router.read_all(
            lambda connection: (connection.execute(people).all(), connection.execute(wishes).all())
        )
        alerts: Counter[UUID] = Counter()
        for _, counts in read:
            alerts.update(dict(tuple(row) for row in counts))
        rows = chain.from_iterable(found for found, _ in read)
        listed = (Listed(_account_of(row), alerts[row.id], row[-1]) for row in rows)
        return sorted(listed, key=lambda one: one.account.user.email)


def _revoked(which: Any, now: int) -> Any:
    open_ones = update(session).where(which, session.c.revoked_at.is_(None))
    return open_ones.values(revoked_at=now, version=session.c.version + 1)


def _account_of(row: Row[Any]) -> Account:
    return Account(user_of(row), row.password, row.role, row.token_version, row.closed_at)


def _session_of(row: Row[Any]) -> Session:
    return Session(**{name: getattr(row, name) for name in _SESSION})
