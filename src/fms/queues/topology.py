"""The queues: their names, as pure functions, and what they are declared with.

Between two stages there is one queue per partition, whose messages are taken in order by one consumer at a time. Each
kind has a queue of its dead letters. Delays exist for notify alone: everywhere else order is part of the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fms.model.change import ChangeBatch
from fms.model.fare import FareBatch
from fms.model.notification import OutboxBatch
from fms.model.route import PARTITIONS

FARES, CHANGES, OUTBOX = FareBatch.KIND, ChangeBatch.KIND, OutboxBatch.KIND
KINDS = (FARES, CHANGES, OUTBOX)
"""What travels: ingest → fare → price → change → alert → outbox → notify."""

DELAYS = (1, 10, 60)
"""Seconds for which a message to notify can be put off."""


def queue_of(kind: str, partition: int) -> str:
    """The queue of a partition: ``fms.fare.07``."""
    return f"fms.{kind}.{partition:02d}"


def dead_letters_of(kind: str) -> str:
    """Where messages of a kind end that cannot be handled: ``fms.fare.dead``."""
    return f"fms.{kind}.dead"


REJECTS = dead_letters_of("document")
"""Where a worker's ingest leaves rejected documents, as lines of the rejects file."""


def delay_of(seconds: int) -> str:
    """Where a message waits: ``fms.delay.10``. Queue and exchange have the same name."""
    return f"fms.delay.{seconds}"


def claim_of(queue: str) -> str:
    """The exclusive queue of whoever takes from a queue: ``fms.fare.07.claim``."""
    return f"{queue}.claim"


@dataclass(frozen=True)
class Queue:
    """One durable queue.

    Attributes:
        name: as the broker knows it.
        arguments: what it is declared with; a queue that is there must have the same.
        exchange: a fanout exchange of that name leads to it, so that messages keep the routing key under which they
            return; None: it is published to by its own name.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    exchange: str | None = None


@dataclass(frozen=True)
class QueueRules:
    """What all queues have in common. A running site's cannot be changed without declaring its queues anew.

    Attributes:
        type: ``quorum`` or ``classic``.
        single: whether one consumer of a partition is active at a time.
        deliveries: after so many deliveries without an end a message is a dead letter (quorum only).
        most: messages that a partition holds; more are refused, and their publisher waits.
    """

    type: str = "quorum"
    single: bool = True
    deliveries: int = 50
    most: int = 10_000


def topology(rules: QueueRules) -> list[Queue]:
    """Every queue of a site, dead letters first: nothing may be declared before the place where it ends."""
    quorum = rules.type == "quorum"
    plain = {"x-queue-type": rules.type}
    dead = [Queue(dead_letters_of(kind), plain) for kind in KINDS] + [Queue(REJECTS, plain)]
    stages = [
        Queue(queue_of(kind, partition), _stage(kind, rules, plain))
        for kind in KINDS
        for partition in range(PARTITIONS)
    ]
    # An expired message goes to the default exchange under the routing key with which it came: to its own queue.
    back = {"x-dead-letter-exchange": "", "x-overflow": "reject-publish"}
    back |= {"x-dead-letter-strategy": "at-least-once"} if quorum else {}
    delays = [Queue(delay_of(s), plain | back | {"x-message-ttl": s * 1000}, delay_of(s)) for s in DELAYS]
    return [*dead, *stages, *delays]


def _stage(kind: str, rules: QueueRules, plain: Mapping[str, Any]) -> Mapping[str, Any]:
    quorum = {"x-delivery-limit": rules.deliveries, "x-dead-letter-strategy": "at-least-once"}
    return {
        **plain,
        "x-single-active-consumer": rules.single,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_letters_of(kind),
        # Also what at-least-once dead-lettering asks for: without it a full queue drops its oldest message.
        "x-overflow": "reject-publish",
        "x-max-length": rules.most,
        **(quorum if rules.type == "quorum" else {}),
    }


def queues_of(kind: str, partitions: Sequence[int]) -> list[str]:
    """The queues of some partitions."""
    return [queue_of(kind, partition) for partition in partitions]
