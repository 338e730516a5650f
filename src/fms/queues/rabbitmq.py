"""RabbitMQ through pika: one connection, one channel, one thread. Nothing is published that is not confirmed.

A connection that is lost is made again by the next call, with its topology and consumers. Whatever was taken by then
and not acknowledged comes again.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import SHUT_WR
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    NackError,
    UnroutableError,
)

from fms.errors import Disconnected, Fatal, Transient
from fms.ports import Delivery, Headers
from fms.queues.connecting import LOST, meaning, parameters_of
from fms.queues.topology import Queue, claim_of, delay_of

TICK_SECONDS = 0.25
SETTLE_SECONDS = 1.5
"""How long new queues are left alone: RabbitMQ 3.10 forgets a quorum queue, with what it confirmed, when it is killed
within half a second of its declaration."""

HANG_UP_SECONDS = 2.0
CLAIM_SECONDS = 1.0
"""How often to look whether a queue that somebody else has is free."""


_PERSISTENT = 2
_RESOURCE_LOCKED, _NOT_FOUND = 405, 404


@dataclass(frozen=True)
class _Receipt:
    """A delivery tag, and the channel on which alone it means something."""

    channel: BlockingChannel
    tag: int


@dataclass(frozen=True)
class Consuming:
    """What a connection takes messages from.

    Attributes:
        queues: their names.
        prefetch: messages of each queue that may be here before they are acknowledged.
        name: the consumer's, for people who look at the broker.
        claimed: whether to take a queue only while no other connection does, by a claim of our own. For queues that
            the broker gives to several consumers at once.
    """

    queues: Sequence[str] = ()
    prefetch: int = 2
    name: str = "fms"
    claimed: bool = False


class RabbitMQ:
    """A ``Broker``. Nothing is connected before the first call.

    Args:
        url: ``amqp://user:password@host:port/vhost``, or ``amqps://``.
        topology: declared on every connection.
        consuming: what ``next`` takes messages from.
        tick: called four times a second while any method waits, also for a broker that takes nothing; it must not
            call back here.

    Attributes:
        blocked: whether the broker takes no messages now, for want of memory or disk.
        connections: how many were made.

    Every method raises Transient if the broker is away, and Fatal if it does not let us in or its queues are others.
    """

    def __init__(
        self,
        url: str,
        topology: Sequence[Queue],
        consuming: Consuming | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._tick = tick
        self._parameters = parameters_of(url)
        self._topology = topology
        self._consuming = consuming or Consuming()
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._taken: deque[Delivery] = deque()
        self._cancelled: str | None = None
        self._unclaimed: list[str] = []
        self._look_again = 0.0
        self.blocked = False
        self.connections = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._channel is not None and self._channel.is_open and self._cancelled is None

    def connect(self) -> None:
        """Connect now, and declare the topology."""
        with self._translated():
            self._ready()

    def publish(self, queue: str, body: bytes, headers: Headers, after: int = 0) -> None:
        """See ``Broker``. Also raises Transient if the queue is full, or not there: it is then declared again."""
        exchange = delay_of(after) if after else ""
        properties = pika.BasicProperties(
            content_type="application/vnd.apache.arrow.stream",
            delivery_mode=_PERSISTENT,
            headers=dict(headers),
            message_id=str(headers.get("fms.batch", "")) or None,
        )
        with self._translated():
            channel = self._ready()
            try:
                channel.basic_publish(exchange, queue, body, properties, mandatory=True)
            except UnroutableError:
                self._declare(channel)
                raise Transient(f"queue {queue} was not there; it is declared again") from None
            except NackError:
                raise Transient(f"queue {queue} takes no more messages") from None

    def next(self, seconds: float) -> Delivery | None:
        """See ``Broker``."""
        with self._translated():
            channel = self._ready()
            if self._unclaimed and time.monotonic() >= self._look_again:
                self._begin_consuming(channel)
            if not self._taken:
                self._serve(seconds)
        return self._taken.popleft() if self._taken else None

    def acknowledge(self, delivery: Delivery) -> None:
        """See ``Broker``."""
        receipt: _Receipt = delivery.receipt
        if self._channel is None or receipt.channel is not self._channel:
            raise Disconnected("the connection that brought the message is lost")
        with self._translated():
            self._channel.basic_ack(receipt.tag)

    def wait(self, seconds: float) -> None:
        """See ``Broker``. Without a connection it just waits."""
        if self._connection is None:
            time.sleep(seconds)
            return
        with self._translated():
            self._serve(seconds)

    def depth(self, queues: Sequence[str]) -> int:
        """See ``Broker``."""
        return sum(self.look(name)[0] for name in queues)

    def look(self, queue: str) -> tuple[int, int]:
        """How many messages wait in a queue, and how many consumers it has."""
        with self._translated():
            found = self._ready().queue_declare(queue, passive=True).method
            return found.message_count, found.consumer_count

    def purge(self, queue: str) -> int:
        """Throw away what waits in a queue; answers how many messages that were."""
        with self._translated():
            return int(self._ready().queue_purge(queue).method.message_count)

    def close(self) -> None:
        """Give back what was taken and close; never raises."""
        with suppress(AMQPError, OSError):
            if self._connection is not None and self._connection.is_open:
                if self._consuming.queues:
                    _hang_up(self._connection)
                else:
                    self._connection.close()
        self._forget()

    def _ready(self) -> BlockingChannel:
        if self._cancelled is not None:
            lost, self._cancelled = self._cancelled, None
            self.close()
            raise Disconnected(f"queue {lost} was deleted or moved: it is declared again")
        if self._channel is None or not self._channel.is_open:
            self._connect()
        assert self._channel is not None  # noqa: S101  # made by the line above
        return self._channel

    def _connect(self) -> None:
        self.close()
        self._connection = pika.BlockingConnection(self._parameters)
        # The public callbacks and timers come only once a call has returned, and a blocked one does not for long.
        inner = self._connection._impl  # noqa: SLF001
        inner.add_on_connection_blocked_callback(lambda *_: self._set_blocked(blocked=True))
        inner.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(blocked=False))
        self._keep_ticking(inner.ioloop)
        channel = self._connection.channel()
        channel.confirm_delivery()
        new = self._is_new()
        self._declare(channel)
        if new:
            self._connection.sleep(SETTLE_SECONDS)
        channel.add_on_cancel_callback(self._on_cancel)
        channel.basic_qos(prefetch_count=self._consuming.prefetch)
        self._channel = channel
        self._unclaimed = list(self._consuming.queues)
        self._begin_consuming(channel)
        self.connections += 1

    def _begin_consuming(self, channel: BlockingChannel) -> None:
        """Consume the queues that are not consumed yet, as far as nobody else has them."""
        self._look_again = time.monotonic() + CLAIM_SECONDS
        free = [name for name in self._unclaimed if not self._consuming.claimed or self._claim(name)]
        self._unclaimed = [name for name in self._unclaimed if name not in free]
        for name in free:
            channel.basic_consume(name, self._taker(name), consumer_tag=f"{self._consuming.name}-{name}")

    def _claim(self, name: str) -> bool:
        """An exclusive queue belongs to one connection, and goes with it: whoever has it may take from the other."""
        assert self._connection is not None  # noqa: S101  # the channel is open
        with self._connection.channel() as channel:
            try:
                channel.queue_declare(claim_of(name), exclusive=True)
            except ChannelClosedByBroker as error:
                if error.reply_code != _RESOURCE_LOCKED:
                    raise
                return False
        return True

    def _keep_ticking(self, loop: Any) -> None:
        self._tick()
        loop.call_later(TICK_SECONDS, lambda: self._keep_ticking(loop))

    def _is_new(self) -> bool:
        """Whether the last queue of the topology is not there yet."""
        if not self._topology:
            return False
        assert self._connection is not None  # noqa: S101  # it was just made
        with self._connection.channel() as channel:
            try:
                channel.queue_declare(self._topology[-1].name, passive=True)
            except ChannelClosedByBroker as error:
                if error.reply_code != _NOT_FOUND:
                    raise
                return True
        return False

    def _declare(self, channel: BlockingChannel) -> None:
        for queue in self._topology:
            channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
            if queue.exchange is not None:
                channel.exchange_declare(queue.exchange, "fanout", durable=True)
                channel.queue_bind(queue.name, queue.exchange)

    def _taker(self, name: str) -> Callable[..., None]:
        def take(channel: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
            self._taken.append(Delivery(name, body, properties.headers or {}, _Receipt(channel, method.delivery_tag)))

        return take

    def _on_cancel(self, method: Any) -> None:
        self._cancelled = str(method.method.consumer_tag).removeprefix(f"{self._consuming.name}-")

    def _set_blocked(self, *, blocked: bool) -> None:
        self.blocked = blocked

    def _serve(self, seconds: float) -> None:
        if self._connection is None or not self._connection.is_open:
            raise Disconnected("there is no connection to the broker")
        self._connection.process_data_events(time_limit=seconds)

    def _forget(self) -> None:
        self._connection = self._channel = None
        self._taken.clear()
        self._cancelled = None
        self.blocked = False

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (Transient, Fatal):
            raise
        except LOST as error:
            self.close()
            raise meaning(error, self._parameters) from error


def _hang_up(connection: pika.BlockingConnection) -> None:
    """End a connection as a crash does.

    A consumer that says good-bye is replaced before its messages are back in the queue: the next one would get those
    behind them first (seen with RabbitMQ 3.10, quorum queues with a single active consumer). One that hangs up is not.
    """
    connection._impl._transport._sock.shutdown(SHUT_WR)  # noqa: SLF001  # pika only offers good-byes
    # The broker hangs up in turn, which raises; what it sent before has to be read, or it would not hear our last word.
    end = time.monotonic() + HANG_UP_SECONDS
    while connection.is_open and time.monotonic() < end:
        connection.process_data_events(time_limit=0.1)
