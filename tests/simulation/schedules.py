"""From a seed to a simulated life and its verdict."""

from collections import Counter
from functools import lru_cache
from random import Random

from tests.simulation.checks import check_end, check_forgotten, ledger_of
from tests.simulation.faults import Faults
from tests.simulation.processes import Making
from tests.simulation.shortcuts import Shortcuts
from tests.simulation.world import Kind, World

LIVES_OF_A_FEED = 20
THOROUGH = 40
"""Of so many lives one takes no short way."""

KINDS = (
    Kind(), Kind(tells=True), Kind(single=False), Kind(poisoned=True), Kind(single=False, tells=True),
    Kind(tells=True, poisoned=True),
)  # fmt: skip
FORGETFUL = Kind(forgets=True)


def lived(
    seed: int, struck: Counter[str], shortcuts: Shortcuts, making: Making | None = None, kind: Kind | None = None
) -> None:
    """Live the life of a seed; raises AssertionError if it ends as it must not."""
    random = Random(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    number = seed // LIVES_OF_A_FEED
    shortcuts.begin(number, thorough=seed % THOROUGH == 0)
    world = World(number, kind, random, Faults.drawn(random, struck), making or Making())
    world.live()
    check_end(world)
    undisturbed = undisturbed_life(world.number, forgets=kind.forgets)
    if kind.forgets:
        check_forgotten(undisturbed, world)
    else:
        assert ledger_of(world, telling=not kind.tells) == ledger_of(undisturbed, telling=not kind.tells)


@lru_cache(maxsize=4)
def undisturbed_life(number: int, *, forgets: bool) -> World:
    """The life of a feed that nothing disturbs, with a price book of the sort that may forget or another one."""
    world = World(number, Kind(forgets=forgets), Random(number), Faults(Random(number)))
    world.live_undisturbed()
    check_end(world)
    return world
