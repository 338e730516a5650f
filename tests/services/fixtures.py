"""Fixtures of real servers: such that tests share, each with a place of its own there, and such that a test may kill.

A server is started when the first test asks for it. Whoever kills, pauses or restarts one takes an ``own_…``.
"""

import os
from collections.abc import Iterator
from itertools import cycle

import pytest
from redis import Redis as Client

from tests.services.postgres import Databases, Postgres
from tests.services.rabbitmq import Node, RabbitMQ
from tests.services.redis import DATABASES, Redis, RedisCluster
from tests.services.shared import Shared, needed, worker

WORKERS = 16
"""At most so many processes of one run share a Redis server."""


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The run's own servers."""
    mine = tmp_path_factory.getbasetemp()
    return Shared(mine, os.getpid()) if worker() is None else Shared(mine.parent, os.getppid())


@pytest.fixture
def postgres(shared_servers: Shared) -> Iterator[Databases]:
    """``postgres.new_database()`` is the URL of an empty PostgreSQL database, which goes when the test ends."""
    databases = Databases(shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url))
    yield databases
    databases.drop()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of the test's own, to be killed or paused; it has ``new_database()`` too."""
    with needed(Postgres) as server:
        yield server


@pytest.fixture(scope="session")
def database_numbers() -> Iterator[int]:
    """Numbers of Redis databases that no other process of the run has; one comes again only after all others."""
    return cycle(range(1 + (worker() or 0) % WORKERS, DATABASES, WORKERS))


@pytest.fixture
def redis_url(shared_servers: Shared, database_numbers: Iterator[int]) -> str:
    """URL of an empty database on a Redis server that other tests use too."""
    server = shared_servers.place("redis", lambda owner: Redis(owner=owner).start().url)
    url = f"{server.rpartition('/')[0]}/{next(database_numbers)}"
    with Client.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A Redis server of the test's own, to be killed, paused or sent back in time; an orderly stop saves."""
    with needed(lambda: Redis(save=True)) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A Redis Cluster of this process's own."""
    with needed(RedisCluster) as cluster:
        yield cluster


@pytest.fixture
def redis_cluster_url(redis_cluster: RedisCluster) -> str:
    """URL of an empty Redis Cluster."""
    redis_cluster.flush()
    return redis_cluster.url


@pytest.fixture
def broker_node(shared_servers: Shared) -> Node:
    """The RabbitMQ server that tests share."""
    return Node.read(shared_servers.place("rabbitmq", lambda owner: RabbitMQ(owner=owner).start().node.written()))


@pytest.fixture
def broker_url(broker_node: Node, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty virtual host on a RabbitMQ server that other tests use too."""
    # Nobody kills this one: in this process who declares queues need not wait until they would survive that.
    monkeypatch.setattr("fms.queues.rabbitmq.SETTLE_SECONDS", 0)
    url = broker_node.new_host()
    yield url
    broker_node.drop_host(url)


@pytest.fixture(scope="session")
def restartable_broker() -> Iterator[RabbitMQ]:
    """A RabbitMQ server of this process's own: starting it takes too long for each test to have another."""
    with needed(RabbitMQ) as server:
        yield server


@pytest.fixture
def own_broker(restartable_broker: RabbitMQ) -> RabbitMQ:
    """A RabbitMQ server that no other test uses meanwhile, to be killed or paused, with an empty virtual host."""
    restartable_broker.renew()
    return restartable_broker
