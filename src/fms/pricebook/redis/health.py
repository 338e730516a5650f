"""How the servers of a price book do."""

from collections.abc import Mapping
from dataclasses import dataclass

from fms.model.clock import Clock
from fms.model.route import PARTITIONS
from fms.pricebook.redis.keys import Names
from fms.pricebook.redis.servers import Server, Servers


@dataclass(frozen=True)
class RedisHealth:
    """What a server says of itself.

    Attributes:
        info: what INFO says, by name.
        cluster: what CLUSTER INFO says; empty for a server that is alone.
        ahead_ms: how far its clock is ahead of ours.
    """

    info: Mapping[str, str]
    cluster: Mapping[str, str]
    ahead_ms: int


@dataclass(frozen=True)
class BookHealth:
    """What all of its servers say.

    Attributes:
        servers: those that have partitions; of a cluster that is down only the one that was asked first.
        newest: the newest observation, UTC ms; 0: none, or not known.
    """

    servers: list[RedisHealth]
    newest: int


def examine(url: str, seconds: float, clock: Clock, prefix: str = "px") -> BookHealth:
    """Look at a price book whose servers have so many seconds for each answer; raises as ``RedisPageStore`` does."""
    servers = Servers(url, seconds)
    try:
        first = _health(servers.first(), clock)
        if first.cluster and first.cluster.get("cluster_state") != "ok":
            return BookHealth([first], 0)
        names = [Names(prefix, partition) for partition in range(PARTITIONS)]
        newest = [servers.of(one.newest).ask(("GET", one.newest))[0] for one in names]
        masters = list(dict.fromkeys(servers.of(one.newest) for one in names))
        return BookHealth([_health(one, clock) for one in masters], max(int(one or 0) for one in newest))
    finally:
        servers.close()


def _health(server: Server, clock: Clock) -> RedisHealth:
    (said,) = server.ask(("INFO",))
    info = _fields(said)
    cluster = _fields(server.ask(("CLUSTER", "INFO"))[0]) if info.get("cluster_enabled") == "1" else {}
    before = clock()
    ((seconds, micros),) = server.ask(("TIME",))
    ahead = int(seconds) * 1000 + int(micros) // 1000 - (before + clock()) // 2
    return RedisHealth(info, cluster, ahead)


def _fields(said: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in said.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in pairs if colon}
