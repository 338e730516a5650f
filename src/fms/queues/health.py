"""How a broker does: its version, whether its queues are those of the settings, and whether it takes messages."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, AMQPError, AMQPHeartbeatTimeout, ChannelClosedByBroker

from fms.queues.connecting import LOST, meaning, parameters_of
from fms.queues.topology import Queue

_NOT_FOUND = 404


@dataclass
class BrokerHealth:
    """What a broker says, and what it does.

    Attributes:
        product, version: what it is.
        queues: queue → messages that wait, and consumers; of those that are there.
        missing: queues, and exchanges of theirs, that are not there.
        different: name → what it says of one that was declared otherwise.
        blocked: whether it takes no messages now, for want of memory or disk.
    """

    product: str
    version: str
    queues: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    different: dict[str, str] = field(default_factory=dict)
    blocked: bool = False


def examine(url: str, queues: Sequence[Queue], seconds: float) -> BrokerHealth:
    """Look at a broker and change nothing there.

    It has so many seconds to let us in, and as many for everything else. Raises Transient and Fatal as ``RabbitMQ``.
    """
    parameters = parameters_of(url, seconds)
    try:
        connection = pika.BlockingConnection(parameters)
        with _hurried(connection, seconds):
            return _Examination(connection).made(queues)
    except LOST as error:
        raise meaning(error, parameters) from error


@contextmanager
def _hurried(connection: pika.BlockingConnection, seconds: float) -> Iterator[None]:
    """Give a connection up after so many seconds, whatever it waits for then; close it at the end of the block."""
    late = AMQPHeartbeatTimeout(f"no answer for {seconds:g} s")
    inner = connection._impl  # noqa: SLF001  # the public timers come only once a call has returned
    inner.ioloop.call_later(seconds, partial(_give_up, connection, late))
    try:
        yield
    finally:
        with suppress(AMQPError, OSError):
            connection.close()


def _give_up(connection: pika.BlockingConnection, why: AMQPConnectionError) -> None:
    connection._impl._terminate_stream(why)  # noqa: SLF001  # as pika's own watch over heartbeats does


class _Examination:
    """One look at a broker over one connection."""

    def __init__(self, connection: pika.BlockingConnection) -> None:
        self._connection = connection
        inner = connection._impl  # noqa: SLF001  # no public name leads there, and public callbacks come too late
        inner.add_on_connection_blocked_callback(self._on_blocked)
        said = inner.server_properties
        self._found = BrokerHealth(str(said.get("product", "")), str(said.get("version", "")))
        self._channel: BlockingChannel | None = None

    def made(self, queues: Sequence[Queue]) -> BrokerHealth:
        """What is found."""
        for queue in queues:
            self._compare(queue.name, self._count, queue)
            if queue.exchange is not None:
                self._compare(f"exchange {queue.exchange}", _compare_exchange, queue)
        self._publish()
        return self._found

    def _compare(self, name: str, compare: Callable[[BlockingChannel, Queue], None], queue: Queue) -> None:
        try:
            compare(self._open(), queue)
        except ChannelClosedByBroker as error:
            if error.reply_code == _NOT_FOUND:
                self._found.missing.append(name)
            else:
                self._found.different[name] = error.reply_text

    def _count(self, channel: BlockingChannel, queue: Queue) -> None:
        # To declare it outright would make it, if it is not there.
        said = channel.queue_declare(queue.name, passive=True).method
        self._found.queues[queue.name] = said.message_count, said.consumer_count
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))

    def _publish(self) -> None:
        """A broker without room says so to those only who publish. The message is for nobody, and thrown away."""
        channel = self._open()
        channel.confirm_delivery()
        try:
            channel.basic_publish("", f"fms.doctor.{uuid4()}", b"")
        except AMQPError:
            if not self._found.blocked:
                raise

    def _on_blocked(self, *_: object) -> None:
        self._found.blocked = True
        # It reads nothing more that comes over this connection, not even a good-bye.
        _give_up(self._connection, AMQPConnectionError("blocked"))

    def _open(self) -> BlockingChannel:
        if self._channel is None or not self._channel.is_open:
            self._channel = self._connection.channel()
        return self._channel


def _compare_exchange(channel: BlockingChannel, queue: Queue) -> None:
    channel.exchange_declare(queue.exchange, passive=True)
    channel.exchange_declare(queue.exchange, "fanout", durable=True)
