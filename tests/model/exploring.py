"""All that can come of a model of a move, breadth first: the first fault found has the shortest way to it."""

from collections import deque
from dataclasses import dataclass

from tests.model.mover import ABORTABLE, Turn
from tests.model.slot_move import next_worlds
from tests.model.worlds import (
    ABORTED,
    ABORTING,
    ABSENT,
    ACTIVE,
    CLOSED,
    COMMITTED,
    DONE,
    MOVED,
    NAMES,
    SERVING,
    Mover,
    Rules,
    World,
    leased,
    owner,
)

TWO_OWNERS = "two active owners"
STALE = "a shard that serves has not the last answered state"
BACK = "a deleted key came back"
STUCK = "another mover, alone, cannot bring it to the end that was decided"


Ways = dict[World, tuple[World, str] | None]
"""Each world that was seen, with the one before it and the words for the step between."""


@dataclass(frozen=True)
class Outcome:
    """How many states were seen, how the moves ended in them, and the first fault, if any, with the steps to it."""

    states: int
    ends: set[tuple[str, ...]]
    fault: str = ""
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One step per line, and what there is at last."""
        return "\n".join((f"{self.fault or 'no fault'} ({self.states} states)", *self.steps))


def explore(rules: Rules) -> Outcome:
    """Take every step from every state, until a client could see a fault, or to the end of all that can be reached.

    Only if no client could see one, the first state counts that cannot come to its end any more.
    """
    came: Ways = {World(): None}
    waiting = deque(came)
    ends = Ends(rules)
    stuck: World | None = None
    while waiting:
        world = waiting.popleft()
        for words, after in next_worlds(rules, world):
            if after in came:
                continue
            came[after] = world, words
            if fault := unsafe(after):
                return _outcome(came, fault, after)
            if not stuck and not ends.can_come(after):
                stuck = after
            waiting.append(after)
    return _outcome(came, STUCK if stuck else "", stuck)


def _outcome(came: Ways, fault: str, world: World | None) -> Outcome:
    ends = {tuple(move.state for move in one.moves) for one in came if one.moves[-1].state in CLOSED}
    return Outcome(len(came), ends, fault, (*_way(came, world), _said(world)) if world else ())


def _said(world: World) -> str:
    shards = (f"{name} is {shard.state} with {shard.key}" for name, shard in zip(NAMES, world.shards, strict=True))
    moves = (f"move {number} is {move.state}" for number, move in enumerate(world.moves, 1))
    return ", ".join((*shards, *moves, f"last answered: {world.last}"))


def _way(came: Ways, world: World) -> tuple[str, ...]:
    steps = []
    while before := came[world]:
        world, words = before
        steps.append(words)
    return tuple(reversed(steps))


def unsafe(world: World) -> str:
    """The fault that a client could see now, if any."""
    one, other = world.shards
    if one.state == other.state == ACTIVE:
        return TWO_OWNERS
    for shard in world.shards:
        if shard.state in SERVING and shard.key != world.last:
            return STALE if world.last else BACK
    return ""


class Ends:
    """Whether a move can still end as was decided: another mover, left alone, must be able to bring it there.

    It goes on with what is open, and it can give that up as well: neither may need a second attempt.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[tuple[object, ...], bool] = {}

    def can_come(self, world: World) -> bool:
        """Whether the last move, as things are, can come to its end."""
        places = world.shards, world.moves, world.last, world.leases
        if places not in self._known:
            self._known[places] = self._can_come(world._replace(movers=(Mover(), Mover())))
        return self._known[places]

    def _can_come(self, alone: World) -> bool:
        state = alone.moves[-1].state
        if state in CLOSED:
            return _agrees(alone)
        goes_on = self._end(alone, aborts=False) == (ABORTED if state == ABORTING else DONE)
        gives_up = self._end(alone, aborts=True) == (DONE if state == COMMITTED else ABORTED)
        return goes_on and gives_up

    def _end(self, world: World, *, aborts: bool) -> str:
        """The state in which the move ends, "" if the shards do not agree with it."""
        world = leased(self._rules, world, 0)
        while world.movers[1].step:
            choices = list(Turn(self._rules, world, 1).taken())
            world = choices[-1 if aborts and world.movers[1].step in ABORTABLE else 0]
            if unsafe(world):
                return ""
        return world.moves[-1].state if _agrees(world) else ""


def _agrees(world: World) -> bool:
    """Whether the map's owner, and no other shard, is open."""
    mine = owner(world)
    return world.shards[mine].state == ACTIVE and world.shards[1 - mine].state in {ABSENT, MOVED}
