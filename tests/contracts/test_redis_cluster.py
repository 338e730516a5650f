"""The price book on a real Redis Cluster whose slots move and whose nodes die."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from redis.crc import key_slot

from fms.errors import Transient
from fms.pricebook.redis import RedisPageStore
from fms.pricebook.redis.keys import Names
from tests.contracts.redis_tools import HERE, KEY, fare, see
from tests.services.processes import until
from tests.services.redis import SLOTS, Redis, RedisCluster
from tests.services.shared import needed


def slots_of(partitions: Iterable[int]) -> set[int]:
    return {key_slot(Names("px", partition).version.encode()) for partition in partitions}


def test_a_partition_is_one_slot_of_a_cluster_and_all_are_spread(
    redis_cluster: RedisCluster, redis_cluster_url: str
) -> None:
    assert len(slots_of(range(16))) == 16
    with RedisPageStore(redis_cluster_url) as store:
        for partition in range(16):
            version, _ = store.get(partition, [])
            assert store.put(partition, version, {}, {}, partition + 1)
        assert store.newest() == 16
    assert all(keys_in(node) for node in redis_cluster.nodes)


def keys_in(node: Redis) -> int:
    with node.client() as client:
        found = client.dbsize()
        assert isinstance(found, int)
        return found


def test_a_slot_that_moves_to_another_node_is_followed(redis_cluster: RedisCluster, redis_cluster_url: str) -> None:
    with RedisPageStore(redis_cluster_url) as store, ExitStack() as stack:
        clients = [stack.enter_context(node.client()) for node in redis_cluster.nodes]
        (slot,), before = slots_of([HERE]), store.get(HERE, [])[0]
        owner = owner_of(slot, clients)
        give(clients, slot, owner - 1)
        try:
            with pytest.raises(Transient):
                store.get(HERE, [])
            after, _ = store.get(HERE, [])
            assert after.incarnation != before.incarnation
            assert see(store, fare(100)) == [("opened", 0, None), ("first_seen", 100, None)]
            assert list(store.keys()) == [KEY]
        finally:
            redis_cluster.flush()
            give(clients, slot, owner)


def owner_of(slot: int, clients: Sequence[Any]) -> int:
    """Which node has a slot."""
    ends = [SLOTS * (number + 1) // len(clients) for number in range(len(clients))]
    return next(number for number, end in enumerate(ends) if slot < end)


def give(clients: Sequence[Any], slot: int, node: int) -> None:
    """Let one node have a slot that is empty."""
    name = clients[node].execute_command("CLUSTER MYID")
    for client in clients:
        client.execute_command("CLUSTER SETSLOT", slot, "NODE", name)


def test_a_cluster_goes_on_when_a_node_that_died_is_back() -> None:
    with needed(RedisCluster) as cluster, RedisPageStore(cluster.url) as store:
        see(store, fare(100))
        (slot,) = slots_of([HERE])
        node = cluster.nodes[owner_of(slot, cluster.nodes)]
        node.kill()
        with pytest.raises(Transient):
            store.get(HERE, [KEY])
        node.start()
        until(lambda: answers(store), "the cluster has the partition again")
        assert see(store, fare(100, 1)) == [("opened", 0, None), ("first_seen", 100, None)]


def answers(store: RedisPageStore) -> bool:
    try:
        store.get(HERE, [])
    except Transient:
        return False
    return True
