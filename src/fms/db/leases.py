"""Who is telling a user: one of several workers, for some time, so that one that was frozen keeps nobody waiting."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, or_, select

from fms.db.tables import user_account
from fms.db.users import user_of
from fms.model.user import User
from fms.ports import Busy, Overtaken


@dataclass(frozen=True)
class Lease:
    """How a worker has users to itself.

    Attributes:
        holder: the worker, by a name that no other one has.
        ms: for how long, counted again from everything that it writes. Clocks of machines must differ by less.
    """

    holder: str
    ms: int


def take(
    connection: Connection, user_id: UUID, lease: Lease, now: int, still: ColumnElement[bool]
) -> User | Busy | None:
    """The user, who is the holder's from now (UTC ms) on, unless somebody else has them. None: ``still`` is false."""
    free = or_(
        user_account.c.leased_until.is_(None),
        user_account.c.leased_until <= now,
        user_account.c.leased_by == lease.holder,
    )
    mine = (
        user_account.update()
        .where(user_account.c.id == user_id, free, still)
        .values(leased_by=lease.holder, leased_until=now + lease.ms)
        .returning(user_account)
    )
    if row := connection.execute(mine).one_or_none():
        return user_of(row)
    until = _taken_until(connection, user_id, lease)
    return Busy(until) if until > now else None


def keep(connection: Connection, user_id: UUID, lease: Lease, now: int) -> None:
    """Hold the user on, also against those who would take them before this transaction ends; raises Overtaken."""
    mine = user_account.c.id == user_id, user_account.c.leased_by == lease.holder
    if not connection.execute(user_account.update().where(*mine).values(leased_until=now + lease.ms)).rowcount:
        raise Overtaken("the user is told by another worker", _taken_until(connection, user_id, lease))


def give_back(connection: Connection, user_id: UUID, lease: Lease) -> None:
    """Let others tell the user, if they do not already."""
    mine = user_account.c.id == user_id, user_account.c.leased_by == lease.holder
    connection.execute(user_account.update().where(*mine).values(leased_by=None, leased_until=None))


def _taken_until(connection: Connection, user_id: UUID, lease: Lease) -> int:
    """Until when somebody else has the user; 0: nobody."""
    theirs = user_account.c.id == user_id, user_account.c.leased_by != lease.holder
    return connection.execute(select(user_account.c.leased_until).where(*theirs)).scalar() or 0
