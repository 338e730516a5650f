"""Users, each in the slot of their e-mail."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from fms.db.given import insert_rows
from fms.db.tables import user_account
from fms.errors import NotFound
from fms.model.clock import Clock
from fms.model.ids import IdMint, slot_of_id
from fms.model.route import slot_of_user
from fms.model.user import User, parse_email
from fms.shards.router import Router

_FIELDS = ("id", "email", "zone", "quiet_from", "quiet_to", "daily_cap", "snoozed_until", "version")


class Users:
    """The users over every shard."""

    def __init__(self, router: Router, mint: IdMint, clock: Clock) -> None:
        self._router = router
        self._mint = mint
        self._clock = clock

    def find(self, email: str) -> User:
        """The user of an e-mail; raises NotFound."""
        email = parse_email(email)
        found = self._router.read(slot_of_user(email), lambda connection: _by_email(connection, email))
        if found is None:
            raise NotFound(f"no user {email}")
        return found

    def find_or_add(self, email: str) -> User:
        """The user of an e-mail, made if there is none."""
        try:
            return self.find(email)
        except NotFound:
            return self._add(parse_email(email))

    def _add(self, email: str) -> User:
        slot = slot_of_user(email)

        def insert(connection: Connection) -> User | None:
            made = User(self._mint.new(slot), email)
            row = user_values(made) | {"slot": slot, "created_at": self._clock()}
            # Somebody may have been quicker, and may only now be committing: then theirs is read.
            insert_rows(connection, user_account, [row], "ON CONFLICT (email) DO NOTHING")
            return _by_email(connection, email)

        found = self._router.write(slot, insert)
        assert found is not None  # noqa: S101  # written by us or by somebody else
        return found

    def change(self, user: User) -> None:
        """Write a user's preferences."""
        # The row's own version is raised: of two who began with one user each write must be known from the other.
        row = user_values(user) | {"version": user_account.c.version + 1}
        update = user_account.update().where(user_account.c.id == user.id).values(row)
        self._router.write(slot_of_id(user.id), lambda connection: connection.execute(update))

    def change_with(self, user_id: UUID, edit: Callable[[User], User]) -> User:
        """Rewrite a user's preferences under the lock of the row; answers the user as written.

        ``edit``: from the user as it is now to what it shall be; may raise. Raises NotFound.
        """

        def rewrite(connection: Connection) -> User:
            # SQLite has one writer at a time, and knows no locks of rows.
            query = select(user_account).where(user_account.c.id == user_id).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                raise NotFound(f"no user {user_id}")
            before = user_of(row)
            edited = edit(before)
            if edited == before:
                return before
            edited = replace(edited, version=before.version + 1)
            connection.execute(user_account.update().where(user_account.c.id == user_id), user_values(edited))
            return edited

        return self._router.write(slot_of_id(user_id), rewrite)


def _by_email(connection: Connection, email: str) -> User | None:
    row = connection.execute(select(user_account).where(user_account.c.email == email)).one_or_none()
    return None if row is None else user_of(row)


def user_of(row: Row[Any]) -> User:
    """The user of a row."""
    channels = None if row.channels is None else tuple(row.channels.split(",")) if row.channels else ()
    return User(channels=channels, **{name: getattr(row, name) for name in _FIELDS})


def user_values(user: User) -> dict[str, Any]:
    """The columns of a user's preferences, the id among them."""
    channels = None if user.channels is None else ",".join(user.channels)
    return {name: getattr(user, name) for name in _FIELDS} | {"channels": channels}


def user_by_id(connection: Connection, user_id: UUID) -> User | None:
    """One user; None: not there."""
    row = connection.execute(select(user_account).where(user_account.c.id == user_id)).one_or_none()
    return None if row is None else user_of(row)
