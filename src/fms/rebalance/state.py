"""How the slots lie in the shards, as the shards themselves have it: who owns them, how full they are, what is left."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Engine, Row, func, select

from fms.rebalance.moved import MOVING
from fms.shards.engine import reading
from fms.shards.ownership import FENCED, READABLE, slot_owner, slot_pass

_REPAIR = "fms shard rebuild-map sets it right"


@dataclass(frozen=True)
class ShardState:
    """What a shard holds.

    Attributes:
        name: of the shard.
        owners: its rows of ``slot_owner``, by slot.
        rows: slot → rows of slots that it owns.
        left: rows of slots that it does not own: copies under way, and what was moved away and is not cleaned yet.
        open_pass: whether its guard stands open: never, unless somebody opened it by hand.
    """

    name: str
    owners: Mapping[int, Row[Any]]
    rows: Mapping[int, int]
    left: int
    open_pass: bool

    def slots(self, *states: str) -> set[int]:
        """The slots that have one of the states here."""
        return {slot for slot, row in self.owners.items() if row.state in states}

    @cached_property
    def owned(self) -> set[int]:
        """The slots that it owns."""
        return self.slots(*READABLE)


def state_of(name: str, engine: Engine) -> ShardState:
    """What a shard holds at one moment; counts all its rows."""
    rows: Counter[int] = Counter()
    left = 0
    with reading(engine) as connection:
        owners = {row.slot: row for row in connection.execute(select(slot_owner))}
        for one in MOVING:
            count = func.count().label("rows")
            for found in connection.execute(select(one.table.c.slot, count).group_by(one.table.c.slot)):
                if found.slot in owners and owners[found.slot].state in READABLE:
                    rows[found.slot] += found.rows
                else:
                    left += found.rows
        open_pass = connection.execute(select(func.count()).select_from(slot_pass)).scalar_one() > 0
    return ShardState(name, owners, rows, left, open_pass)


def faults_of(states: Sequence[ShardState], owners: Sequence[str], moving: Mapping[int, int]) -> list[str]:
    """What is wrong: slots with no owner or two, or another one than the map says; sentences.

    Args:
        states: of all shards.
        owners: the map: shard of each slot.
        moving: slot → number of the job that has it in hand: it may be fenced, or owned by nobody for a moment.
    """
    found: list[str] = []
    for slot, named in enumerate(owners):
        have = [state.name for state in states if slot in state.owned]
        if len(have) > 1:
            found.append(f"slot {slot} is owned by {' and '.join(have)}: which of them counts, a person must say")
        elif slot not in moving and not have:
            found.append(f"slot {slot} is owned by no shard: {_REPAIR}")
        elif slot not in moving and have[0] != named:
            found.append(f"slot {slot} is owned by {have[0]}, and the map says {named}: {_REPAIR}")
    for state in states:
        stuck = sorted(state.slots(FENCED) - moving.keys())
        found += [f"slot {slot} of {state.name} is fenced, and nobody moves it: {_REPAIR}" for slot in stuck]
        if state.open_pass:
            found.append(f"shard {state.name}: somebody left its guard open: empty the table slot_pass")
    return found
