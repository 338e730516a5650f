"""Queues in memory, for tests, simulations and trials: what was taken comes again when its connection is cut."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from fms.errors import Disconnected, Transient
from fms.ports import Delivery, Headers


@dataclass
class MemoryQueues:
    """The queues that several ``MemoryBroker`` share.

    Attributes:
        limit: messages that a queue holds; None: any number.
        single: whether a queue gives its messages to one connection until that is cut.
        waiting: what waits in each queue.
        active: which connection takes from a queue, where only one does.
    """

    limit: int | None = None
    single: bool = True
    waiting: dict[str, deque[tuple[bytes, Headers]]] = field(default_factory=lambda: defaultdict(deque))
    active: dict[str, "MemoryBroker"] = field(default_factory=dict)


class MemoryBroker:
    """A ``Broker`` for one consumer of some queues."""

    def __init__(self, queues: MemoryQueues, consume: Sequence[str] = ()) -> None:
        self._queues = queues
        self._consume = consume
        self._numbers = count()
        self._taken: dict[int, Delivery] = {}

    def publish(self, queue: str, body: bytes, headers: Headers, after: int = 0) -> None:  # noqa: ARG002
        """See ``Broker``. Nothing waits: time does not pass here."""
        waiting = self._queues.waiting[queue]
        if self._queues.limit is not None and len(waiting) >= self._queues.limit:
            raise Transient(f"queue {queue} takes no more messages")
        waiting.append((body, headers))

    def next(self, seconds: float) -> Delivery | None:  # noqa: ARG002  # nobody else could bring anything
        """See ``Broker``."""
        for name in filter(self._is_mine, self._consume):
            if self._queues.waiting[name]:
                body, headers = self._queues.waiting[name].popleft()
                delivery = Delivery(name, body, headers, next(self._numbers))
                self._taken[delivery.receipt] = delivery
                return delivery
        return None

    def _is_mine(self, queue: str) -> bool:
        return not self._queues.single or self._queues.active.setdefault(queue, self) is self

    def acknowledge(self, delivery: Delivery) -> None:
        """See ``Broker``."""
        if self._taken.pop(delivery.receipt, None) is None:
            raise Disconnected("the connection that brought the message is lost")

    def wait(self, seconds: float) -> None:
        """See ``Broker``."""

    def depth(self, queues: Sequence[str]) -> int:
        """See ``Broker``."""
        return sum(len(self._queues.waiting[name]) for name in queues)

    def cut(self) -> None:
        """Lose the connection: what was taken and not acknowledged waits again, in its order, before the others."""
        for delivery in reversed(self._taken.values()):
            self._queues.waiting[delivery.queue].appendleft((delivery.body, delivery.headers))
        self._taken.clear()
        for name in [name for name, active in self._queues.active.items() if active is self]:
            del self._queues.active[name]
