"""A private Redis server, and a small Redis Cluster."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from redis import Redis as Client
from redis.exceptions import RedisError

from tests.services.processes import Server, free_port, program, until

DATABASES = 512
SLOTS = 16_384


class Redis(Server):
    """A private Redis server; it forgets everything when it ends, unless it is told to save.

    Args:
        folder, owner: see ``Server``.
        save: whether an orderly stop writes a dump, which the next start reads.
        options: more of the command line, such as ``["--maxmemory", "5mb"]``.
    """

    def __init__(
        self, folder: Path | None = None, *, owner: int | None = None, save: bool = False, options: Iterable[str] = ()
    ) -> None:
        self._program = program("redis-server")
        super().__init__(folder, owner=owner)
        # So many changes are never made: only an orderly stop and SAVE write the dump.
        self._options = ["--save", "3600 1000000000" if save else "", "--appendonly", "no", *options]
        self._copies = 0

    @property
    def url(self) -> str:
        """Of its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def dump(self) -> Path:
        """Where it saves to."""
        return self.folder / "dump.rdb"

    def client(self) -> Client:
        """A client of database 0; close it, as in ``with server.client() as client``."""
        return Client.from_url(self.url, socket_timeout=10)

    def flush(self) -> None:
        """Make it forget everything, as it runs."""
        with self.client() as client:
            client.flushall()

    def save(self) -> Path:
        """A copy of what it knows now."""
        with self.client() as client:
            client.save()
        self._copies += 1
        return Path(shutil.copy(self.dump, self.folder / f"copy-{self._copies}.rdb"))

    def restore(self, copy: Path) -> None:
        """Kill it and start it again with what it knew when the copy was made."""
        if self.running:
            self.kill()
        shutil.copy(copy, self.dump)
        self.start()

    def _command(self) -> list[str]:
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return [str(self._program), *place, "--databases", str(DATABASES), *self._options]

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False


class RedisCluster:
    """A private Redis Cluster without replicas; the slots are dealt out evenly.

    Args:
        owner: see ``Server``.
        masters: how many servers.
    """

    def __init__(self, *, owner: int | None = None, masters: int = 3) -> None:
        # Their ports among themselves would be 10,000 above the others, which may be taken.
        self._buses = [free_port() for _ in range(masters)]
        self.nodes = [
            Redis(owner=owner, options=["--cluster-enabled", "yes", "--cluster-port", str(bus)]) for bus in self._buses
        ]

    @property
    def url(self) -> str:
        """Of one of its servers, which knows the others."""
        return self.nodes[0].url

    def flush(self) -> None:
        """Make all of it forget everything."""
        for node in self.nodes:
            node.flush()

    def start(self) -> Self:
        """Start its servers and make them one cluster; returns when every one says that it is complete."""
        for number, node in enumerate(self.nodes):
            with node.start().client() as client:
                begin, end = (SLOTS * one // len(self.nodes) for one in (number, number + 1))
                client.execute_command("CLUSTER ADDSLOTSRANGE", begin, end - 1)
                client.execute_command("CLUSTER MEET", "127.0.0.1", self.nodes[0].port, self._buses[0])
        until(lambda: all(_knows(node, len(self.nodes)) for node in self.nodes), "the cluster is complete")
        return self

    def close(self) -> None:
        """End it for good."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()


def _knows(node: Redis, size: int) -> bool:
    """Whether a server can say for every slot which of ``size`` servers has it."""
    with node.client() as client:
        info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_size"]) == size
