"""Which slots should move so that all shards carry the same: planned on paper, no shard is touched.

A slot weighs its rows plus one, so that empty slots, too, are spread. Each shard has a goal: nothing when it is
drained; one slot when that is larger than an even share; else an even share of what is left. A move goes from a shard
above its goal to one below and brings them closer: a plan that is stopped half-way has helped already.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product, takewhile

from fms.errors import Invalid

LIMIT = 0.10
"""How far from its goal, as a share of even, a shard may be before anything moves, and at most afterwards."""

AIM = 0.02
"""How far from their goals shards are left, once something moves."""

MOST_ROWS = 10_000
"""Rows of one move, unless a single slot has more: they bound the time for which its slots take no writes."""

MOST_SLOTS = 256
"""Slots of one move."""


@dataclass(frozen=True)
class PlannedMove:
    """Slots, in order, that go from one shard to another together, and the rows in them."""

    source: str
    target: str
    slots: tuple[int, ...]
    rows: int


@dataclass(frozen=True)
class Load:
    """What a shard carries: slots, rows, and both weighed as a share of even (1.0 is exactly even)."""

    shard: str
    slots: int
    rows: int
    share: float


@dataclass(frozen=True)
class Plan:
    """What to move, and what comes of it.

    Attributes:
        moves: in the order in which they help most; neighbours have no shard in common where that can be had.
        before: the shards as they are, in the order in which they were named.
        after: the shards as all moves leave them.
        obstacles: sentences that name the slots for whose size a shard stays further than LIMIT from even.
    """

    moves: tuple[PlannedMove, ...]
    before: tuple[Load, ...]
    after: tuple[Load, ...]
    obstacles: tuple[str, ...]


def plan(owners: Sequence[str], shards: Sequence[str], rows: Mapping[int, int], drain: Collection[str] = ()) -> Plan:
    """The moves that bring every shard near its goal; none when all are within LIMIT of it already.

    Args:
        owners: the shard of each slot.
        shards: all of them, also those that have no slot yet.
        rows: slot → rows in it; a slot that is missing has none.
        drain: shards that shall end without a slot. Even is counted over the others.

    Raises:
        Invalid: a shard is drained or owns a slot but is not among the shards, or none would be left.
    """
    if unknown := sorted({*drain, *owners} - {*shards}):
        raise Invalid(f"there is no shard {', '.join(unknown)}: the shards are {', '.join(shards)}")
    if not {*shards} - {*drain}:
        raise Invalid("all shards are to be drained: one has to be left that takes their slots")
    scales = _Scales(owners, shards, [rows.get(slot, 0) for slot in range(len(owners))], drain)
    before = scales.shares()
    moves = tuple(scales.moves()) if scales.are_tipped() else ()
    return Plan(moves, before, scales.shares(), tuple(scales.obstacles()))


class _Scales:
    """The shards as the moves planned so far leave them, and the slots that may still go: none goes twice.

    Weights are counted in fractions that make the goals whole. These add up to the loads: while a shard is above its
    goal, another is below.
    """

    def __init__(self, owners: Sequence[str], shards: Sequence[str], rows: Sequence[int], drain: Collection[str]):
        self._owners, self._rows, self._drain = list(owners), rows, drain
        self._kept = [name for name in shards if name not in drain]
        self._giants, free = _giants(rows, len(self._kept))
        self._weights = [free * (1 + count) for count in rows]
        self._even = sum(self._weights) / len(self._kept)
        self._loads = dict.fromkeys(shards, 0)
        # A light slot is small against the aim: any of them will do, and in the order of their numbers, which are
        # hashes, big and empty ones come as mixed as they are in the shard. Heavy ones are chosen, the heaviest first.
        self._light: dict[str, list[int]] = {name: [] for name in shards}
        self._heavy: dict[str, list[int]] = {name: [] for name in shards}
        for slot, name in enumerate(owners):
            self._loads[name] += self._weights[slot]
            (self._heavy if self._is_heavy(slot) else self._light)[name].append(slot)
        for slots in self._heavy.values():
            slots.sort(key=lambda slot: -self._weights[slot])
        self._lights = {name: self._weigh(slots) for name, slots in self._light.items()}
        self._goals = self._set_goals()
        self._busy: set[str] = set()

    def _set_goals(self) -> dict[str, int]:
        """A giant is the goal of its shard, or of the emptiest if that is drained or has a larger one."""
        places = sorted(self._kept, key=self._loads.__getitem__)
        goals: dict[str, int] = {}
        for slot in self._giants:
            own = self._owners[slot]
            stays = own in self._kept and own not in goals
            goals[own if stays else next(name for name in places if name not in goals)] = self._weights[slot]
        share = (sum(self._weights) - sum(goals.values())) // (len(self._kept) - len(goals))
        return dict.fromkeys(self._loads, 0) | dict.fromkeys(self._kept, share) | goals

    def shares(self) -> tuple[Load, ...]:
        """What each shard carries."""
        slots, rows = dict.fromkeys(self._loads, 0), dict.fromkeys(self._loads, 0)
        for slot, name in enumerate(self._owners):
            slots[name] += 1
            rows[name] += self._rows[slot]
        return tuple(Load(name, slots[name], rows[name], load / self._even) for name, load in self._loads.items())

    def are_tipped(self) -> bool:
        """Whether a drained shard has slots, or another is too far from its goal, or from even without need."""
        far = (name for name in self._kept if self._is_far(self._loads[name]) and not self._is_far(self._goals[name]))
        off = (name for name in self._kept if abs(self._excess(name)) > LIMIT * self._even)
        return any(self._loads[name] for name in self._drain) or any(far) or any(off)

    def moves(self) -> Iterator[PlannedMove]:
        """Plan moves until none helps enough, each by the first rule that finds one."""
        rules = (self._too_large_for_any, self._fitting, self._overshooting)
        while found := next(filter(None, map(self._find, rules)), None):
            yield found

    def obstacles(self) -> Iterator[str]:
        """One sentence per shard that is too full; when some are only too empty, one on the largest slot."""
        far = [name for name in self._kept if self._is_far(self._loads[name])]
        full = [name for name in far if self._loads[name] > self._even]
        largest = max(range(len(self._owners)), key=self._weights.__getitem__)
        for name in full or (far and [self._owners[largest]]):
            owned = (slot for slot, owner in enumerate(self._owners) if owner == name)
            slot = max(owned, key=self._weights.__getitem__)
            what = f"{self._rows[slot]:,} of {sum(self._rows):,} rows"
            if self._weights[slot] > self._even:
                yield f"slot {slot} alone holds {what}: a shard cannot be made smaller than one slot"
            else:
                yield f"slot {slot} of shard {name} holds {what}: too many for moving it to bring the shards near even"

    def _find(self, rule: Callable[[str, str], Sequence[int]]) -> PlannedMove | None:
        """The rule's move for the widest gap, and for shards that rested in this round if there is one."""
        pairs = self._pairs()
        for busy in (self._busy, set[str]()):
            for source, target in pairs:
                if source not in busy and target not in busy and (slots := rule(source, target)):
                    self._busy = busy | {source, target}
                    return self._move(source, target, slots)
        return None

    def _pairs(self) -> list[tuple[str, str]]:
        """Shards above and below their goals, one of them further than the aim; the widest gap first."""
        over = {name: load - self._goals[name] for name, load in self._loads.items()}
        pairs = product((name for name in over if over[name] > 0), (name for name in over if over[name] < 0))
        aim = AIM * self._even
        some = [(s, t) for s, t in pairs if s in self._drain or over[s] > aim or -over[t] > aim]
        return sorted(some, key=lambda pair: over[pair[1]] - over[pair[0]])

    def _too_large_for_any(self, source: str, target: str) -> Sequence[int]:
        """A slot that no shard has room for. Such slots go first, while there is other room around them.

        A shard that is not drained keeps its largest one: it has to lie somewhere.
        """
        heavy = self._heavy[source]
        if not heavy or self._weights[heavy[0]] <= -self._excess(target):
            return []
        room = max(-self._excess(name) for name in self._loads)
        large = list(takewhile(lambda slot: self._weights[slot] > room, heavy))
        if source in self._drain:
            return large[:1]
        return [slot for slot in large[1:] if self._is_worth_it(slot, source, target)][:1]

    def _fitting(self, source: str, target: str) -> Sequence[int]:
        """Slots that leave the source above its goal and the target below: what moves is what has to, no more."""
        excess = self._excess(source)
        room = min(excess, -self._excess(target))
        heavy = self._run(self._heavy[source], room) if self._lights[source] < excess else []
        return heavy or self._run(self._light[source], room)

    def _overshooting(self, source: str, target: str) -> Sequence[int]:
        """One slot that is larger than the room for it and helps all the same; off a drained shard, the largest."""
        left = self._heavy[source] + self._light[source]
        if source in self._drain:
            return sorted(left, key=self._weights.__getitem__)[-1:]
        gap = self._excess(source) - self._excess(target)
        useful = [slot for slot in left if self._is_worth_it(slot, source, target)]
        return sorted(useful, key=lambda slot: self._weights[slot] * (gap - self._weights[slot]))[-1:]

    def _is_worth_it(self, slot: int, source: str, target: str) -> bool:
        """Whether a slot's move narrows the gap by half its weight or more, or brings both shards within the limit."""
        weight, high, low = self._weights[slot], self._excess(source), self._excess(target)
        limit = LIMIT * self._even
        within = max(abs(high - weight), abs(low + weight)) <= limit < max(high, -low)
        return within or 5 * weight <= 4 * (high - low)

    def _run(self, slots: Sequence[int], room: int) -> Sequence[int]:
        """The first slots in a row that weigh no more than the room and make one move."""
        first = next((place for place, slot in enumerate(slots) if self._weights[slot] <= room), len(slots))
        weight = rows = 0
        for place in range(first, len(slots)):
            weight += self._weights[slots[place]]
            rows += self._rows[slots[place]]
            if weight > room or (rows > MOST_ROWS and place > first) or place == first + MOST_SLOTS:
                return slots[first:place]
        return slots[first:]

    def _move(self, source: str, target: str, slots: Sequence[int]) -> PlannedMove:
        weight = self._weigh(slots)
        for slot in slots:
            if self._is_heavy(slot):
                self._heavy[source].remove(slot)
            else:
                self._light[source].remove(slot)
                self._lights[source] -= self._weights[slot]
            self._owners[slot] = target
        self._loads[source] -= weight
        self._loads[target] += weight
        if not {*slots}.isdisjoint(self._giants):
            self._goals = self._set_goals()
        return PlannedMove(source, target, tuple(sorted(slots)), sum(self._rows[slot] for slot in slots))

    def _excess(self, name: str) -> int:
        return self._loads[name] - self._goals[name]

    def _is_far(self, load: int) -> bool:
        return abs(load - self._even) > LIMIT * self._even

    def _is_heavy(self, slot: int) -> bool:
        return self._weights[slot] > AIM * self._even

    def _weigh(self, slots: Sequence[int]) -> int:
        return sum(self._weights[slot] for slot in slots)


def _giants(rows: Sequence[int], shards: int) -> tuple[list[int], int]:
    """Slots that weigh more than an even share of what is left without larger ones, and how many shards that leaves."""
    left = len(rows) + sum(rows)
    giants: list[int] = []
    for slot in sorted(range(len(rows)), key=lambda slot: -rows[slot])[: shards - 1]:
        if (1 + rows[slot]) * (shards - len(giants)) <= left:
            break
        giants.append(slot)
        left -= 1 + rows[slot]
    return giants, shards - len(giants)
