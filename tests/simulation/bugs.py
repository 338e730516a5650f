"""Bugs that the simulation must find: each takes one guard out of the processes, or makes it blind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fms.db.memory.matching import MemoryAlertLedger
from fms.errors import Transient
from fms.model.alert import Alert
from fms.model.batch import Batch
from fms.model.notification import Message
from fms.ports import AlertLedger, Broker, Delivery, Headers, Notifications, Outcome, PageStore, Probe, Stage, Version
from tests.simulation.processes import Making

if TYPE_CHECKING:
    from tests.simulation.world import World


class _Around:
    """All that another object does, but for what a subclass does otherwise."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class SettledTooEarly(Making):
    """The price book is written before the changes are confirmed."""

    class _Stage(_Around):
        def process(self, batch: Batch) -> Any:
            output = self._inner.process(batch)
            self._inner.settle()
            return output

        def settle(self) -> None:
            """It is done."""

    def stage(self, stage: Stage[Any, Any]) -> Stage[Any, Any]:
        return self._Stage(stage)


class AcknowledgedTooEarly(Making):
    """A message is acknowledged when it comes."""

    class _Broker(_Around):
        def next(self, seconds: float) -> Delivery | None:
            delivery: Delivery | None = self._inner.next(seconds)
            if delivery:
                self._inner.acknowledge(delivery)
            return delivery

        def acknowledge(self, delivery: Delivery) -> None:
            """It is done."""

    def broker(self, broker: Broker) -> Broker:
        return self._Broker(broker)


class Unconfirmed(Making):
    """Nobody minds whether the broker has what was published."""

    class _Broker(_Around):
        def publish(self, queue: str, body: bytes, headers: Headers, after: int = 0) -> None:
            with suppress(Transient):
                self._inner.publish(queue, body, headers, after)

    def broker(self, broker: Broker) -> Broker:
        return self._Broker(broker)


class PagesOverwritten(Making):
    """Pages are put whatever version the partition has by now."""

    class _Pages(_Around):
        def put(
            self,
            partition: int,
            version: Version,
            pages: Mapping[str, bytes | None],
            descriptions: Mapping[str, bytes | None],
            newest: int | None = None,
        ) -> bool:
            now, _ = self._inner.get(partition, [])
            return bool(self._inner.put(partition, now, pages, descriptions, newest))

    def pages(self, pages: PageStore) -> PageStore:
        return self._Pages(pages)


class AlertsOverwritten(Making):
    """States are recorded whatever version the alert has by now."""

    class _Ledger:
        def __init__(self, inner: MemoryAlertLedger, world: "World") -> None:
            self._inner = inner
            self._world = world

        def candidates(self, probe: Probe) -> list[Alert]:
            return self._inner.candidates(probe)

        def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
            now = self._world.shard.alerts
            return self._inner.record(
                [replace(one, alert=replace(one.alert, version=now[one.alert.id].version)) for one in outcomes]
            )

    def ledger(self, ledger: MemoryAlertLedger, world: "World") -> AlertLedger:
        return self._Ledger(ledger, world)


class NeverReplaced(Making):
    """Match does not ask whether another worker has taken its place."""

    def confirm(self, confirm: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


class Unswept(Making):
    """Nobody looks for what the outboxes still hold."""

    class _Notifications(_Around):
        def waiting(self, older_than_ms: int = 0) -> Iterator[Sequence[Message]]:
            return iter(())

    def notifications(self, notifications: Notifications) -> Notifications:
        return self._Notifications(notifications)


class Unleased(Making):
    """Two workers may tell one user at once."""

    leased = False
