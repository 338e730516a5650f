"""The router: from a slot to the database that owns it, also while slots move."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Row, Select

from fms.errors import Fatal, Transient
from fms.model.route import SLOTS
from fms.shards.asked import Asked
from fms.shards.engine import asking, reading, writing
from fms.shards.ownership import SlotMoved, check_owned, check_readable, owned_slots

Item = TypeVar("Item")
Answer = TypeVar("Answer")

WAIT_SECONDS = 2.0
"""How long a caller waits for a slot that is being moved."""

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.2


@dataclass(frozen=True)
class Shard:
    """One SQL database that owns some slots."""

    name: str
    engine: Engine


@dataclass(frozen=True)
class SlotMap:
    """Which shards there are, by name, and the owner's name of each slot."""

    shards: Mapping[str, Shard]
    owners: Sequence[str]


class Router:
    """Answers which shard owns a slot, from the map in memory, and has work done where it is owned.

    Args:
        slot_map: what the catalog said at first.
        read_again: asks the catalog again; it is given the shards that are open. None: it never changes.
        relieve: called when a slot was waited for in vain: whether it was freed of a mover that has gone.
    """

    def __init__(
        self,
        slot_map: SlotMap,
        read_again: Callable[[Mapping[str, Shard]], SlotMap] | None = None,
        relieve: Callable[[], bool] = lambda: False,
    ) -> None:
        self._map = _checked(slot_map)
        self._read_again = read_again
        self._relieve = relieve

    def of(self, slot: int) -> Shard:
        """The shard that owns ``slot``, as far as is known."""
        return self._map.shards[self._map.owners[slot]]

    def all(self) -> list[Shard]:
        """Every shard, by name."""
        return [self._map.shards[name] for name in sorted(self._map.shards)]

    def refresh(self) -> None:
        """Read the map again."""
        if self._read_again:
            self._map = _checked(self._read_again(self._map.shards))

    def split(self, items: Iterable[Item], slot: Callable[[Item], int]) -> list[tuple[Shard, list[Item]]]:
        """The items by the shard that owns their slot, shards by name, items in their order."""
        found = self._map
        parts: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            parts[found.owners[slot(item)]].append(item)
        return [(found.shards[name], parts[name]) for name in sorted(parts)]

    def write(self, slot: int, work: Callable[[Connection], Answer]) -> Answer:
        """Do ``work`` in one transaction of the slot's owner; see ``write_each``."""
        [answer] = self.write_each([slot], _itself, lambda connection, _: work(connection))
        return answer

    def read(self, slot: int, work: Callable[[Connection], Answer]) -> Answer:
        """Read in one transaction of the slot's owner; see ``read_each``."""
        [answer] = self.read_each([slot], _itself, lambda connection, _: work(connection))
        return answer

    def ask(self, slot: int, asked: Asked, **values: Any) -> Row[Any] | None:
        """The row that a question finds in the slot's owner; ``values``: its parameters but for the slot.

        None: there is none, or the map is old: then ``read`` is to be asked, which takes several times as long.
        """
        return asked.first(self.of(slot).engine, {"asked_slot": slot, **values})

    def write_each(
        self,
        items: Iterable[Item],
        slot: Callable[[Item], int],
        work: Callable[[Connection, list[Item]], Answer],
    ) -> list[Answer]:
        """Do ``work`` for the items, in one transaction of each shard that owns some of their slots.

        Args:
            items: what is to be done.
            slot: where an item belongs.
            work: is given a connection and the items that belong there; after SlotMoved it is called anew.

        Answers what ``work`` answered. Items of slots that are being moved come last, in transactions of their own;
        if a slot is not free after ``WAIT_SECONDS``, raises Transient with nothing written of these items.
        """
        return self._each(items, slot, work, _owning)

    def read_each(
        self,
        items: Iterable[Item],
        slot: Callable[[Item], int],
        work: Callable[[Connection, list[Item]], Answer],
    ) -> list[Answer]:
        """As ``write_each``, for work that only reads: each shard as of one moment at which it owned the slots."""
        return self._each(items, slot, work, _seeing)

    def _each(
        self,
        items: Iterable[Item],
        slot: Callable[[Item], int],
        work: Callable[[Connection, list[Item]], Answer],
        transaction: Callable[[Shard, set[int]], AbstractContextManager[Connection]],
    ) -> list[Answer]:
        answers: list[Answer] = []
        left = list(items)
        pauses = self._pauses()
        while left:
            moving: list[Item] = []
            for shard, some in self.split(left, slot):
                here = some
                while here:
                    try:
                        with transaction(shard, {slot(item) for item in here}) as connection:
                            answer = work(connection, here)
                    except SlotMoved as error:
                        moving += [item for item in here if slot(item) in error.slots]
                        here = [item for item in here if slot(item) not in error.slots]
                    else:
                        answers.append(answer)
                        break
            left = moving
            if left and not next(pauses):
                raise Transient(f"slot {min(map(slot, left))} is being moved to another shard: try again in a moment")
        return answers

    def read_all(self, work: Callable[[Connection], Answer]) -> list[Answer]:
        """Read in every shard: answers that together speak of every slot exactly once.

        ``work`` must leave out what ``is_owned`` says is not the shard's own. Raises Transient if for
        ``WAIT_SECONDS`` some slot was owned by no shard that was asked, or by two.
        """
        pauses = self._pauses()
        while True:
            answers: list[Answer] = []
            owned: list[int] = []
            for shard in self.all():
                with reading(shard.engine) as connection:
                    owned += owned_slots(connection)
                    answers.append(work(connection))
            if len(owned) == SLOTS and set(owned) == set(range(SLOTS)):
                return answers
            if not next(pauses):
                raise Transient(_uncovered(owned))

    def ask_all(self, query: Select[Any], **values: Any) -> list[Row[Any]]:
        """The row that a query finds in each shard, by one statement each.

        Of a slot that changes hands just then nothing may be said, or the same twice. The query must leave out what
        ``is_owned`` says is not the shard's own.
        """
        rows: list[Row[Any]] = []
        for shard in self.all():
            with asking(shard.engine) as connection:
                rows += connection.execute(query, values).all()
        return rows

    def _pauses(self) -> Iterator[bool]:
        """Each time, wait a little and read the map again; False once that took too long."""
        deadline = monotonic() + WAIT_SECONDS
        pause = _FIRST_PAUSE
        while monotonic() < deadline:
            sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            self.refresh()
            yield True
        if self._relieve():
            self.refresh()
            yield True
        yield False

    def check(self) -> None:
        """Raise Fatal unless the shards' own rows cover every slot exactly once."""
        owned: list[int] = []
        for shard in self.all():
            with reading(shard.engine) as connection:
                owned += owned_slots(connection)
        if sorted(owned) != list(range(SLOTS)):
            raise Fatal(_uncovered(owned))

    def close(self) -> None:
        """Close every connection."""
        for shard in self.all():
            shard.engine.dispose()


def _itself(slot: int) -> int:
    return slot


def _checked(slot_map: SlotMap) -> SlotMap:
    if len(slot_map.owners) != SLOTS:
        raise Fatal(f"the catalog knows the owners of {len(slot_map.owners)} of {SLOTS} slots")
    return slot_map


def _uncovered(owned: Collection[int]) -> str:
    return f"the shards own {len(set(owned))} of {SLOTS} slots, {len(owned) - len(set(owned))} twice"


@contextmanager
def _owning(shard: Shard, slots: set[int]) -> Iterator[Connection]:
    with writing(shard.engine) as connection:
        check_owned(connection, slots)
        yield connection


@contextmanager
def _seeing(shard: Shard, slots: set[int]) -> Iterator[Connection]:
    with reading(shard.engine) as connection:
        check_readable(connection, slots)
        yield connection
