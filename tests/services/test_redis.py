"""Redis for tests: a database for each, one that may be killed or sent back in time, and a cluster."""

import pytest
from redis import Redis as Client
from redis.cluster import RedisCluster as ClusterClient

from tests.services.redis import Redis
from tests.services.shared import needed


@pytest.mark.parametrize("turn", [1, 2])
def test_each_database_is_empty(redis_url: str, turn: int) -> None:
    with Client.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("turn", turn)


def known(server: Redis) -> object:
    with server.client() as client:
        return client.get("name")


def learn(server: Redis, name: str) -> None:
    with server.client() as client:
        client.set("name", name)


def test_an_orderly_restart_keeps_everything_and_a_kill_what_was_saved(own_redis: Redis) -> None:
    learn(own_redis, "first")
    own_redis.restart()
    assert known(own_redis) == b"first"
    learn(own_redis, "second")
    own_redis.kill()
    own_redis.start()
    assert known(own_redis) == b"first"


def test_a_server_can_be_sent_back_in_time(own_redis: Redis) -> None:
    learn(own_redis, "first")
    earlier = own_redis.save()
    learn(own_redis, "second")
    later = own_redis.save()
    own_redis.restore(earlier)
    assert known(own_redis) == b"first"
    own_redis.restore(later)
    assert known(own_redis) == b"second"
    own_redis.flush()
    assert known(own_redis) is None


def test_a_server_without_a_dump_forgets_everything_when_it_ends() -> None:
    with needed(Redis) as server:
        learn(server, "first")
        server.restart()
        assert known(server) is None


@pytest.mark.parametrize("turn", [1, 2])
def test_the_cluster_is_empty_and_spreads_its_keys(redis_cluster_url: str, turn: int) -> None:
    with ClusterClient.from_url(redis_cluster_url) as client:
        assert client.dbsize(target_nodes=ClusterClient.PRIMARIES) == 0
        for number in range(16):
            client.set(f"px:{{{number:02}}}:turn", turn)
        assert len({client.get_node_from_key(f"px:{{{number:02}}}:turn") for number in range(16)}) == 3
