"""A price book in memory: for tests, trials and runs that keep nothing."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from fms.ports import Version


class MemoryPageStore:
    """Pages in dictionaries of this process."""

    def __init__(self) -> None:
        self._pages: dict[str, bytes] = {}
        self._descriptions: dict[str, bytes] = {}
        self._numbers: dict[int, int] = defaultdict(int)
        self._newest = 0

    def get(self, partition: int, keys: Sequence[str]) -> tuple[Version, list[bytes | None]]:
        """See ``PageStore``."""
        return Version(0, self._numbers[partition]), [self._pages.get(key) for key in keys]

    def describe(self, partition: int, keys: Sequence[str]) -> list[bytes | None]:  # noqa: ARG002  # keys say it all
        """See ``PageStore``."""
        return [self._descriptions.get(key) for key in keys]

    def put(
        self,
        partition: int,
        version: Version,
        pages: Mapping[str, bytes | None],
        descriptions: Mapping[str, bytes | None],
        newest: int | None = None,
    ) -> bool:
        """See ``PageStore``."""
        if Version(0, self._numbers[partition]) != version:
            return False
        _write(self._pages, pages)
        _write(self._descriptions, descriptions)
        self._numbers[partition] += 1
        self._newest = max(self._newest, newest or 0)
        return True

    def keys(self, od: str | None = None) -> Iterator[str]:
        """See ``PageStore``."""
        return iter(sorted(key for key in self._pages if od is None or key.startswith(f"{od}:")))

    def newest(self) -> int:
        """See ``PageStore``."""
        return self._newest


def _write(values: dict[str, bytes], changed: Mapping[str, bytes | None]) -> None:
    for key, value in changed.items():
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
