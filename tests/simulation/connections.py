"""The broker of a simulated life: queues in memory, and connections to them that may be lost at any time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fms.errors import Disconnected, Transient
from fms.ports import Delivery, Headers
from fms.queues.memory import MemoryBroker, MemoryQueues
from fms.queues.topology import OUTBOX
from fms.queues.wire import KIND, RUN

Feed = tuple[str, str]
"""A queue, and whose fares a message of it was made from."""


class Life(Protocol):
    """The process that has a connection."""

    def at(self, point: str) -> str | None:
        """Come to a point; what strikes there of its own kind."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        ...


@dataclass
class Post:
    """The broker.

    Attributes:
        queues: where the messages are. If they are not ``single``, several consumers take from one at once, but never
            two from what was made of one publisher's fares: those stay in order.
        ordered: the kinds whose order matters.
        busy: the feeds of which a connection has a message.
    """

    queues: MemoryQueues
    ordered: frozenset[str]
    busy: dict[Feed, "Connection"] = field(default_factory=dict)

    def feed_at(self, queue: str) -> Feed | None:
        """The feed of the message at the head of a queue, if its order matters and the queue does not see to it."""
        waiting = self.queues.waiting[queue]
        headers: Headers = waiting[0][1] if waiting else {}
        watched = not self.queues.single and headers.get(KIND) in self.ordered
        return (queue, str(headers.get(RUN))) if watched else None

    @property
    def depth(self) -> int:
        """Messages that wait, whatever their queue."""
        return sum(map(len, self.queues.waiting.values()))


class Connection:
    """A ``Broker`` for one process; one that is lost is made again by the next call, as that of RabbitMQ is."""

    def __init__(self, post: Post, life: Life, consume: Sequence[str] = ()) -> None:
        self._post = post
        self._life = life
        self._inner = {queue: MemoryBroker(post.queues, [queue]) for queue in consume}
        self._anywhere = MemoryBroker(post.queues)
        self._lost = False

    def cut(self) -> None:
        """Lose the connection; this side hears of it when it is used next."""
        for inner in self._inner.values():
            inner.cut()
        for feed in [feed for feed, connection in self._post.busy.items() if connection is self]:
            del self._post.busy[feed]
        self._lost = True

    def _check(self) -> None:
        if self._lost:
            self._lost = False
            raise Disconnected("the connection was lost")

    def _fail(self, why: str) -> None:
        """Lose the connection, and know it."""
        self.cut()
        self._lost = False
        raise Disconnected(why)

    def publish(self, queue: str, body: bytes, headers: Headers, after: int = 0) -> None:
        """See ``Broker``."""
        strikes = self._life.at("publish")
        self._check()
        if strikes == "refused":
            raise Transient("the queue takes no more messages")
        if strikes == "lost":
            self._fail("lost before the message came through")
        self._anywhere.publish(queue, body, headers, after)
        if strikes == "unconfirmed":
            self._fail("lost before the message was confirmed")
        if self._life.at("published") == "deleted" and headers.get(KIND) == OUTBOX:
            self._post.queues.waiting[queue].clear()

    def next(self, seconds: float) -> Delivery | None:
        """See ``Broker``."""
        self._check()
        for queue, inner in self._inner.items():
            if self._post.queues.waiting[queue] and (delivery := self._take(queue, inner)) is not None:
                self._life.at("taken")
                return delivery
        self._life.wait(seconds)
        return None

    def _take(self, queue: str, inner: MemoryBroker) -> Delivery | None:
        self._life.at("next")
        self._check()
        feed = self._post.feed_at(queue)
        delivery = None if feed in self._post.busy else inner.next(0)
        if feed and delivery:
            self._post.busy[feed] = self
        return delivery

    def acknowledge(self, delivery: Delivery) -> None:
        """See ``Broker``."""
        strikes = self._life.at("acknowledge")
        self._check()
        if strikes == "lost":
            self._fail("lost before the acknowledgement came through")
        if strikes == "unheard":
            self.cut()
            return
        self._inner[delivery.queue].acknowledge(delivery)
        self._post.busy.pop((delivery.queue, str(delivery.headers.get(RUN))), None)
        if strikes == "heard":
            self._fail("lost after the acknowledgement came through")
        self._life.at("acknowledged")

    def wait(self, seconds: float) -> None:
        """See ``Broker``."""
        self._life.wait(seconds)
        self._check()

    def depth(self, queues: Sequence[str]) -> int:
        """See ``Broker``."""
        self._check()
        return self._anywhere.depth(queues)
