"""The move of a slot: every step that anybody could take next.

Movers come one after another and take a token each; some of them are still there when they should not be. Clients write
wherever they find an active owner. A step is atomic, so in the real thing a lock holds its test and its write together.
"""

from collections.abc import Iterator

from tests.model.mover import WRITING, Turn
from tests.model.worlds import (
    ACTIVE,
    CLOSED,
    FENCED,
    IMPORTING,
    MOVED,
    NAMES,
    OPEN,
    Late,
    Move,
    Rules,
    Shard,
    World,
    leased,
    owner,
    with_shard,
)

Named = tuple[str, World]
"""A world, and the words for the step that leads to it."""


def next_worlds(rules: Rules, world: World) -> Iterator[Named]:
    """Every world that is one step away, and the words for that step."""
    yield from _clients(rules, world)
    yield from _catalog(rules, world)
    yield from _shards(rules, world)
    for index, mover in enumerate(world.movers):
        if mover.step:
            yield from _moving(rules, world, index)


def _moving(rules: Rules, world: World, index: int) -> Iterator[Named]:
    mover = world.movers[index]
    words = f"mover {mover.token} of move {mover.move}: {mover.step}"
    for after in Turn(rules, world, index).taken():
        yield words, after
        lost = after._replace(movers=world.movers)
        if lost != world:
            yield f"{words} (the answer is lost)", lost
    if mover.step in WRITING and not rules.unsure_is_over and not world.late:
        late = Late(1 - world.moves[mover.move - 1].source, mover.move, mover.token, mover.seen)
        yield f"{words} (on its way, the mover tries again)", world._replace(late=late)


def _clients(rules: Rules, world: World) -> Iterator[Named]:
    if world.writes == rules.writes or (rules.quiet_moves and world.moves[-1].state in OPEN):
        return
    for index, shard in enumerate(world.shards):
        if rules.owner_tested_in_write:
            if shard.state == ACTIVE:
                yield from _writes(rules, world, index)
        elif world.tested == index:
            yield from _writes(rules, world, index)
        elif world.tested < 0 and shard.state == ACTIVE:
            yield f"a client finds that {NAMES[index]} is active", world._replace(tested=index)


def _writes(rules: Rules, world: World, index: int) -> Iterator[Named]:
    shard = world.shards[index]
    content = world.writes + 2
    version = content if rules.versions_never_return else shard.key // 10 + 1
    for words, key in (("writes", 10 * version + content), ("deletes", 0)):
        if key or shard.key:
            shards = with_shard(world, index, shard._replace(key=key))
            after = world._replace(shards=shards, last=key, writes=world.writes + 1, tested=-1)
            yield f"a client {words} the key in {NAMES[index]}", after


def _catalog(rules: Rules, world: World) -> Iterator[Named]:
    move = world.moves[-1]
    if move.state in CLOSED:
        if len(world.moves) < rules.moves:
            yield "a move is planned", world._replace(moves=(*world.moves, Move(owner(world))))
    elif world.leases < rules.leases:
        idle = [index for index, mover in enumerate(world.movers) if not mover.step]
        for index in idle[:1] or range(len(world.movers)):
            yield "another mover comes", leased(rules, world, index)


def _shards(rules: Rules, world: World) -> Iterator[Named]:
    if late := world.late:
        shard = world.shards[late.shard]
        landing = shard.state == IMPORTING and (shard.move, shard.token) == (late.move, late.token)
        shards = with_shard(world, late.shard, shard._replace(key=late.key)) if landing else world.shards
        yield f"the late write lands in {NAMES[late.shard]}", world._replace(shards=shards, late=None)
    for index, shard in enumerate(world.shards):
        if shard.state == MOVED and (shard.key or not rules.cleaning_leaves_row):
            cleaned = with_shard(world, index, shard._replace(key=0) if rules.cleaning_leaves_row else Shard())
            yield f"{NAMES[index]} is cleaned", world._replace(shards=cleaned)
        if shard.state == FENCED and not rules.fence_never_runs_out:
            lifted = with_shard(world, index, shard._replace(state=ACTIVE))
            yield f"the fence of {NAMES[index]} runs out", world._replace(shards=lifted)
