"""Everything about a site's shards in one place: what ``fms shard`` offers, for programs."""

import os
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from sqlalchemy import Engine, select

from fms.db.initialise import prepare_shard, shard_place
from fms.db.sites import catalog_place, open_shard
from fms.errors import FmsError, Invalid, NotFound
from fms.model.clock import Clock, date_of, system_clock, utc_day
from fms.model.route import SLOTS
from fms.rebalance.carrying import Carrier
from fms.rebalance.journal import Job, Journal, Leased, Refused
from fms.rebalance.mover import Mover, Pace
from fms.rebalance.plan import Plan, plan
from fms.rebalance.repair import clean, open_slots, rebuilt_map, write_map
from fms.rebalance.state import ShardState, faults_of, state_of
from fms.shards.catalog import read_catalog
from fms.shards.engine import opened, reading
from fms.shards.ownership import owned_slots, slot_owner
from fms.shards.urls import located, shown

_NO_OPTIONS: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Health:
    """What ``check`` found.

    Attributes:
        faults: sentences, each with what to do; none: all is well.
        left: rows that lie in shards which do not own them (copies under way, moved away and not cleaned yet).
        in_hand: slots of moves that have not ended.
    """

    faults: tuple[str, ...]
    left: int
    in_hand: int


@dataclass(frozen=True)
class Place:
    """Where a slot is.

    Attributes:
        slot: which.
        shard: its owner, by the map.
        state, epoch: of the slot in that shard's own row; None: it has none.
        job_id: the rebalance that has it in hand, if there is one.
    """

    slot: int
    shard: str
    state: str | None
    epoch: int | None
    job_id: int | None


class Shards:
    """The shards of a site and the rebalances between them.

    Args:
        data: the data directory.
        catalog_url: of the catalog; None: a file there.
        clock: UTC ms.
        lease_ms: see ``Journal``.
    """

    def __init__(
        self, data: Path, catalog_url: str | None = None, clock: Clock = system_clock, lease_ms: int = 5_000
    ) -> None:
        self._data = data
        self._clock = clock
        self._place = catalog_place(data, catalog_url)
        self._closing = ExitStack()
        self._engines: dict[str, Engine] = {}
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self.journal = Journal(lambda: opened(self._place), clock, lease_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.close()

    def urls(self) -> dict[str, str]:
        """Name → URL without its password."""
        with opened(self._place) as catalog:
            return {name: shown(located(text, self._data)) for name, text in read_catalog(catalog)[0].items()}

    def owners(self) -> list[str]:
        """The map: the shard of each slot."""
        with opened(self._place) as catalog:
            return read_catalog(catalog)[1]

    def engines(self) -> Mapping[str, Engine]:
        """The shards' databases, by name."""
        with opened(self._place) as catalog:
            urls = read_catalog(catalog)[0]
        for name in urls.keys() - self._engines.keys():
            self._engines[name] = open_shard(self._data, name, urls[name]).engine
            self._closing.callback(self._engines[name].dispose)
        return {name: self._engines[name] for name in urls}

    def states(self) -> list[ShardState]:
        """What each shard holds; counts all rows."""
        return [state_of(name, engine) for name, engine in sorted(self.engines().items())]

    def locate(self, slot: int) -> Place:
        """Where a slot is, by the map and by its shard."""
        name = self.owners()[slot]
        with reading(self.engines()[name]) as connection:
            row = connection.execute(select(slot_owner).where(slot_owner.c.slot == slot)).one_or_none()
        state, epoch = (None, None) if row is None else (row.state, row.epoch)
        return Place(slot, name, state, epoch, self.in_hand().get(slot))

    def add(self, name: str, url: str) -> int:
        """Let an empty database take part as a shard; answers how many slots it owns. Raises Invalid.

        That is none, unless it was a shard that the catalog has forgotten: then ``rebuild_map`` is to follow.
        """
        with opened(self._place) as catalog:
            urls = read_catalog(catalog)[0]
        if name in urls:
            raise Invalid(f"there is a shard {name} already")
        places = {other: located(text, self._data) for other, text in urls.items()}
        lost = set(range(SLOTS)).difference(*map(_owned, self.engines().values()))
        prepare_shard(name, shard_place(name, url, self._data), places, self._place, self._today(), lost=lost)
        self.journal.add_shard(name, url)
        return len(_owned(self.engines()[name]))

    def remove(self, name: str) -> int:
        """Let a shard that owns nothing take part no more; answers how many rows are left in its database.

        These stay there: a database that nobody cleaned belongs to no other site. Raises Invalid and NotFound.
        """
        engines = self.engines()
        if name not in engines:
            raise NotFound(f"there is no shard {name}")
        state = state_of(name, engines[name])
        if state.owned:
            advice = f"fms shard rebalance --drain {name} moves them away"
            raise Invalid(f"shard {name} owns {len(state.owned):,} slots: {advice}")
        self.journal.remove_shard(name)
        return state.left

    def _today(self) -> date:
        return date_of(utc_day(self._clock()))

    def draft(self, drain: Collection[str] = ()) -> Plan:
        """What makes the shards carry the same, on paper; ``drain``: shards that shall end without slots."""
        rows = {slot: count for state in self.states() for slot, count in state.rows.items()}
        return plan(self.owners(), sorted(self.urls()), rows, drain)

    def plan(self, drain: Collection[str] = (), options: Mapping[str, Any] = _NO_OPTIONS) -> Job:
        """Make a draft and keep it, as a job that can be started."""
        return self.journal.add(self.draft(drain), options)

    def carrier(self, pace: Pace, parallel: int = 1) -> Carrier:
        """What carries a job out, in this process."""
        return Carrier(self.journal, self.mover, pace, parallel)

    def mover(self, pace: Pace) -> Mover:
        """What makes single moves."""
        return Mover(self.journal, self.engines(), self.holder, pace)

    def relieve(self) -> bool:
        """Bring moves to an end whose mover has gone and whose slots take no writes; answers whether there were any.

        What was not decided is undone: the rebalance can be resumed, and makes the move anew.
        """
        done = False
        now = self._clock()
        for move in self.journal.open_moves():
            if move.lease_until > now or (move.state == "copying" and move.step not in ("fencing", "fenced")):
                continue
            try:
                self.mover(Pace()).give_up(move, "its mover has gone")
            except (Leased, Refused):
                continue
            self.journal.resume_later(move)
            done = True
        return done

    def in_hand(self) -> dict[int, int]:
        """Slots of moves that have not ended → their job."""
        return {slot: move.job_id for move in self.journal.open_moves() for slot in move.slots}

    def check(self) -> Health:
        """Compare the map with the shards' own rows."""
        states = self.states()
        in_hand = self.in_hand()
        faults = faults_of(states, self.owners(), in_hand)
        return Health(tuple(faults), sum(state.left for state in states), len(in_hand))

    def clean(self) -> int:
        """Delete the rows of slots that were moved away; answers how many."""
        in_hand = self.in_hand()
        return sum(clean(engine, in_hand) for engine in self.engines().values())

    def rebuild_map(self) -> int:
        """Make the map again from the shards' own rows; answers how many slots it had wrong. Raises Fatal, Invalid."""
        if moves := self.journal.open_moves():
            raise Invalid(f"rebalance {moves[0].job_id} has moves under way: fms shard resume or abort ends them first")
        owners = rebuilt_map(self.states())
        with opened(self._place) as catalog:
            wrong = write_map(catalog, owners)
        opened_again = sum(open_slots(engine, name, owners) for name, engine in self.engines().items())
        self.journal.tell("map rebuilt", f"{wrong} slots had another owner, {opened_again} take writes again")
        return wrong + opened_again


def _owned(engine: Engine) -> set[int]:
    with reading(engine) as connection:
        return owned_slots(connection)


def relieve_quietly(opening: Callable[[], Shards]) -> bool:
    """``Shards.relieve``, for those who only wait for a slot: what goes wrong is for the rebalance to say."""
    try:
        with opening() as shards:
            return shards.relieve()
    except FmsError:
        return False
