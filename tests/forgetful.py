"""A price book in memory that forgets and goes back in time, as Redis may."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fms.ports import Version
from fms.pricebook.memory import MemoryPageStore


class ForgetfulPageStore(MemoryPageStore):
    """Pages in this process; its incarnation says how often it was restarted."""

    def __init__(self) -> None:
        super().__init__()
        self.incarnation = 1

    def get(self, partition: int, keys: Sequence[str]) -> tuple[Version, list[bytes | None]]:
        """See ``PageStore``."""
        version, pages = super().get(partition, keys)
        return version._replace(incarnation=self.incarnation), pages

    def put(
        self,
        partition: int,
        version: Version,
        pages: Mapping[str, bytes | None],
        descriptions: Mapping[str, bytes | None],
        newest: int | None = None,
    ) -> bool:
        """See ``PageStore``."""
        if version.incarnation != self.incarnation:
            return False
        return super().put(partition, version._replace(incarnation=0), pages, descriptions, newest)

    def lose(self, keys: Iterable[str] | None = None) -> None:
        """Forget pages, all or some, as FLUSHALL and eviction do: nothing else tells of it."""
        for key in list(self._pages if keys is None else keys):
            self._pages.pop(key, None)
            self._descriptions.pop(key, None)

    def saved(self) -> Any:
        """What a restart may come back with."""
        return dict(self._pages), dict(self._descriptions), self._numbers.copy()

    def restart(self, dump: Any = None) -> None:
        """Start again, with what was saved once or else with what there is."""
        pages, descriptions, numbers = dump or self.saved()
        self._pages, self._descriptions, self._numbers = dict(pages), dict(descriptions), numbers.copy()
        self.incarnation += 1
