"""The router: from a slot to the database that owns it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Engine

from fms.errors import Fatal
from fms.model.route import SLOTS
from fms.shards.engine import reading
from fms.shards.ownership import owned_slots

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """One SQL database that owns some slots."""

    name: str
    engine: Engine


class Router:
    """Answers which shard owns a slot, from the map in memory."""

    def __init__(self, shards: Mapping[str, Shard], owners: Sequence[str]) -> None:
        if len(owners) != SLOTS:
            raise Fatal(f"the catalog knows the owners of {len(owners)} of {SLOTS} slots")
        self._shards = shards
        self._owners = owners

    def of(self, slot: int) -> Shard:
        """The shard that owns ``slot``."""
        return self._shards[self._owners[slot]]

    def all(self) -> list[Shard]:
        """Every shard, by name."""
        return [self._shards[name] for name in sorted(self._shards)]

    def split(self, items: Iterable[Item], slot: Callable[[Item], int]) -> list[tuple[Shard, list[Item]]]:
        """The items by the shard that owns their slot, shards by name, items in their order."""
        parts: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            parts[self._owners[slot(item)]].append(item)
        return [(self._shards[name], parts[name]) for name in sorted(parts)]

    def check(self) -> None:
        """Raise Fatal unless the shards' own rows cover every slot exactly once."""
        owned: list[int] = []
        for shard in self.all():
            with reading(shard.engine) as connection:
                owned += owned_slots(connection)
        if sorted(owned) != list(range(SLOTS)):
            raise Fatal(f"the shards own {len(set(owned))} of {SLOTS} slots, {len(owned) - len(set(owned))} twice")

    def close(self) -> None:
        """Close every connection."""
        for shard in self.all():
            shard.engine.dispose()
