"""The servers that workers stand on, private to a benchmark: RabbitMQ, Redis, PostgreSQL, and what they use."""

import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.services.postgres import Postgres, execute
from tests.services.processes import Server
from tests.services.rabbitmq import RabbitMQ
from tests.services.redis import Redis

DATABASES = ("catalog", "a", "b")
"""Of a site: its catalog and two shards."""

SETTINGS = {
    "synchronous_commit": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "max_locks_per_transaction": "256",
}
LOOK_SECONDS = 0.2
"""How often memory is looked at for its peak."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Used:
    """What some processes used: CPU seconds, user and system, and at most so many bytes of memory."""

    cpu: float = 0.0
    peak: int = 0


@dataclass
class Meter:
    """Measures families of processes by name, each known by its oldest, while it is ``running``."""

    groups: Mapping[str, int]
    used: dict[str, Used] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[dict[str, Used]]:
        """Measure for the length of the block; what is answered holds when it ends."""
        self.used = {name: Used() for name in self.groups}
        before = {name: cpu_of(family(pid)) for name, pid in self.groups.items()}
        over = threading.Event()
        looking = threading.Thread(target=self._look, args=(over,))
        looking.start()
        try:
            yield self.used
        finally:
            over.set()
            looking.join()
            for name, pid in self.groups.items():
                self.used[name].cpu = cpu_of(family(pid)) - before[name]

    def _look(self, over: threading.Event) -> None:
        while True:
            for name, pid in self.groups.items():
                self.used[name].peak = max(self.used[name].peak, memory_of(family(pid)))
            if over.wait(LOOK_SECONDS):
                return


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = ""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *(one for child in children.split() for one in family(int(child)))]


def cpu_of(pids: Sequence[int]) -> float:
    """CPU seconds so far of processes, and of those of their children that have ended."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / _TICKS


def memory_of(pids: Sequence[int]) -> int:
    """Bytes that processes have for themselves, and of what is shared the largest share, once."""
    own = shared = 0
    for pid in pids:
        with suppress(OSError):
            sizes = dict(re.findall(r"(\w+):\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()))
            own += int(sizes.get("RssAnon", 0))
            shared = max(shared, int(sizes.get("RssShmem", 0)))
    return (own + shared) * 1024


@contextmanager
def on_disk() -> Iterator[Path]:
    """A folder for servers that is on a disk, and open to those who run as somebody else.

    Tests have theirs in memory: there a commit waits for nothing.
    """
    with TemporaryDirectory(prefix="fms-bench-", dir="/var/tmp") as name:  # made by us, removed by us
        os.chmod(name, 0o755)  # noqa: PTH101, S103  # nothing in it is a secret
        yield Path(name)


class Servers:
    """The three, started for the length of a ``with`` block.

    Args:
        fsync: PostgreSQL's setting; without it a commit waits for no disk.

    Attributes:
        groups: for a ``Meter``: the servers' names and processes.
    """

    def __init__(self, *, fsync: bool) -> None:
        self._stack = ExitStack()
        folder = self._stack.enter_context(on_disk())
        self.rabbitmq = RabbitMQ(folder / "rabbitmq")
        self.redis = Redis(folder / "redis")
        self.postgres = Postgres(folder / "postgres", settings=SETTINGS | {"fsync": "on" if fsync else "off"})
        self._all: dict[str, Server] = {"rabbitmq": self.rabbitmq, "redis": self.redis, "postgresql": self.postgres}
        self.groups: dict[str, int] = {}
        self._host = self.rabbitmq.url

    def __enter__(self) -> Self:
        with self._stack as stack:
            self.groups = {name: stack.enter_context(server).pid for name, server in self._all.items()}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def database(self, name: str) -> str:
        """URL of one of ``DATABASES``."""
        return f"{self.postgres.url.rpartition('/')[0]}/{name}"

    def redis_url(self, number: int = 0) -> str:
        """URL of one of Redis' databases."""
        return f"{self.redis.url.rpartition('/')[0]}/{number}"

    def environment(self, data: Path) -> dict[str, str]:
        """Of the commands of the site on these servers."""
        return {
            "FMS_DATA": str(data),
            "FMS_BROKER_URL": self._host,
            "FMS_PRICE_BOOK_URL": self.redis_url(),
            "FMS_CATALOG_URL": self.database(DATABASES[0]),
        }

    def new_host(self) -> str:
        """URL of a new virtual host of the broker."""
        return self.rabbitmq.node.new_host()

    def drop_host(self, url: str) -> None:
        """Remove a virtual host."""
        self.rabbitmq.node.drop_host(url)

    def clear(self) -> None:
        """As if nobody had been here: no queues, no pages, no site, empty databases."""
        for name in DATABASES:
            self._do(f"DROP DATABASE IF EXISTS saved_{name}")
            self._do(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            self._do(f"CREATE DATABASE {name} TEMPLATE template0")
        self._forget()

    def save(self) -> None:
        """Keep the databases as they are now, for ``restore``, and with statistics as of a site that is at work."""
        for name in DATABASES:
            execute(self.database(name), "VACUUM (ANALYZE)")
            self._do(f"CREATE DATABASE saved_{name} TEMPLATE {name}")

    def restore(self) -> None:
        """The databases as they were saved; no queues, no pages."""
        for name in DATABASES:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")
            self._do(f"CREATE DATABASE {name} TEMPLATE saved_{name}")
        self._forget()

    def rest(self) -> None:
        """Have what was done before written down, so that it is not counted as part of what comes."""
        self._do("CHECKPOINT")

    def _forget(self) -> None:
        self.redis.flush()
        self.drop_host(self._host)
        self._host = self.new_host()
        self.rest()

    def _do(self, statement: str) -> None:
        execute(self.postgres.url, statement)

    def redis_memory(self) -> int:
        """Bytes that Redis has in use."""
        with self.redis.client() as client:
            return int(client.info("memory")["used_memory"])
