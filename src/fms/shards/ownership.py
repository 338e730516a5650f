"""Ownership is a row inside each shard, read in the same transaction as every write: a stale map costs one retry."""

from collections.abc import Collection, Sequence

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    select,
    text,
)

from fms.errors import Transient

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}

SLOT_LOCKS = 0x666D_7301
"""Class of the advisory locks of PostgreSQL on slots: shared by who writes, exclusive for who takes a slot away."""

SHARD = MetaData(naming_convention=NAMING)
"""Every table of a shard."""

slot_owner = Table(
    "slot_owner",
    SHARD,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    CheckConstraint("slot BETWEEN 0 AND 4095", name="slot"),
    CheckConstraint("state IN ('active')", name="state"),
)


_LOCKS = text("SELECT count(pg_advisory_xact_lock_shared(:class, slot)) FROM unnest(cast(:slots AS int[])) AS slot")
_OWNED = text("SELECT count(*) FROM slot_owner WHERE state = 'active' AND slot = ANY (cast(:slots AS int[]))")


def check_owned(connection: Connection, slots: Collection[int]) -> None:
    """Raise Transient, before anything is written, unless this shard owns all the slots until the transaction ends."""
    distinct = sorted(set(slots))
    if connection.dialect.name == "postgresql":
        _hold(connection, distinct)
        owned = connection.execute(_OWNED, {"slots": distinct}).scalar_one()
    else:
        owned = _count_owned(connection, distinct)
    if owned != len(distinct):
        raise Transient("a slot is owned by another shard now: read the map again")


def _hold(connection: Connection, slots: Sequence[int]) -> None:
    # SQLite has one writer at a time. In PostgreSQL a slot could be taken away between the question and the commit.
    # A row lock would not do: those who share it do not queue behind one who waits to have it alone. The owner is read
    # by a later statement, which sees what this one had to wait for. In one order, so that nobody waits in a circle.
    connection.execute(_LOCKS, {"class": SLOT_LOCKS, "slots": slots})


def _count_owned(connection: Connection, slots: Sequence[int]) -> int:
    if len(slots) >= 200:
        return len(owned_slots(connection).intersection(slots))
    query = select(func.count()).where(slot_owner.c.state == "active", slot_owner.c.slot.in_(slots))
    return connection.execute(query).scalar_one()


def take(connection: Connection, slots: Collection[int]) -> None:
    """Make this shard the owner of slots that nobody owns yet."""
    if slots:
        connection.execute(slot_owner.insert(), [{"slot": slot, "state": "active", "epoch": 1} for slot in slots])


def owned_slots(connection: Connection) -> set[int]:
    """The slots that this shard owns."""
    return set(connection.execute(select(slot_owner.c.slot).where(slot_owner.c.state == "active")).scalars())
