"""What there is in a move of one slot with one key in it: two shards, the catalog, movers and clients.

Left out: epochs (nobody decides by them) and the check of whole contents (equal versions are equal rows here, but for
the one rule that says they are not).
"""

from dataclasses import dataclass
from typing import NamedTuple

ABSENT, IMPORTING, ACTIVE, FENCED, MOVED = "absent", "importing", "active", "fenced", "moved"
PLANNED, COPYING, COMMITTED, DONE, ABORTING, ABORTED = "planned", "copying", "committed", "done", "aborting", "aborted"

SERVING = ACTIVE, FENCED
CLOSED = DONE, ABORTED
OPEN = COPYING, COMMITTED, ABORTING
NAMES = "AB"


class Shard(NamedTuple):
    """The owner row of the slot in a shard, and its key: ten times the version plus the content, 0 if there is none."""

    state: str = ABSENT
    move: int = 0
    token: int = 0
    key: int = 0


class Move(NamedTuple):
    """A move in the catalog. The target is the other shard."""

    source: int
    state: str = PLANNED
    token: int = 0


class Mover(NamedTuple):
    """A process that moves: the step it is at, and what it remembers."""

    step: str = ""
    move: int = 0
    token: int = 0
    seen: int = 0


class Late(NamedTuple):
    """A write to a shard under a move and a token that has not landed yet."""

    shard: int
    move: int
    token: int
    key: int


class World(NamedTuple):
    """All there is.

    ``last`` is the key as the last client that was answered left it, ``tested`` the shard that a client found active in
    a transaction before the one it writes in, and ``late`` a write whose mover does not wait for it.
    """

    shards: tuple[Shard, Shard] = (Shard(ACTIVE, key=11), Shard())
    moves: tuple[Move, ...] = (Move(0),)
    movers: tuple[Mover, ...] = (Mover(), Mover())
    last: int = 11
    writes: int = 0
    leases: int = 0
    tested: int = -1
    late: Late | None = None


@dataclass(frozen=True)
class Rules:
    """The scope, and the guards: each is on in the protocol as it is.

    ``leases`` is how many movers come in all, two at a time. If ``quiet_moves``, clients write between moves only.
    """

    writes: int = 2
    leases: int = 2
    moves: int = 1
    quiet_moves: bool = False

    owner_tested_in_write: bool = True
    second_compare: bool = True
    proof: bool = True
    token_on_target: bool = True
    target_tested_in_write: bool = True
    unsure_is_over: bool = True
    token_on_source: bool = True
    move_on_source: bool = True
    commit_before_activate: bool = True
    retire_before_activate: bool = True
    fence_never_runs_out: bool = True
    successor_keeps_fence: bool = True
    prepare_deletes: bool = True
    sync_deletes: bool = True
    commit_asks_token: bool = True
    commit_asks_state: bool = True
    close_asks_token: bool = True
    undo_asks_token: bool = True
    abort_leaves_row: bool = True
    cleaning_leaves_row: bool = True
    tokens_of_one_counter: bool = True
    tokens_of_all_moves: bool = True
    active_target_is_fine: bool = True
    versions_never_return: bool = True


def with_shard(world: World, index: int, shard: Shard) -> tuple[Shard, Shard]:
    """The shards, one of them changed."""
    return (shard, world.shards[1]) if index == 0 else (world.shards[0], shard)


def owner(world: World) -> int:
    """The shard that owns the slot by the map of the catalog."""
    move = world.moves[-1]
    return 1 - move.source if move.state in {COMMITTED, DONE} else move.source


def leased(rules: Rules, world: World, index: int) -> World:
    """The world with a new mover of the open move, in place of one that is gone."""
    move = world.moves[-1]
    token = (world.leases if rules.tokens_of_one_counter else move.token) + 1
    moves = (*world.moves[:-1], Move(move.source, COPYING if move.state == PLANNED else move.state, token))
    movers = tuple(sorted((Mover("stamp", len(moves), token), world.movers[1 - index])))
    return world._replace(moves=moves, movers=movers, leases=world.leases + 1)
