"""Ownership is a row inside each shard, read in the same transaction as every write: a stale map costs one retry."""

from collections.abc import Collection

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
)

from fms.errors import Transient

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}

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


def check_owned(connection: Connection, slots: Collection[int]) -> None:
    """Raise Transient, before anything is written, unless this shard owns all the slots now."""
    distinct = set(slots)
    query = select(func.count()).where(slot_owner.c.state == "active")
    if len(distinct) < 200:
        owned = connection.execute(query.where(slot_owner.c.slot.in_(distinct))).scalar_one()
    else:
        rows = connection.execute(select(slot_owner.c.slot).where(slot_owner.c.state == "active")).scalars()
        owned = len(distinct.intersection(rows))
    if owned != len(distinct):
        raise Transient("a slot is owned by another shard now: read the map again")


def take(connection: Connection, slots: Collection[int]) -> None:
    """Make this shard the owner of slots that nobody owns yet."""
    if slots:
        connection.execute(slot_owner.insert(), [{"slot": slot, "state": "active", "epoch": 1} for slot in slots])


def owned_slots(connection: Connection) -> set[int]:
    """The slots that this shard owns."""
    return set(connection.execute(select(slot_owner.c.slot).where(slot_owner.c.state == "active")).scalars())
