"""What every broker does, whatever its queues are made of."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fms.errors import Disconnected, Transient
from fms.ports import Broker, Delivery
from fms.queues.memory import MemoryBroker, MemoryQueues
from fms.queues.rabbitmq import Consuming, RabbitMQ
from fms.queues.topology import FARES, QueueRules, dead_letters_of, queue_of, topology

ONE, TWO, DEAD = queue_of(FARES, 1), queue_of(FARES, 2), dead_letters_of(FARES)
LIMIT = 5

Open = Callable[..., Broker]


@pytest.fixture(params=["memory", "quorum", "classic"])
def opened(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens connections to the same queues, each consuming those named."""
    with ExitStack() as stack:
        if request.param == "memory":
            queues = MemoryQueues(LIMIT)
            yield lambda *consume: MemoryBroker(queues, consume)
            return
        url: str = request.getfixturevalue("broker_url")
        declared = [one for one in topology(QueueRules(request.param, most=LIMIT)) if one.name in (ONE, TWO, DEAD)]

        def connect(*consume: str) -> RabbitMQ:
            broker = RabbitMQ(url, declared, Consuming(consume, name=request.node.name[:40]))
            stack.callback(broker.close)
            return broker

        yield connect


def taken(broker: Broker, seconds: float = 10.0) -> Delivery:
    delivery = broker.next(seconds)
    assert delivery is not None
    return delivery


def cut(broker: Broker) -> None:
    """Lose the connection as a crash does."""
    if isinstance(broker, MemoryBroker):
        broker.cut()
    else:
        assert isinstance(broker, RabbitMQ)
        broker.close()


def wait_for_depth(broker: Broker, queue: str, depth: int) -> None:
    for _ in range(200):
        if broker.depth([queue]) == depth:
            return
        broker.wait(0.05)
    assert broker.depth([queue]) == depth


def test_a_message_comes_as_it_was_published(opened: Open) -> None:
    opened().publish(ONE, b"body", {"fms.kind": "fare", "fms.version": 1})
    delivery = taken(opened(ONE))
    assert (delivery.queue, delivery.body) == (ONE, b"body")
    assert {name: delivery.headers[name] for name in ("fms.kind", "fms.version")} == {
        "fms.kind": "fare", "fms.version": 1
    }  # fmt: skip


def test_messages_of_a_queue_come_in_their_order(opened: Open) -> None:
    publisher, consumer = opened(), opened(ONE, TWO)
    for number in range(4):
        publisher.publish(ONE, f"one {number}".encode(), {})
        publisher.publish(TWO, f"two {number}".encode(), {})
    bodies: list[str] = []
    for _ in range(8):
        delivery = taken(consumer)
        bodies.append(delivery.body.decode())
        consumer.acknowledge(delivery)
    for name in ("one", "two"):
        assert [body for body in bodies if body.startswith(name)] == [f"{name} {number}" for number in range(4)]


def test_an_empty_queue_answers_nothing(opened: Open) -> None:
    assert opened(ONE).next(0.05) is None


def test_what_is_acknowledged_does_not_come_again(opened: Open) -> None:
    opened().publish(ONE, b"once", {})
    first = opened(ONE)
    first.acknowledge(taken(first))
    cut(first)
    assert opened(ONE).next(0.3) is None


def test_what_is_not_acknowledged_comes_again_in_its_order(opened: Open) -> None:
    publisher, first = opened(), opened(ONE)
    for body in (b"1", b"2", b"3"):
        publisher.publish(ONE, body, {})
    first.acknowledge(taken(first))
    taken(first)
    cut(first)
    second = opened(ONE)
    bodies = []
    for _ in range(2):
        delivery = taken(second)
        bodies.append(delivery.body)
        second.acknowledge(delivery)
    assert bodies == [b"2", b"3"]


def test_a_message_whose_connection_is_lost_cannot_be_acknowledged(opened: Open) -> None:
    opened().publish(ONE, b"body", {})
    broker = opened(ONE)
    delivery = taken(broker)
    cut(broker)
    with pytest.raises(Disconnected):
        broker.acknowledge(delivery)
    assert taken(broker).body == b"body"


def test_one_consumer_of_a_queue_gets_its_messages_until_its_connection_is_lost(opened: Open) -> None:
    first, second, publisher = opened(ONE), opened(ONE), opened()
    assert first.next(0.1) is None
    assert second.next(0.1) is None
    for body in (b"1", b"2"):
        publisher.publish(ONE, body, {})
    assert taken(first).body == b"1"
    assert second.next(0.3) is None
    cut(first)
    for body in (b"1", b"2"):
        delivery = taken(second)
        assert delivery.body == body
        second.acknowledge(delivery)


def test_the_depth_counts_what_waits_in_all_queues_asked_for(opened: Open) -> None:
    broker = opened()
    for queue, count in ((ONE, 2), (TWO, 1)):
        for _ in range(count):
            broker.publish(queue, b"", {})
    wait_for_depth(broker, ONE, 2)
    wait_for_depth(broker, TWO, 1)
    assert broker.depth([ONE, TWO]) == 3
    assert broker.depth([]) == 0


def accepted_of(broker: Broker, queue: str, count: int) -> int:
    """How many messages a queue takes before it refuses one."""
    for number in range(count):
        try:
            broker.publish(queue, b"", {})
        except Transient:
            return number
    return count


def test_a_full_queue_refuses_and_loses_nothing(opened: Open) -> None:
    broker = opened()
    # A quorum queue counts a little late.
    accepted = accepted_of(broker, ONE, 4 * LIMIT)
    assert LIMIT <= accepted < 4 * LIMIT
    wait_for_depth(broker, ONE, accepted)
    broker.publish(TWO, b"", {})
