"""Ownership is a row inside each shard, read in the same transaction as every write: a stale map costs one retry."""

from collections.abc import Collection, Sequence

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    or_,
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

ACTIVE = "active"
FENCED = "fenced"
IMPORTING = "importing"
MOVED = "moved"
"""States of a slot in a shard: owned; owned, but nobody writes; being copied here; here no more. No row: never here."""

READABLE = (ACTIVE, FENCED)
WRITABLE = (ACTIVE,)

SHARD = MetaData(naming_convention=NAMING)
"""Every table of a shard."""

slot_owner = Table(
    "slot_owner",
    SHARD,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),  # raised whenever writers must look again
    Column("move_id", Uuid),  # the move that has to do with the slot, or had last
    Column("token", BigInteger, nullable=False, server_default=text("0")),  # of its newest mover
    CheckConstraint("slot BETWEEN 0 AND 4095", name="slot"),
    CheckConstraint("state IN ('active', 'fenced', 'importing', 'moved')", name="state"),
)

slot_pass = Table(
    "slot_pass",
    SHARD,
    # With such a row in its own transaction, and in no other, a mover may write into the slots of its move. It takes
    # the row away before it commits.
    Column("move_id", Uuid, primary_key=True),
    Column("token", BigInteger, nullable=False),
)


class SlotMoved(Transient):
    """Slots are not owned by this shard just now: nothing was written. The map may say who owns them."""

    def __init__(self, slots: Collection[int]) -> None:
        super().__init__("a slot is owned by another shard now, or is being moved to one")
        self.slots = frozenset(slots)


def check_owned(connection: Connection, slots: Collection[int]) -> None:
    """Raise SlotMoved, before anything is written, unless this shard owns all the slots until the transaction ends."""
    distinct = sorted(set(slots))
    hold_shared(connection, distinct)
    _check(connection, distinct, WRITABLE)


def check_readable(connection: Connection, slots: Collection[int]) -> None:
    """Raise SlotMoved unless what this transaction reads of the slots is what their owner has."""
    _check(connection, sorted(set(slots)), READABLE)


_LOCKS = {
    kind: text(f"SELECT count(pg_advisory_xact_lock{name}(:class, slot)) FROM unnest(cast(:slots AS int[])) AS slot")  # noqa: S608  # names of ours
    for kind, name in {"shared": "_shared", "exclusive": ""}.items()
}


def hold_shared(connection: Connection, slots: Collection[int]) -> None:
    """Keep the slots' owners as they are until this transaction ends.

    SQLite has one writer at a time. In PostgreSQL a slot could be taken away between the question and the commit. A
    row lock would not do: those who share it do not queue behind one who waits to have it alone. The owner is to be
    read by a later statement, which sees what this one had to wait for. In one order: nobody waits in a circle.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCKS["shared"], {"class": SLOT_LOCKS, "slots": sorted(set(slots))})


def hold_alone(connection: Connection, slots: Collection[int]) -> None:
    """Wait for every writer of the slots, and let no other begin before this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCKS["exclusive"], {"class": SLOT_LOCKS, "slots": sorted(set(slots))})


_IN_STATE = text(
    "SELECT slot FROM slot_owner WHERE state = ANY (cast(:states AS text[])) AND slot = ANY (cast(:slots AS int[]))"
)


def _check(connection: Connection, slots: Sequence[int], states: Sequence[str]) -> None:
    if connection.dialect.name == "postgresql":
        values = {"states": list(states), "slots": list(slots)}
        found = set(connection.execute(_IN_STATE, values).scalars())
    else:
        found = slots_in(connection, states, slots)
    if missing := set(slots) - found:
        raise SlotMoved(missing)


def slots_in(connection: Connection, states: Sequence[str], slots: Sequence[int] | None = None) -> set[int]:
    """Which slots have one of the states here, of all or of the given ones."""
    query = select(slot_owner.c.slot).where(slot_owner.c.state.in_(states))
    if slots is not None and len(slots) < 200:  # beyond it reading all of them is quicker
        query = query.where(slot_owner.c.slot.in_(slots))
    return set(connection.execute(query).scalars())


def take(connection: Connection, slots: Collection[int]) -> None:
    """Make this shard the owner of slots that nobody owns yet."""
    if slots:
        rows = [{"slot": slot, "state": ACTIVE, "epoch": 1, "token": 0} for slot in slots]
        connection.execute(slot_owner.insert(), rows)


def owned_slots(connection: Connection) -> set[int]:
    """The slots that this shard owns, also those to which nobody may write just now."""
    if connection.dialect.name == "postgresql":
        # As one value: thousands of rows take several times as long.
        return set(connection.execute(_OWNED).scalar() or ())
    return slots_in(connection, READABLE)


def is_in(states: Sequence[str]) -> ColumnElement[bool]:
    """Whether an owner's row has one of the states."""
    # Not IN: SQLAlchemy would write it anew each time.
    return or_(*(slot_owner.c.state == state for state in states))


def is_owned(table: Table, states: Sequence[str] = READABLE) -> ColumnElement[bool]:
    """Whether a row's slot is owned here; rows of others lie beside them while slots move, and for some time after."""
    return table.c.slot.in_(select(slot_owner.c.slot).where(is_in(states)))


_OWNED = select(func.array_agg(slot_owner.c.slot)).where(is_in(READABLE))
