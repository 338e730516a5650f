"""The one order in which a message becomes the next: read, decode, process, publish, settle, acknowledge.

Every crash in between repeats some of it, and no crash loses anything: a message goes when what it led to is safe.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fms.model.batch import Batch
from fms.ports import Broker, Delivery, Headers, Stage
from fms.queues.wire import Letter, unpacked

Route = Callable[[Any, Headers], Iterable[Letter]]
"""From a stage's output, and the headers of what it was made from, to the letters that it is sent as."""


@dataclass(frozen=True)
class Delivered:
    """What a message was: its rows, and the letters that it became, with the bytes of their bodies."""

    rows: int
    published: int
    published_bytes: int


def deliver(delivery: Delivery, kind: type[Batch], stage: Stage[Any, Any], route: Route, broker: Broker) -> Delivered:
    """Carry one message, which was just read, through a stage.

    Raises Invalid if it cannot be decoded, Transient if it is to be tried again; nothing is acknowledged then.
    """
    batch = unpacked(delivery, kind)
    output = stage.process(batch)
    letters = list(route(output, delivery.headers))
    for letter in letters:
        broker.publish(letter.queue, letter.body, letter.headers)
    stage.settle()
    broker.acknowledge(delivery)
    return Delivered(len(batch), len(letters), sum(len(letter.body) for letter in letters))
