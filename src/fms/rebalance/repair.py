"""After the fact: rows that were moved away are deleted, and the catalog's map is made again from the shards' rows."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine, and_, select, update

from fms.db.given import portions
from fms.errors import Fatal
from fms.model.route import SLOTS
from fms.rebalance.ends import delete_rows, moving
from fms.rebalance.state import ShardState
from fms.shards.catalog import slot_map
from fms.shards.engine import reading, writing
from fms.shards.ownership import ACTIVE, FENCED, IMPORTING, MOVED, hold_alone, slot_owner

CLEANED_AT_ONCE = 256
"""Slots."""


@dataclass(frozen=True)
class _Left:
    """What a move has left in a shard: slots, and the token of its last mover."""

    id: UUID
    token: int
    slots: Sequence[int]


def clean(engine: Engine, in_hand: Collection[int]) -> int:
    """Delete the rows of slots that were moved away from a shard; answers how many.

    ``in_hand``: slots of moves that have not ended; they are left alone. Rows of a copy that was given up go, too.
    """
    by_move: dict[tuple[UUID, int, str], list[int]] = defaultdict(list)
    with reading(engine) as connection:
        for row in connection.execute(select(slot_owner).where(slot_owner.c.state.in_((MOVED, IMPORTING)))):
            if row.slot not in in_hand and row.move_id is not None:
                by_move[row.move_id, row.token, row.state].append(row.slot)
    deleted = 0
    for (move_id, token, state), slots in by_move.items():
        for some in portions(slots, CLEANED_AT_ONCE):
            # As its last mover: if the slot comes back meanwhile, a newer one refuses us.
            deleted += delete_rows(engine, _Left(move_id, token, some), state)
    return deleted


def rebuilt_map(states: Sequence[ShardState]) -> dict[int, str]:
    """The owner of each slot, as the shards' own rows tell. Raises Fatal where they cannot.

    Between two steps of a move that was decided a slot is owned by nobody: then it is the target's.
    """
    owners: dict[int, str] = {}
    for slot in range(SLOTS):
        have = [state for state in states if slot in state.owned]
        if len(have) > 1:
            raise Fatal(f"slot {slot} is owned by {' and '.join(one.name for one in have)}: a person must say which")
        found = have[0] if have else _heir(slot, states)
        if found is None:
            raise Fatal(f"slot {slot} is owned by no shard: fms shard add brings back one that is missing")
        owners[slot] = found.name
    return owners


def _heir(slot: int, states: Sequence[ShardState]) -> ShardState | None:
    rows = [(state, state.owners[slot]) for state in states if slot in state.owners]
    retired = {row.move_id for _, row in rows if row.state == MOVED}
    heirs = [state for state, row in rows if row.state == IMPORTING and row.move_id in retired]
    return heirs[0] if len(heirs) == 1 else None


def write_map(catalog: Engine, owners: Mapping[int, str]) -> int:
    """Write the map; answers how many slots it had wrong."""
    with writing(catalog) as connection:
        before = {row.slot: row.shard for row in connection.execute(select(slot_map))}
        wrong = {slot: name for slot, name in owners.items() if before.get(slot) != name}
        for slot, name in wrong.items():
            if slot in before:
                changed = update(slot_map).where(slot_map.c.slot == slot)
                connection.execute(changed.values(shard=name, epoch=slot_map.c.epoch + 1))
            else:
                connection.execute(slot_map.insert(), {"slot": slot, "shard": name, "epoch": 1})
    return len(wrong)


def open_slots(engine: Engine, name: str, owners: Mapping[int, str]) -> int:
    """Let a shard take writes to all slots that are its own by the map; answers how many it did not take before."""
    mine = sorted(slot for slot, owner in owners.items() if owner == name)
    with moving(engine) as connection:
        shut = and_(slot_owner.c.state.in_((FENCED, IMPORTING)), slot_owner.c.slot.in_(mine))
        slots = connection.execute(select(slot_owner.c.slot).where(shut)).scalars().all()
        if not slots:
            return 0
        hold_alone(connection, slots)
        those = slot_owner.c.slot.in_(slots)
        connection.execute(update(slot_owner).where(those).values(state=ACTIVE, epoch=slot_owner.c.epoch + 1))
    return len(slots)
