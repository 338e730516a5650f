"""The two ends of a move: what its mover does to the owners' rows of the source and of the target, step by step.

Each function is one transaction of one shard and may be repeated. Each refuses a mover whose token is not the newest
that the slots have seen: tokens only grow, over all moves. Rows are written under the slots' shared locks, as by
anybody; whoever changes owners' rows has the locks alone, so that what was under way is over or will see it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, select

from fms.db.given import portions
from fms.rebalance.journal import Move, Refused
from fms.rebalance.lines import delete_ids, id_of, lines_of_slots
from fms.rebalance.moved import MOVING, Moving
from fms.shards.engine import reading, writing
from fms.shards.ownership import ACTIVE, FENCED, IMPORTING, MOVED, hold_alone, hold_shared, slot_owner, slot_pass

LOCK_MS = 500
"""How long a mover waits for writers. Meanwhile new ones wait for it: it gives up, and tries again later."""

IDLE_MS = 10_000
"""After so long the server ends a transaction of a mover that does not go on with it."""

DELETED_AT_ONCE = 2_000


class Claim(Protocol):
    """By what a mover shows that slots are its own to write to: as much of a move as the shards remember."""

    @property
    def id(self) -> UUID:
        """Of the move."""
        ...

    @property
    def token(self) -> int:
        """Of its newest mover."""
        ...

    @property
    def slots(self) -> Sequence[int]:
        """Those that it moves."""
        ...


@contextmanager
def moving(engine: Engine) -> Iterator[Connection]:
    """A transaction of a mover: it neither waits long nor keeps others waiting."""
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MS}")
            connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}")
        yield connection


@contextmanager
def copying(engine: Engine, move: Claim, state: str = IMPORTING) -> Iterator[Connection]:
    """A transaction that writes rows of the move's slots into a shard where they have the state."""
    with moving(engine) as connection:
        hold_shared(connection, move.slots)
        _check_mine(connection, move, (state,))
        connection.execute(slot_pass.insert(), {"move_id": move.id, "token": move.token})
        yield connection
        connection.execute(slot_pass.delete().where(slot_pass.c.move_id == move.id))


def claim_source(source: Engine, move: Move) -> set[str]:
    """Take the slots from older movers; answers the states that they have."""
    with moving(source) as connection:
        hold_alone(connection, move.slots)
        rows = _rows(connection, move)
        _check_token(rows, move)
        if len(rows) < len(move.slots):
            raise Refused(f"shard {move.source} does not know slots {_missing(rows, move)}")
        _set(connection, move, {"move_id": move.id, "token": move.token})
        return {row.state for row in rows.values()}


def claim_target(target: Engine, move: Move) -> set[str]:
    """As ``claim_source``, of what is at the target already."""
    with moving(target) as connection:
        hold_alone(connection, move.slots)
        rows = _rows(connection, move)
        _check_token(rows, move)
        if any(row.state == IMPORTING for row in rows.values()):
            _set(connection, move, {"token": move.token}, state=IMPORTING)
        return {row.state for row in rows.values()}


def begin_import(target: Engine, move: Move) -> None:
    """Let rows of the slots be copied to the target; what lies there of them may be old."""
    with moving(target) as connection:
        hold_alone(connection, move.slots)
        rows = _rows(connection, move)
        _check_token(rows, move)
        if owned := sorted(slot for slot, row in rows.items() if row.state in (ACTIVE, FENCED)):
            raise Refused(f"shard {move.target} owns slot {owned[0]} already")
        _put(connection, move, rows, IMPORTING)


def fence(source: Engine, move: Move) -> None:
    """Wait until nobody writes to the slots, and let nobody begin. Raises Transient if somebody writes for too long."""
    with moving(source) as connection:
        hold_alone(connection, move.slots)
        _check_mine(connection, move, (ACTIVE, FENCED))
        _set(connection, move, {"state": FENCED, "epoch": slot_owner.c.epoch + 1}, state=ACTIVE)


def retire(source: Engine, move: Move) -> None:
    """The source owns the slots no more. Their rows lie there until they are cleaned."""
    with moving(source) as connection:
        hold_alone(connection, move.slots)
        _check_mine(connection, move, (FENCED, MOVED))
        _set(connection, move, {"state": MOVED}, state=FENCED)


def activate(source: Engine, target: Engine, move: Move) -> None:
    """The target owns the slots."""
    with reading(source) as connection:
        epochs = [row.epoch for row in _rows(connection, move).values()]
    with moving(target) as connection:
        hold_alone(connection, move.slots)
        rows = _rows(connection, move)
        # Others may have been activated by an older mover of this move, which ended before it could say so.
        left = [slot for slot, row in rows.items() if row.state != ACTIVE or row.move_id != move.id]
        _check_mine(connection, move, (IMPORTING,), left)
        epoch = 1 + max([*epochs, *(row.epoch for row in rows.values())])
        _set(connection, move, {"state": ACTIVE, "epoch": epoch}, state=IMPORTING)


def undo_target(target: Engine, move: Move) -> None:
    """The copy is for nothing: rows of it are deleted later. An older mover of the move is refused from now on."""
    with moving(target) as connection:
        hold_alone(connection, move.slots)
        rows = _rows(connection, move)
        _check_token(rows, move)
        if any(row.state in (ACTIVE, FENCED) for row in rows.values()):
            raise Refused(f"shard {move.target} owns slots of a move that was given up")
        _put(connection, move, rows, MOVED)


def lift_fence(source: Engine, move: Move) -> None:
    """The source takes writes again."""
    with moving(source) as connection:
        hold_alone(connection, move.slots)
        _check_mine(connection, move, (ACTIVE, FENCED))
        _set(connection, move, {"state": ACTIVE, "epoch": slot_owner.c.epoch + 1}, state=FENCED)


def delete_rows(engine: Engine, move: Claim, state: str) -> int:
    """Delete all rows of the move's slots, some at a time; answers how many."""
    deleted = 0
    for one in reversed(MOVING):
        with reading(engine) as connection:
            ids = sorted(map(id_of, lines_of_slots(connection, one.table, [one.table.c.id], move.slots)))
        for some in portions(ids, DELETED_AT_ONCE):
            with copying(engine, move, state) as connection:
                deleted += delete_some(connection, one, some)
    return deleted


def delete_some(connection: Connection, of: Moving, ids: Sequence[str]) -> int:
    """Delete rows of a table with their children, by the rows' ids; answers how many."""
    children = sum(delete_ids(connection, child.table, ids, child.parent) for child in of.children)
    return children + delete_ids(connection, of.table, ids)


def _rows(connection: Connection, move: Claim) -> Mapping[int, Row[Any]]:
    found = connection.execute(select(slot_owner).where(slot_owner.c.slot.in_(move.slots)))
    return {row.slot: row for row in found}


def _set(connection: Connection, move: Claim, values: Mapping[str, Any], *, state: str | None = None) -> None:
    update = slot_owner.update().where(slot_owner.c.slot.in_(move.slots))
    if state is not None:
        update = update.where(slot_owner.c.state == state)
    connection.execute(update.values(**values))


def _put(connection: Connection, move: Claim, rows: Mapping[int, Row[Any]], state: str) -> None:
    """Give all slots the state and the move's token, also those that the shard has no row of."""
    values = {"state": state, "move_id": move.id, "token": move.token}
    _set(connection, move, values)
    if new := [{"slot": slot, "epoch": 0, **values} for slot in move.slots if slot not in rows]:
        connection.execute(slot_owner.insert(), new)


def _check_token(rows: Mapping[int, Row[Any]], move: Claim) -> None:
    if newer := [slot for slot, row in rows.items() if row.token > move.token]:
        raise Refused(f"slot {min(newer)} was taken over by another mover")


def _check_mine(connection: Connection, move: Claim, states: Sequence[str], slots: Sequence[int] | None = None) -> None:
    rows = _rows(connection, move)
    mine = {
        slot for slot, row in rows.items() if (row.move_id, row.token) == (move.id, move.token) and row.state in states
    }
    if others := sorted(set(move.slots if slots is None else slots) - mine):
        raise Refused(f"slot {others[0]} was taken over by another mover")


def _missing(rows: Mapping[int, Row[Any]], move: Move) -> list[int]:
    return sorted(set(move.slots) - rows.keys())
