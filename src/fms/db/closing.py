"""The end of an account: everything that is about its user, in every shard."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, delete, select

from fms.db.given import by_index, rows_by
from fms.db.tables import (
    alert,
    alert_window,
    device,
    idempotency_key,
    notification,
    outbox,
    push,
    session,
    user_account,
)
from fms.model.ids import first_id, slot_of_id
from fms.model.user import User
from fms.shards.ownership import is_owned
from fms.shards.router import Router

_AT_ALERTS = (idempotency_key, outbox)
_AT_HOME = (notification, push, device, session)


class Closing:
    """Deletes what a user has."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def delete(self, user: User) -> None:
        """Delete everything about a user, the account itself last; what was cut short may be begun again.

        Nobody may be making anything of the user's meanwhile: see ``AccountRows.close``. A message on its way to the
        inbox may arrive later; ``fms db maintain`` deletes what has no user, and finishes what was cut short.
        """
        self.clear(user)
        self._router.write(slot_of_id(user.id), lambda connection: _delete_user(connection, user))

    def strays(self, since: int) -> list[User]:
        """Users who are gone, and of whom something about alerts was made since (UTC ms), and left.

        A process that is killed in between writes the one and does not look for the other.
        """
        made = [
            select(table.c.user_id, table.c.user_email).where(table.c.id >= first_id(since), is_owned(table)).distinct()
            for table in (alert, outbox)
        ]
        keys = select(idempotency_key.c.user_id).where(
            idempotency_key.c.id >= first_id(since), is_owned(idempotency_key)
        )

        def read(connection: Connection) -> dict[UUID, str]:
            found = dict.fromkeys(connection.execute(keys.distinct()).scalars(), "")
            return found | {row.user_id: row.user_email for query in made for row in connection.execute(query)}

        users = {user_id: email for some in self._router.read_all(read) for user_id, email in some.items()}
        there = self._router.read_each(users, slot_of_id, _there)
        return [User(user_id, email) for user_id, email in users.items() if user_id not in set().union(*there)]

    def clear(self, user: User) -> None:
        """Delete everything about alerts of a user."""
        while slots := self._slots(user):
            self._router.write_each(slots, int, lambda connection, some: _delete_alerts(connection, user, some))

    def _slots(self, user: User) -> list[int]:
        """The slots in which there is something of the user's about alerts."""
        tables = (alert, *_AT_ALERTS)
        queries = [select(table.c.slot).where(table.c.user_id == user.id, is_owned(table)) for table in tables]

        def read(connection: Connection) -> set[int]:
            return {slot for query in queries for slot in connection.execute(query).scalars()}

        return sorted(set().union(*self._router.read_all(read)))


def _delete_alerts(connection: Connection, user: User, slots: list[int]) -> None:
    mine = select(alert.c.id).where(alert.c.user_id == user.id, alert.c.slot.in_(slots))
    # Whoever is just writing windows of theirs ends first: what is deleted afterwards is then all of them. In order,
    # for another request may be deleting the same.
    connection.execute(mine.order_by(alert.c.id).with_for_update()).all()
    connection.execute(delete(alert_window).where(alert_window.c.alert_id.in_(mine)))
    for table in (alert, *_AT_ALERTS):
        connection.execute(delete(table).where(table.c.user_id == user.id, table.c.slot.in_(slots)))


def _there(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    by_index(connection)
    return {row.id for row in rows_by(connection, user_account, {"id": sorted(ids)}, ("id",))}


def _delete_user(connection: Connection, user: User) -> None:
    # As whoever ends all logins: the user first.
    connection.execute(select(user_account.c.id).where(user_account.c.id == user.id).with_for_update()).all()
    for table in _AT_HOME:
        connection.execute(delete(table).where(table.c.user_id == user.id))
    connection.execute(delete(user_account).where(user_account.c.id == user.id))
