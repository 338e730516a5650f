"""Queues on a RabbitMQ that is killed, paused, out of memory, or meddled with."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from threading import Thread

import pika
import pytest

from fms.errors import Disconnected, Fatal, Transient
from fms.model.clock import system_clock
from fms.ports import Delivery, Headers
from fms.queues.admin import BURIED_AT, CAME_FROM, REASON, expire, known, retry, status
from fms.queues.rabbitmq import Consuming, RabbitMQ
from fms.queues.topology import (
    CHANGES,
    DELAYS,
    FARES,
    OUTBOX,
    Queue,
    QueueRules,
    dead_letters_of,
    delay_of,
    queue_of,
    topology,
)
from fms.runtime.deadletters import DeadLetters
from tests.services.rabbitmq import RabbitMQ as Server

ONE, DEAD = queue_of(FARES, 1), dead_letters_of(FARES)
Connect = Callable[..., RabbitMQ]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def connect(broker_url: str, stack: ExitStack) -> Connect:
    return connecting(broker_url, stack)


@pytest.fixture
def connect_own(own_broker: Server, stack: ExitStack) -> Connect:
    return connecting(own_broker.url, stack)


def few(rules: QueueRules) -> list[Queue]:
    """The queues that these tests need: to declare all takes a while."""
    wanted = {ONE, DEAD, queue_of(CHANGES, 3), queue_of(OUTBOX, 7), delay_of(DELAYS[0])}
    return [queue for queue in topology(rules) if queue.name in wanted]


def connecting(url: str, stack: ExitStack) -> Connect:
    def connect(*consume: str, rules: QueueRules | None = None, claimed: bool = False) -> RabbitMQ:
        broker = RabbitMQ(url, few(rules or QueueRules()), Consuming(consume, claimed=claimed))
        stack.callback(broker.close)
        return broker

    return connect


def delete(url: str, queue: str) -> None:
    """Delete a queue behind everybody's back."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_delete(queue)


def sure(broker: RabbitMQ, queue: str, body: bytes, headers: Headers | None = None) -> None:
    """Publish, however often that takes."""
    for _ in range(200):
        try:
            broker.publish(queue, body, headers or {})
        except Transient:
            broker.wait(0.1)
        else:
            return
    raise AssertionError("never published")


def taken(broker: RabbitMQ) -> Delivery:
    for _ in range(200):
        try:
            if (delivery := broker.next(0.5)) is not None:
                return delivery
        except Transient:
            broker.wait(0.1)
    raise AssertionError("nothing came")


def all_of(broker: RabbitMQ, idle: int = 4) -> list[bytes]:
    """What comes, until nothing came so many times."""
    bodies = []
    while idle:
        if (delivery := broker.next(0.25)) is None:
            idle -= 1
        else:
            bodies.append(delivery.body)
            broker.acknowledge(delivery)
    return bodies


def test_what_was_confirmed_survives_a_killed_broker(own_broker: Server, connect_own: Connect) -> None:
    publisher = connect_own()
    for number in range(20):
        sure(publisher, ONE, b"%d" % number)
    own_broker.kill()
    with pytest.raises(Disconnected):
        publisher.publish(ONE, b"lost", {})
    own_broker.restart()
    sure(publisher, ONE, b"20")
    consumer = connect_own(ONE)
    assert taken(consumer).body == b"0"
    assert [*all_of(consumer)] == [b"%d" % number for number in range(1, 21)]


def test_a_consumer_finds_its_queue_again_after_a_restart(own_broker: Server, connect_own: Connect) -> None:
    consumer = connect_own(ONE)
    sure(connect_own(), ONE, b"before")
    held = taken(consumer)
    own_broker.kill()
    own_broker.restart()
    with pytest.raises(Transient):
        consumer.acknowledge(held)
    again = taken(consumer)
    assert again.body == b"before"
    consumer.acknowledge(again)
    assert consumer.connections == 2


def test_a_publisher_waits_while_the_broker_is_short_of_memory(own_broker: Server, connect_own: Connect) -> None:
    publisher, consumer = connect_own(), connect_own(ONE)
    sure(publisher, ONE, b"before")
    consumer.acknowledge(taken(consumer))
    own_broker.alarm(on=True)
    writing = Thread(target=publisher.publish, args=(ONE, b"meanwhile", {}))
    writing.start()
    for _ in range(100):
        assert consumer.next(0.1) is None
        if publisher.blocked:
            break
    assert publisher.blocked
    assert writing.is_alive()
    own_broker.alarm(on=False)
    assert taken(consumer).body == b"meanwhile"
    writing.join(20)
    assert not writing.is_alive()
    assert not publisher.blocked


def test_a_queue_deleted_under_its_consumer_is_declared_again(broker_url: str, connect: Connect) -> None:
    consumer = connect(ONE)
    assert consumer.next(0.1) is None
    delete(broker_url, ONE)
    with pytest.raises(Disconnected, match=r"was deleted|NOT_FOUND"):
        all_of(consumer, idle=50)
    assert consumer.next(0.1) is None
    sure(connect(), ONE, b"after")
    assert taken(consumer).body == b"after"


def test_a_queue_that_is_not_there_is_declared_again_by_its_publisher(broker_url: str, connect: Connect) -> None:
    publisher = connect()
    publisher.connect()
    delete(broker_url, ONE)
    with pytest.raises(Transient, match="declared again"):
        publisher.publish(ONE, b"first", {})
    publisher.publish(ONE, b"second", {})
    assert all_of(connect(ONE)) == [b"second"]


def test_a_message_that_is_never_finished_becomes_a_dead_letter(connect: Connect) -> None:
    rules = QueueRules(deliveries=3)
    connect(rules=rules).publish(ONE, b"poison", {"fms.batch": "x"})
    for _ in range(4):
        consumer = connect(ONE, rules=rules)
        assert taken(consumer).body == b"poison"
        consumer.close()
    dead = taken(connect(DEAD, rules=rules))
    assert dead.body == b"poison"
    assert "delivery_limit" in str(dead.headers["x-death"])


def test_dead_letters_say_why_and_come_back_when_they_are_retried(connect: Connect) -> None:
    connect().publish(ONE, b"odd", {"fms.batch": "x"})
    consumer = connect(ONE)
    DeadLetters(consumer, FARES, 10, lambda: 123).bury(taken(consumer), "no batch in it")
    assert consumer.next(0.3) is None
    dead = connect(DEAD)
    found = taken(dead)
    assert {name: found.headers[name] for name in (REASON, CAME_FROM, BURIED_AT)} == {
        REASON: "no batch in it", CAME_FROM: ONE, BURIED_AT: 123
    }  # fmt: skip
    dead.close()
    assert retry(connect(DEAD), system_clock) == 1
    back = taken(consumer)
    assert (back.body, back.headers["fms.batch"]) == (b"odd", "x")
    assert REASON not in back.headers


def test_whoever_buries_more_than_the_limit_stops_and_leaves_the_rest(connect: Connect) -> None:
    publisher, consumer = connect(), connect(ONE)
    for number in range(4):
        publisher.publish(ONE, b"%d" % number, {})
    dead = DeadLetters(consumer, FARES, 2, system_clock)
    for _ in range(2):
        dead.bury(taken(consumer), "odd")
    with pytest.raises(Fatal, match="dead_letter_limit"):
        dead.bury(taken(consumer), "odd")
    consumer.close()
    assert all_of(connect(ONE)) == [b"2", b"3"]


def test_a_message_put_off_comes_back_to_its_own_queue(connect: Connect) -> None:
    queue = queue_of(OUTBOX, 7)
    publisher, consumer = connect(), connect(queue)
    assert consumer.next(0.1) is None
    publisher.publish(queue, b"later", {"fms.batch": "x"}, after=DELAYS[0])
    assert publisher.depth([delay_of(DELAYS[0]), queue]) == 1
    found = taken(consumer)
    assert (found.queue, found.body, found.headers["fms.batch"]) == (queue, b"later", "x")


def test_one_consumer_of_a_queue_is_active_and_the_next_takes_over(connect: Connect) -> None:
    first, second, publisher = connect(ONE), connect(ONE), connect()
    assert first.next(0.1) is None
    assert second.next(0.1) is None
    publisher.publish(ONE, b"1", {})
    assert taken(first).body == b"1"
    publisher.publish(ONE, b"2", {})
    assert second.next(0.5) is None
    first.close()
    assert all_of(second) == [b"1", b"2"]


def test_without_a_single_active_consumer_one_claims_the_queue_and_the_next_takes_over(connect: Connect) -> None:
    rules = QueueRules(single=False)
    first, second = (connect(ONE, rules=rules, claimed=True) for _ in range(2))
    publisher = connect(rules=rules)
    assert first.next(0.1) is None
    for body in (b"1", b"2", b"3"):
        publisher.publish(ONE, body, {})
    assert taken(first).body == b"1"
    assert second.next(1.5) is None
    first.close()
    assert [taken(second).body, *all_of(second)] == [b"1", b"2", b"3"]


def test_without_a_claim_several_consumers_would_take_from_a_queue_at_once(connect: Connect) -> None:
    rules = QueueRules(single=False)
    first, second = (connect(ONE, rules=rules) for _ in range(2))
    publisher = connect(rules=rules)
    assert first.next(0.1) is None
    assert second.next(0.1) is None
    for body in (b"1", b"2", b"3", b"4"):
        publisher.publish(ONE, body, {})
    assert taken(first).body != taken(second).body


def test_whoever_was_cut_off_hears_of_it_when_it_asks_and_does_not_just_connect_again(connect: Connect) -> None:
    consumer = connect(ONE)
    connect().publish(ONE, b"1", {})
    assert taken(consumer).body == b"1"
    assert consumer._connection is not None
    consumer._connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Disconnected):
        consumer.depth([ONE])
    assert taken(consumer).body == b"1"


def test_a_consumer_that_says_good_bye_would_be_overtaken_by_what_is_behind_it(connect: Connect) -> None:
    first, second, publisher = connect(ONE), connect(ONE), connect()
    assert first.next(0.1) is None
    assert second.next(0.1) is None
    publisher.publish(ONE, b"1", {})
    assert taken(first).body == b"1"
    publisher.publish(ONE, b"2", {})
    assert first._connection is not None
    first._connection.close()
    bodies = all_of(second)
    assert sorted(bodies) == [b"1", b"2"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("guest:guest", "guest:wrong"), "does not let us in"),
        (("amqp://", "http://"), "amqp:// or amqps:// wanted"),
    ],
)
def test_a_broker_that_cannot_be_used_is_refused_in_one_line(
    broker_url: str, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(Fatal, match=words) as caught:
        RabbitMQ(broker_url.replace(*change), topology(QueueRules())).connect()
    assert "\n" not in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_a_host_that_is_not_there_is_refused(broker_url: str) -> None:
    with pytest.raises(Fatal, match=r"does not let us in|not found|no access|NOT_ALLOWED"):
        RabbitMQ(f"{broker_url}-not-there", topology(QueueRules())).connect()


def test_a_broker_that_does_not_answer_is_a_passing_trouble() -> None:
    with pytest.raises(Disconnected, match=r"127\.0\.0\.1:1 is away: .*refused"):
        RabbitMQ("amqp://guest:guest@127.0.0.1:1/", ()).connect()


def test_queues_declared_otherwise_are_refused(connect: Connect) -> None:
    connect().connect()
    with pytest.raises(Fatal, match="inequivalent arg"):
        connect(rules=QueueRules("classic")).connect()


def test_the_status_shows_depth_rate_and_consumers(connect: Connect) -> None:
    publisher, consumer = connect(), connect(queue_of(CHANGES, 3))
    assert consumer.next(0.1) is None
    for _ in range(3):
        publisher.publish(ONE, b"", {})
    found = {one.queue: one for one in status(publisher, few(QueueRules()), 0.2)}
    assert (found[ONE].waiting, found[ONE].consumers) == (3, 0)
    assert found[queue_of(CHANGES, 3)].consumers == 1
    assert publisher.purge(known(few(QueueRules()), ONE)) == 3
    assert publisher.depth([ONE]) == 0


def test_dead_letters_are_thrown_away_when_they_are_old_and_not_before(connect: Connect) -> None:
    for at in (100, 200, 300):
        connect().publish(DEAD, b"%d" % at, {BURIED_AT: at, "fms.at": 1})
    for count in (2, 0):
        with closing(connect(DEAD)) as broker:
            assert expire(broker, before=250) == count
    assert all_of(connect(DEAD)) == [b"300"]


def test_a_dead_letter_that_does_not_say_when_is_kept(connect: Connect) -> None:
    connect().publish(DEAD, b"whenever", {})
    with closing(connect(DEAD)) as broker:
        assert expire(broker, before=1 << 60) == 0
    assert all_of(connect(DEAD)) == [b"whenever"]
