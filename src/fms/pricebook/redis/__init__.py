"""A price book in Redis, one server or a cluster, which many workers on many machines share.

A server that was started again may have forgotten or gone back in time. It has another run_id then, which is the
incarnation of the pages that it holds. ``keys`` says how they lie there; only ``servers`` knows the client library.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from secrets import randbits
from typing import Any, Self

from fms.errors import Fatal
from fms.model.hashing import mix_one
from fms.model.page import page_key
from fms.model.route import PARTITIONS, partition_of_od
from fms.ports import Version
from fms.pricebook.redis.keys import Command, Names, index, next_number, writes
from fms.pricebook.redis.servers import Lost, Servers

ROUTES_AT_ONCE = 500
"""O&Ds whose days are asked for in one go."""


class RedisPageStore:
    """Pages in the Redis that ``url`` names (redis://, rediss:// or unix://), under keys that begin with ``prefix``.

    Nothing is connected before it is needed. Every method raises Transient if a server does not answer, is full, is
    loading or no primary, and Fatal if it refuses the user or is no Redis.
    """

    def __init__(self, url: str, prefix: str = "px") -> None:
        self._servers = Servers(url)
        self._names = [Names(prefix, partition) for partition in range(PARTITIONS)]
        self._indexed: dict[int, tuple[Version, frozenset[str]]] = {}

    @property
    def identity(self) -> int:
        """A number that no other book has, nor this one after it was started again."""
        key = f"{self._names[0].start}identity"
        server, _, number = self._read(0, ("INFO", "server"), ("SET", key, randbits(62), "NX"), ("GET", key))
        return mix_one(int(number), _incarnation(server))

    def get(self, partition: int, keys: Sequence[str]) -> tuple[Version, list[bytes | None]]:
        """See ``PageStore``."""
        names = self._names[partition]
        # Both over one connection, which ends with the process that it leads to.
        server, (number, *pages) = self._read(
            partition, ("INFO", "server"), ("MGET", names.version, *names.pages(keys))
        )
        version = Version(_incarnation(server), int(number or 0))
        there = frozenset(key for key, page in zip(keys, pages, strict=True) if page is not None)
        self._indexed[partition] = version, there
        return version, pages

    def describe(self, partition: int, keys: Sequence[str]) -> list[bytes | None]:
        """See ``PageStore``."""
        if not keys:
            return []
        (found,) = self._read(partition, ("MGET", *self._names[partition].descriptions(keys)))
        return list(found)

    def put(
        self,
        partition: int,
        version: Version,
        pages: Mapping[str, bytes | None],
        descriptions: Mapping[str, bytes | None],
        newest: int | None = None,
    ) -> bool:
        """See ``PageStore``."""
        names = self._names[partition]
        server = self._servers.of(names.version)
        _, about, (number, known_newest) = server.ask(
            ("WATCH", names.version, names.newest), ("INFO", "server"), ("MGET", names.version, names.newest)
        )
        if Version(_incarnation(about), int(number or 0)) != version:
            server.ask(("UNWATCH",))
            return False
        numbers = {names.version: next_number(version.number)}
        if newest is not None and newest > int(known_newest or 0):
            numbers[names.newest] = newest
        read_at, there = self._indexed.get(partition, (None, frozenset[str]()))
        indexing = index(names, pages, there if read_at == version else ())
        *_, done = server.ask(("MULTI",), *writes(names, pages, descriptions, numbers), *indexing, ("EXEC",))
        # None: somebody wrote after WATCH, and nothing was done.
        return done is not None

    def keys(self, od: str | None = None) -> Iterator[str]:
        """See ``PageStore``."""
        ods = self._ods() if od is None else [od]
        for start in range(0, len(ods), ROUTES_AT_ONCE):
            some = ods[start : start + ROUTES_AT_ONCE]
            days = self._days(some)
            for one in some:
                yield from (page_key(one, day) for day in sorted(days[one]))

    def newest(self) -> int:
        """See ``PageStore``."""
        replies = (self._read(number, ("GET", names.newest)) for number, names in enumerate(self._names))
        return max(int(found or 0) for (found,) in replies)

    def close(self) -> None:
        """Close the connections."""
        self._servers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _read(self, partition: int, *commands: Command) -> list[Any]:
        server = self._servers.of(self._names[partition].version)
        was_connected = server.is_connected
        try:
            return server.ask(*commands)
        except Lost:
            if not was_connected:
                raise
        # The connection may have ended while nobody used it, and a read may be asked again.
        return self._servers.of(self._names[partition].version).ask(*commands)

    def _ods(self) -> list[str]:
        replies = (self._read(number, ("SMEMBERS", names.ods)) for number, names in enumerate(self._names))
        return sorted(od.decode() for (found,) in replies for od in found)

    def _days(self, ods: Iterable[str]) -> dict[str, list[int]]:
        parts: dict[int, list[str]] = defaultdict(list)
        for od in ods:
            parts[partition_of_od(od)].append(od)
        found: dict[str, list[int]] = {}
        for partition, some in parts.items():
            replies = self._read(partition, *(("SMEMBERS", self._names[partition].days(od)) for od in some))
            found |= {od: [int(day) for day in days] for od, days in zip(some, replies, strict=True)}
        return found


def _incarnation(server: bytes) -> int:
    """32 bits of the run_id in what INFO says of a server."""
    _, found, after = server.partition(b"\nrun_id:")
    if not found:
        raise Fatal("this Redis does not say its run_id in INFO server")
    return int(after[:8], 16)
