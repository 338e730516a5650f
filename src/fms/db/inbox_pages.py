"""A user's inbox as its user reads it: page by page, and what is unread."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, not_, select

from fms.db.given import by_index, update_rows
from fms.db.inboxes import notification_of
from fms.db.tables import notification
from fms.errors import NotFound
from fms.model.clock import Clock
from fms.model.ids import slot_of_id
from fms.model.notification import NO_NEWS, Notification
from fms.shards.router import Router

_UNREAD = notification.c.read_at.is_(None) & notification.c.status.not_in(NO_NEWS)
_RAISED = notification.c.version + 1


@dataclass(frozen=True)
class InboxFilter:
    """Which notifications; None: any."""

    status: str | None = None
    unread: bool | None = None
    alert_id: UUID | None = None


@dataclass(frozen=True)
class InboxPage:
    """Some notifications, and the id after which the next page begins; None: there is none."""

    rows: Sequence[Notification]
    after: UUID | None


class InboxPages:
    """Reads inboxes for their users."""

    def __init__(self, router: Router, clock: Clock) -> None:
        self._router = router
        self._clock = clock

    def page(self, user_id: UUID, wanted: InboxFilter, *, limit: int, after: UUID | None) -> InboxPage:
        """At most ``limit`` notifications of a user, the newest first, older than the one with the id ``after``."""
        query = select(notification).where(notification.c.user_id == user_id, *_conditions(wanted))
        if after is not None:
            query = query.where(notification.c.id < after)
        query = query.order_by(notification.c.id.desc()).limit(limit + 1)
        rows = self._router.read(slot_of_id(user_id), lambda connection: connection.execute(query).all())
        more = rows[limit - 1].id if len(rows) > limit else None
        return InboxPage([notification_of(row) for row in rows[:limit]], more)

    def unread(self, user_id: UUID) -> int:
        """How many notifications a user has not read, but for those that say nothing new."""
        return self._router.read(slot_of_id(user_id), lambda connection: _count(connection, user_id))

    def get(self, user_id: UUID, notification_id: UUID) -> Notification:
        """A notification of a user; raises NotFound."""
        return self._router.read(slot_of_id(user_id), lambda connection: _read(connection, user_id, notification_id))

    def mark(self, user_id: UUID, notification_id: UUID, *, read: bool) -> Notification:
        """Note that a notification was read, or was not; one that was read keeps its time. Raises NotFound."""
        column = notification.c.read_at
        when = column.is_(None) if read else column.is_not(None)
        values = {"read_at": self._clock() if read else None, "version": _RAISED}
        statement = notification.update().where(_mine(user_id, notification_id), when).values(**values)

        def write(connection: Connection) -> Notification:
            connection.execute(statement)
            return _read(connection, user_id, notification_id)

        return self._router.write(slot_of_id(user_id), write)

    def mark_all(self, user_id: UUID, up_to: UUID | None) -> int:
        """Note that a user has read everything, or one and all that are older; answers how many are unread then.

        ``up_to``: an id of the user's; raises NotFound for another.
        """
        query = select(notification.c.id).where(notification.c.user_id == user_id, notification.c.read_at.is_(None))
        if up_to is not None:
            query = query.where(notification.c.id <= up_to)
        # In the order in which those who tell write them, so that neither waits for the other in a circle.
        query = query.order_by(notification.c.id).with_for_update()

        def write(connection: Connection) -> int:
            if up_to is not None:
                _read(connection, user_id, up_to)
            now = self._clock()
            rows = [{"id": one, "read_at": now} for one in connection.execute(query).scalars()]
            if rows:
                by_index(connection)
                update_rows(connection, notification, rows, also="version = notification.version + 1")
            return _count(connection, user_id)

        return self._router.write(slot_of_id(user_id), write)


def _conditions(wanted: InboxFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status is not None:
        conditions.append(notification.c.status == wanted.status)
    if wanted.unread is not None:
        conditions.append(_UNREAD if wanted.unread else not_(_UNREAD))
    if wanted.alert_id is not None:
        conditions.append(notification.c.alert_id == wanted.alert_id)
    return conditions


def _mine(user_id: UUID, notification_id: UUID) -> ColumnElement[bool]:
    return (notification.c.id == notification_id) & (notification.c.user_id == user_id)


def _read(connection: Connection, user_id: UUID, notification_id: UUID) -> Notification:
    row = connection.execute(select(notification).where(_mine(user_id, notification_id))).one_or_none()
    if row is None:
        raise NotFound(f"no notification {notification_id}")
    return notification_of(row)


def _count(connection: Connection, user_id: UUID) -> int:
    unread = select(func.count()).select_from(notification).where(notification.c.user_id == user_id, _UNREAD)
    return connection.execute(unread).scalar_one()
