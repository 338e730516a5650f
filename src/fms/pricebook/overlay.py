"""A price book whose changes wait in memory until whatever was made of them is safe."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fms.errors import Transient
from fms.ports import PageStore, Version


@dataclass
class _Waiting:
    """What waits for one partition, and the version of the inner store that it began from."""

    begun_from: Version
    puts: int = 0
    newest: int | None = None
    pages: dict[str, bytes | None] = field(default_factory=dict)
    descriptions: dict[str, bytes | None] = field(default_factory=dict)


class Overlay:
    """A ``PageStore`` over another, which stays as it is until ``flush``."""

    def __init__(self, inner: PageStore) -> None:
        self._inner = inner
        self._waiting: dict[int, _Waiting] = {}

    def get(self, partition: int, keys: Sequence[str]) -> tuple[Version, list[bytes | None]]:
        """See ``PageStore``."""
        version, pages = self._inner.get(partition, keys)
        waiting = self._waiting.setdefault(partition, _Waiting(version))
        return version._replace(number=version.number + waiting.puts), _over(waiting.pages, keys, pages)

    def describe(self, partition: int, keys: Sequence[str]) -> list[bytes | None]:
        """See ``PageStore``."""
        found = self._inner.describe(partition, keys)
        waiting = self._waiting.get(partition)
        return _over(waiting.descriptions, keys, found) if waiting else found

    def put(
        self,
        partition: int,
        version: Version,
        pages: Mapping[str, bytes | None],
        descriptions: Mapping[str, bytes | None],
        newest: int | None = None,
    ) -> bool:
        """See ``PageStore``; nothing reaches the inner store yet."""
        current, _ = self.get(partition, [])
        if current != version:
            return False
        waiting = self._waiting[partition]
        waiting.pages.update(pages)
        waiting.descriptions.update(descriptions)
        waiting.puts += 1
        if newest is not None:
            waiting.newest = max(newest, waiting.newest or 0)
        return True

    def keys(self, od: str | None = None) -> Iterator[str]:
        """See ``PageStore``."""
        found = set(self._inner.keys(od))
        for waiting in self._waiting.values():
            mine = {key: page for key, page in waiting.pages.items() if od is None or key.startswith(f"{od}:")}
            found.difference_update(mine)
            found.update(key for key, page in mine.items() if page is not None)
        return iter(sorted(found))

    def newest(self) -> int:
        """See ``PageStore``."""
        return max(self._inner.newest(), *(waiting.newest or 0 for waiting in self._waiting.values()), 0)

    def flush(self) -> None:
        """Write what waits into the inner store, a partition at a time.

        Raises Transient if a partition moved meanwhile: with nothing written if it moved before, and with the
        partitions written that were done already if it moved in between.
        """
        for partition, waiting in self._waiting.items():
            version, _ = self._inner.get(partition, [])
            if version != waiting.begun_from:
                raise _moved(partition)
        while self._waiting:
            partition, waiting = self._waiting.popitem()
            if waiting.puts and not self._put(partition, waiting):
                raise _moved(partition)

    def _put(self, partition: int, waiting: _Waiting) -> bool:
        parts = waiting.pages, waiting.descriptions, waiting.newest
        return self._inner.put(partition, waiting.begun_from, *parts)


def _moved(partition: int) -> Transient:
    return Transient(f"somebody else wrote partition {partition} of the price book")


def _over(
    waiting: Mapping[str, bytes | None], keys: Sequence[str], found: Sequence[bytes | None]
) -> list[bytes | None]:
    return [waiting.get(key, page) for key, page in zip(keys, found, strict=True)]
