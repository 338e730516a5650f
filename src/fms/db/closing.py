"""The end of an account: everything that is about its user, in every shard."""

from sqlalchemy import Connection, delete, select

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
from fms.model.ids import slot_of_id
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
        while slots := self._slots(user):
            self._router.write_each(slots, int, lambda connection, some: _delete_alerts(connection, user, some))
        self._router.write(slot_of_id(user.id), lambda connection: _delete_user(connection, user))

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


def _delete_user(connection: Connection, user: User) -> None:
    # As whoever ends all logins: the user first.
    connection.execute(select(user_account.c.id).where(user_account.c.id == user.id).with_for_update()).all()
    for table in _AT_HOME:
        connection.execute(delete(table).where(table.c.user_id == user.id))
    connection.execute(delete(user_account).where(user_account.c.id == user.id))
