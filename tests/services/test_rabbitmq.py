"""RabbitMQ for tests: a virtual host for each, and one that may be killed or run out of memory."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ConnectionBlockedTimeout

from tests.services.processes import until
from tests.services.rabbitmq import RabbitMQ

QUORUM = {"x-queue-type": "quorum"}
PERSISTENT = pika.BasicProperties(delivery_mode=2)


@contextmanager
def channel(url: str, **options: object) -> Iterator[BlockingChannel]:
    parameters = pika.URLParameters(url)
    for name, value in options.items():
        setattr(parameters, name, value)
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection.channel()
    finally:
        with suppress(AMQPError):
            connection.close()


def publish_for_ever(client: BlockingChannel) -> None:
    while True:
        client.basic_publish("", "nowhere", b"one")
        client.connection.process_data_events(0.1)


@pytest.mark.parametrize("turn", [1, 2])
def test_each_virtual_host_is_empty(broker_url: str, turn: int) -> None:
    with channel(broker_url) as client:
        assert client.queue_declare("waiting", durable=True).method.message_count == 0
        client.confirm_delivery()
        client.basic_publish("", "waiting", b"one")


def test_a_confirmed_message_of_a_quorum_queue_survives_a_kill(own_broker: RabbitMQ) -> None:
    with channel(own_broker.url) as client:
        client.queue_declare("waiting", durable=True, arguments=QUORUM)
        client.confirm_delivery()
        client.basic_publish("", "waiting", b"one", PERSISTENT, mandatory=True)
        own_broker.settle()
        own_broker.kill()
    own_broker.start()
    with channel(own_broker.url) as client:
        until(lambda: client.basic_get("waiting")[2] == b"one", "the message is there")


def test_publishers_are_blocked_as_long_as_the_alarm_lasts(own_broker: RabbitMQ) -> None:
    with channel(own_broker.url, blocked_connection_timeout=0.2) as client:
        own_broker.alarm(True)
        with pytest.raises(ConnectionBlockedTimeout):
            publish_for_ever(client)
    own_broker.alarm(False)
    with channel(own_broker.url) as client:
        client.confirm_delivery()
        client.queue_declare("waiting")
        client.basic_publish("", "waiting", b"one", mandatory=True)


def test_a_broker_of_ones_own_is_renewed_for_the_next_who_gets_it(own_broker: RabbitMQ) -> None:
    left = own_broker.url
    own_broker.alarm(True)
    own_broker.pause()
    own_broker.renew()
    assert own_broker.url != left
    with channel(own_broker.url) as client:
        client.confirm_delivery()
        client.queue_declare("waiting")
        client.basic_publish("", "waiting", b"one", mandatory=True)
    own_broker.kill()
    own_broker.renew()
    with channel(own_broker.url) as client, pytest.raises(AMQPError, match="NOT_FOUND"):
        client.queue_declare("waiting", passive=True)
