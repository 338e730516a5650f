"""What most simulated lives do the short way, since it takes most of the time and no fault can strike there.

Batches travel as they are instead of being packed; messages stay a list instead of becoming columns; and pure kernels
remember what they answered, since each feed is lived many times. A life that is ``thorough`` takes no short way.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self
from unittest.mock import patch

import numpy as np

from fms.model.batch import AnyBatch, Batch, one_batch
from fms.model.notification import OUTBOX_SCHEMA, Message, OutboxBatch
from fms.model.route import partition_of_slot, slot_of_user
from fms.ports import Delivery, Headers
from fms.pricebook import book
from fms.queues import routes, wire
from fms.queues.wire import Letter
from fms.runtime import delivery as order
from fms.stages import describe, diff, match

_MARK = b"batch "
_NO_ROWS = one_batch(OUTBOX_SCHEMA.empty_table())
_KERNELS = (
    (diff, "_pages"), (diff, "compare"), (diff, "changes_of"), (describe, "_frames"), (match, "_Changes"),
    (book, "fares_of"),
)  # fmt: skip


@dataclass(frozen=True)
class Listed(OutboxBatch):
    """Messages that are no columns."""

    messages: Sequence[Message] = ()

    def __len__(self) -> int:
        return len(self.messages)

    @classmethod
    def of_messages(cls, messages: list[Message], partition: int = 0) -> Self:
        """The messages as they are."""
        return cls(_NO_ROWS, partition, tuple(messages))

    def rows(self) -> Iterator[Message]:
        """The messages one by one."""
        return iter(self.messages)


class Shortcuts:
    """The short ways, while a ``with`` block of ``taken`` lasts."""

    def __init__(self) -> None:
        self._thorough = False
        self._travelling: list[Batch] = []
        self._remembered: dict[Any, tuple[Any, Any]] = {}
        self._feed: int | None = None
        self._real_by_user = routes.Routes.by_user
        self._real_of_messages = OutboxBatch.of_messages

    def begin(self, feed: int, *, thorough: bool) -> None:
        """A life begins: forget what travelled in the last one, and what is known of another feed."""
        self._thorough = thorough
        self._travelling.clear()
        if feed != self._feed:
            self._remembered.clear()
        self._feed = feed

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take them within the block."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(routes, "packed", self._packed))
            stack.enter_context(patch.object(order, "unpacked", self._unpacked))
            stack.enter_context(patch.object(OutboxBatch, "of_messages", self._of_messages))
            stack.enter_context(patch.object(routes.Routes, "by_user", self._by_user()))
            for module, name in _KERNELS:
                stack.enter_context(patch.object(module, name, self._remembering(getattr(module, name))))
            yield

    def _packed(self, batch: Batch) -> bytes:
        if self._thorough:
            return wire.packed(batch)
        self._travelling.append(batch)
        return b"%s%d" % (_MARK, len(self._travelling) - 1)

    def _unpacked(self, delivery: Delivery, kind: type[AnyBatch]) -> AnyBatch:
        if not delivery.body.startswith(_MARK):
            return wire.unpacked(delivery, kind)
        found = self._travelling[int(delivery.body[len(_MARK) :])]
        assert isinstance(found, kind)
        return found

    def _of_messages(self, messages: list[Message], partition: int = 0) -> OutboxBatch:
        make = self._real_of_messages if self._thorough else Listed.of_messages
        return make(messages, partition)

    def _by_user(self) -> Callable[..., Iterator[Letter]]:
        def by_user(self_: Any, batch: OutboxBatch, made_from: Headers | None = None) -> Iterator[Letter]:
            return (self._real_by_user if self._thorough else _letters_by_user)(self_, batch, made_from)

        return by_user

    def _remembering(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def remembering(*inputs: Any) -> Any:
            if self._thorough:
                return kernel(*inputs)
            key = (kernel, *map(_identity, inputs))
            if key not in self._remembered:
                # The inputs are kept too, so that no other object gets the identity of one of them.
                self._remembered[key] = inputs, kernel(*inputs)
            return self._remembered[key][1]

        return remembering


def _letters_by_user(self_: Any, batch: OutboxBatch, made_from: Headers | None) -> Iterator[Letter]:
    parts: dict[int, list[Message]] = defaultdict(list)
    for message in batch.rows():
        parts[partition_of_slot(slot_of_user(message.user))].append(message)
    for number, messages in sorted(parts.items()):
        yield self_._letter(Listed.of_messages(messages, number), made_from)


def _identity(value: Any) -> Any:
    """What tells inputs of a kernel apart: the content of lists, of arrays and of a dataclass of arrays; else which."""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, int | str):
        return value
    parts = getattr(value, "__dict__", {})
    if parts and all(isinstance(part, np.ndarray) for part in parts.values()):
        return tuple(part.tobytes() for part in parts.values())
    return id(value)
