"""What people do with queues: look at them, empty them, and give dead letters another try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fms.errors import NotFound
from fms.model.clock import Clock
from fms.ports import Broker, Delivery, Headers
from fms.queues.rabbitmq import RabbitMQ
from fms.queues.topology import Queue
from fms.queues.wire import AT

REASON, CAME_FROM, BURIED_AT = "fms.reason", "fms.queue", "fms.buried_at"
"""What a dead letter says beside its own headers: why, from which queue, and when (UTC ms)."""

PATIENCE_SECONDS = 1.0
"""When no dead letter comes for so long, there is none left."""

_DIED = "x-death"
_OF_DEATH = {REASON, CAME_FROM, BURIED_AT, _DIED, "x-first-death-exchange", "x-first-death-queue",
             "x-first-death-reason", "x-delivery-count"}  # fmt: skip


@dataclass(frozen=True)
class QueueStatus:
    """How a queue does: messages that wait, how many more each second, and consumers."""

    queue: str
    waiting: int
    per_second: float
    consumers: int


def status(broker: RabbitMQ, queues: Sequence[Queue], seconds: float) -> list[QueueStatus]:
    """Look at the queues twice, so many seconds apart."""
    first = {queue.name: broker.look(queue.name)[0] for queue in queues}
    broker.wait(seconds)
    found = []
    for queue in queues:
        waiting, consumers = broker.look(queue.name)
        rate = round((waiting - first[queue.name]) / seconds, 2)
        found.append(QueueStatus(queue.name, waiting, rate, consumers))
    return found


def known(queues: Sequence[Queue], name: str) -> str:
    """The name, if it is one of our queues; raises NotFound."""
    if name not in {queue.name for queue in queues}:
        raise NotFound(f"no queue {name[:80]!r}: fms queues status --all lists them")
    return name


def retry(broker: Broker, now: Clock) -> int:
    """Send dead letters back to where they came from; answers how many.

    ``broker`` consumes the dead letters. A letter is acknowledged when it is back; one that dies again meanwhile,
    which its headers tell, is the first that stays.
    """
    count, began = 0, now()
    while (delivery := broker.next(PATIENCE_SECONDS)) is not None:
        if int(delivery.headers.get(BURIED_AT, 0)) > began:
            break
        broker.publish(_origin(delivery), delivery.body, _alive(delivery.headers))
        broker.acknowledge(delivery)
        count += 1
    return count


def expire(broker: Broker, before: int) -> int:
    """Throw away dead letters that were buried, or published, before a time (UTC ms); answers how many.

    ``broker`` consumes them. They lie in the order in which they came, so the first younger one ends it.
    """
    count = 0
    while (delivery := broker.next(PATIENCE_SECONDS)) is not None:
        at = delivery.headers.get(BURIED_AT, delivery.headers.get(AT))
        if not isinstance(at, int) or at >= before:
            break
        broker.acknowledge(delivery)
        count += 1
    return count


def _origin(delivery: Delivery) -> str:
    """Where a dead letter came from, by our own word or the broker's."""
    headers: Any = delivery.headers
    if CAME_FROM in headers:
        return str(headers[CAME_FROM])
    deaths = headers.get(_DIED) or [{}]
    return str(deaths[0].get("queue", delivery.queue))


def _alive(headers: Headers) -> Headers:
    return {name: value for name, value in headers.items() if name not in _OF_DEATH}
