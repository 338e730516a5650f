"""What a mover does: each step is one transaction in one place, and says which step follows.

The steps of the protocol in its order: stamp the source, ask for the decision, prepare the target, copy, fence, compare
once more, prove, commit, retire the source, activate the target, done. Or give it up: abort, undo the target, then the
source, aborted.
"""

from collections.abc import Callable, Iterator

from tests.model.worlds import (
    ABORTED,
    ABORTING,
    ABSENT,
    ACTIVE,
    COMMITTED,
    COPYING,
    DONE,
    FENCED,
    IMPORTING,
    MOVED,
    SERVING,
    Mover,
    Rules,
    Shard,
    World,
)


class Turn:
    """A mover's turn: its next step, one transaction in one place."""

    def __init__(self, rules: Rules, world: World, index: int) -> None:
        self.rules = rules
        self.world = world
        self.index = index
        self.mover = world.movers[index]
        self.move = world.moves[self.mover.move - 1]
        self.source = world.shards[self.move.source]
        self.target = world.shards[1 - self.move.source]

    def taken(self) -> Iterator[World]:
        """The worlds after the step, the wanted one first; whoever may still give up may also do that."""
        yield STEPS[self.mover.step](self)
        if self.mover.step == "fence":
            yield self.to("read")
        if self.mover.step in ABORTABLE:
            yield self.abort()

    def to(
        self, step: str, *, source: Shard | None = None, target: Shard | None = None, state: str = "", seen: int = 0
    ) -> World:
        """The world with the mover at another step, and the one place it wrote to."""
        world, mover = self.world, self.mover
        after = Mover(step, mover.move, mover.token, seen) if step else Mover()
        shards, moves = world.shards, world.moves
        if source or target:
            pair = source or self.source, target or self.target
            shards = pair if self.move.source == 0 else (pair[1], pair[0])
        if state:
            moves = (*moves[: mover.move - 1], self.move._replace(state=state), *moves[mover.move :])
        movers = tuple(sorted((after, world.movers[1 - self.index])))
        return World(shards, moves, movers, *world[3:])

    def stop(self) -> World:
        """The mover was refused, or is ready: it touches nothing more."""
        return self.to("")

    def stamped(self, shard: Shard) -> Shard:
        return shard._replace(move=self.mover.move, token=self.mover.token)

    def is_older(self, shard: Shard) -> bool:
        """Whether a later mover than this one has left its token there."""
        if not self.rules.tokens_of_all_moves and shard.move != self.mover.move:
            return False
        return shard.token > self.mover.token

    def has_source(self) -> bool:
        return (self.source.move == self.mover.move or not self.rules.move_on_source) and (
            self.source.token == self.mover.token or not self.rules.token_on_source
        )

    def has_target(self) -> bool:
        return (
            self.target.state == IMPORTING
            and self.target.move == self.mover.move
            and (self.target.token == self.mover.token or not self.rules.token_on_target)
        )

    def stamp(self) -> World:
        if self.source.state not in SERVING:
            return self.to("decision")
        if self.rules.token_on_source and self.is_older(self.source):
            return self.stop()
        source = self.stamped(self.source)
        return self.to("decision", source=source if self.rules.successor_keeps_fence else source._replace(state=ACTIVE))

    def decision(self) -> World:
        following = {COPYING: "prepare", COMMITTED: "stamp target", ABORTING: "undo target"}
        return self.to(following.get(self.move.state, ""))

    def stamp_target(self) -> World:
        if self.is_older(self.target) or (self.target.state == ACTIVE and not self.rules.active_target_is_fine):
            return self.stop()
        mine = self.target.state == IMPORTING and self.target.move == self.mover.move
        return self.to(self.decided(), target=self.stamped(self.target) if mine else None)

    def decided(self) -> str:
        return "retire" if self.rules.retire_before_activate else "activate"

    def prepare(self) -> World:
        target = self.target
        if target.state in SERVING or self.is_older(target):
            return self.stop()
        if target.state == IMPORTING and target.move != self.mover.move:
            return self.stop()
        kept = target.state == IMPORTING or not self.rules.prepare_deletes
        return self.to("read", target=Shard(IMPORTING, self.mover.move, self.mover.token, target.key if kept else 0))

    def read(self) -> World:
        return self.to("write", seen=self.source.key)

    def write(self) -> World:
        return self.written("fence")

    def written(self, following: str) -> World:
        """The target gets what was seen at the source."""
        if not self.has_target():
            return self.stop()
        if not self.rules.target_tested_in_write:
            return self.to(f"land, then {following}", seen=self.mover.seen)
        return self.landed(following)

    def landed(self, following: str) -> World:
        kept = not self.mover.seen and not self.rules.sync_deletes
        return self.to(following, target=None if kept else self.target._replace(key=self.mover.seen))

    def fence(self) -> World:
        if not self.has_source() or self.source.state not in SERVING:
            return self.stop()
        following = "read again" if self.rules.second_compare else self.compared()
        return self.to(following, source=self.source._replace(state=FENCED))

    def compared(self) -> str:
        return "prove" if self.rules.proof else self.proven()

    def proven(self) -> str:
        return "commit" if self.rules.commit_before_activate else "activate early"

    def read_again(self) -> World:
        return self.to("compare", seen=self.source.key)

    def compare(self) -> World:
        if self.target.key // 10 == self.mover.seen // 10:
            return self.to(self.compared())
        return self.to("write again", seen=self.mover.seen)

    def write_again(self) -> World:
        return self.written(self.compared())

    def prove(self) -> World:
        return self.to("prove target", seen=self.source.key)

    def prove_target(self) -> World:
        return self.to(self.proven() if self.target.key // 10 == self.mover.seen // 10 else "abort")

    def decides(self, state: str, *, token: bool = True, before: tuple[str, ...]) -> bool:
        """Whether the catalog takes this mover's word. It may be the second time: then the first answer was lost."""
        return (self.move.token == self.mover.token or not token) and self.move.state in {*before, state}

    def commit(self) -> World:
        before = (COPYING,) if self.rules.commit_asks_state else (COPYING, ABORTING, ABORTED)
        if not self.decides(COMMITTED, token=self.rules.commit_asks_token, before=before):
            return self.stop()
        return self.to(self.decided(), state=COMMITTED)

    def retire(self) -> World:
        following = "activate" if self.rules.retire_before_activate else "done"
        if self.source.state == MOVED:
            return self.to(following)
        if self.source.state == FENCED and self.has_source():
            return self.to(following, source=self.source._replace(state=MOVED))
        return self.stop()

    def activate(self) -> World:
        return self.activated("done" if self.rules.retire_before_activate else "retire")

    def activate_early(self) -> World:
        return self.activated("commit")

    def activated(self, following: str) -> World:
        if self.target.state == ACTIVE:
            return self.to(following)
        if not self.has_target():
            return self.stop()
        return self.to(following, target=self.target._replace(state=ACTIVE, move=0))

    def done(self) -> World:
        may = self.decides(DONE, token=self.rules.close_asks_token, before=(COMMITTED,))
        return self.to("", state=DONE if may else "")

    def abort(self) -> World:
        if not self.decides(ABORTING, before=(COPYING,)):
            return self.stop()
        return self.to("undo target", state=ABORTING)

    def undo_target(self) -> World:
        target = self.target
        if target.state in SERVING or (self.rules.undo_asks_token and self.is_older(target)):
            return self.stop()
        if target.state == ABSENT and not self.rules.abort_leaves_row:
            return self.to("undo source")
        row = Shard(MOVED, self.mover.move, self.mover.token)
        return self.to("undo source", target=row if self.rules.abort_leaves_row else Shard())

    def undo_source(self) -> World:
        again = self.source.state == ACTIVE and self.source.token == self.mover.token and not self.source.move
        if again:
            return self.to("aborted")
        if self.source.state not in SERVING or not self.has_source():
            return self.stop()
        return self.to("aborted", source=self.source._replace(state=ACTIVE, move=0))

    def aborted(self) -> World:
        may = self.decides(ABORTED, token=self.rules.close_asks_token, before=(ABORTING,))
        return self.to("", state=ABORTED if may else "")


STEPS: dict[str, Callable[[Turn], World]] = {
    "stamp": Turn.stamp,
    "decision": Turn.decision,
    "stamp target": Turn.stamp_target,
    "prepare": Turn.prepare,
    "read": Turn.read,
    "write": Turn.write,
    "land, then fence": lambda turn: turn.landed("fence"),
    "fence": Turn.fence,
    "read again": Turn.read_again,
    "compare": Turn.compare,
    "write again": Turn.write_again,
    "land, then prove": lambda turn: turn.landed("prove"),
    "prove": Turn.prove,
    "prove target": Turn.prove_target,
    "commit": Turn.commit,
    "retire": Turn.retire,
    "activate early": Turn.activate_early,
    "activate": Turn.activate,
    "done": Turn.done,
    "abort": Turn.abort,
    "undo target": Turn.undo_target,
    "undo source": Turn.undo_source,
    "aborted": Turn.aborted,
}
"""What a mover does next, by the step it is at."""

ABORTABLE = {
    "prepare",
    "read",
    "write",
    "fence",
    "read again",
    "compare",
    "write again",
    "prove",
    "prove target",
    "commit",
}
WRITING = {"write", "write again"}
