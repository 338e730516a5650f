"""The world outside as a simulated process sees it: each call is a point where faults strike."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from fms.db.memory.notifications import MemoryNotifications
from fms.errors import Transient
from fms.model.alert import Alert
from fms.model.batch import Batch, ints
from fms.model.notification import Message, Notification, Push
from fms.ports import (
    AlertLedger,
    Busy,
    Channel,
    Inbox,
    Notifications,
    Outcome,
    PageStore,
    Probe,
    Pushed,
    Stage,
    Version,
)
from tests.simulation import connections


class Life(connections.Life, Protocol):
    """The process that asks. ``batch_at``: the newest time in the batch that it is at."""

    batch_at: int

    def recorded(self, outcomes: Sequence[Outcome]) -> None:
        """Outcomes were given to the ledger."""
        ...


def away(strikes: str | None) -> None:
    """A service does not answer before anything is done."""
    if strikes == "away":
        raise Transient("the service is away")


def unanswered(strikes: str | None) -> None:
    """A service does not answer when all is done."""
    if strikes == "unanswered":
        raise Transient("the answer is lost")


class Steps:
    """A ``Stage`` whose process may be struck before and after each of its two verbs."""

    def __init__(self, stage: Stage[Any, Any], life: Life) -> None:
        self._stage = stage
        self._life = life

    def process(self, batch: Batch) -> Any:
        """See ``Stage``."""
        self._life.batch_at = int(ints(batch.column("observed_at")).max(initial=0))
        self._life.at("process")
        output = self._stage.process(batch)
        self._life.at("processed")
        return output

    def settle(self) -> None:
        """See ``Stage``."""
        self._life.at("settle")
        self._stage.settle()
        self._life.at("settled")


class Pages:
    """A ``PageStore`` over another one."""

    def __init__(self, store: PageStore, life: Life) -> None:
        self._store = store
        self._life = life

    def get(self, partition: int, keys: Sequence[str]) -> tuple[Version, list[bytes | None]]:
        """See ``PageStore``."""
        away(self._life.at("get pages"))
        return self._store.get(partition, keys)

    def describe(self, partition: int, keys: Sequence[str]) -> list[bytes | None]:
        """See ``PageStore``."""
        self._life.at("describe")
        return self._store.describe(partition, keys)

    def put(
        self,
        partition: int,
        version: Version,
        pages: Mapping[str, bytes | None],
        descriptions: Mapping[str, bytes | None],
        newest: int | None = None,
    ) -> bool:
        """See ``PageStore``."""
        strikes = self._life.at("put pages")
        away(strikes)
        if strikes == "overtaken":
            now, _ = self._store.get(partition, [])
            self._store.put(partition, now, {}, {})
        done = self._store.put(partition, version, pages, descriptions, newest)
        unanswered(strikes)
        return done

    def keys(self, od: str | None = None) -> Iterator[str]:
        """See ``PageStore``."""
        return self._store.keys(od)

    def newest(self) -> int:
        """See ``PageStore``."""
        return self._store.newest()


class Ledger:
    """An ``AlertLedger`` over another one; tells what it wrote."""

    def __init__(self, ledger: AlertLedger, life: Life) -> None:
        self._ledger = ledger
        self._life = life

    def candidates(self, probe: Probe) -> list[Alert]:
        """See ``AlertLedger``."""
        away(self._life.at("candidates"))
        return self._ledger.candidates(probe)

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        """See ``AlertLedger``."""
        strikes = self._life.at("record")
        away(strikes)
        found = self._ledger.record(outcomes)
        self._life.recorded(outcomes)
        unanswered(strikes)
        return found


class Inboxes:
    """``Notifications`` over those of a shard in memory."""

    def __init__(self, notifications: Notifications, halves: MemoryNotifications, life: Life) -> None:
        self._notifications = notifications
        self._halves = halves
        self._life = life

    def hand_over(self, messages: Sequence[Message]) -> int:
        """See ``Notifications``."""
        strikes = self._life.at("hand over")
        away(strikes)
        if strikes == "half":
            self._halves.take_in(messages)
            raise Transient("the outbox is away")
        found = self._notifications.hand_over(messages)
        unanswered(strikes)
        return found

    def waiting(self, older_than_ms: int = 0) -> Iterator[Sequence[Message]]:
        """See ``Notifications``."""
        self._life.at("waiting")
        return self._notifications.waiting(older_than_ms)

    def inboxes(self, statuses: Collection[str], now: int, *, due: bool = False) -> Iterator[Inbox | Busy]:
        """See ``Notifications``."""
        for found in self._notifications.inboxes(statuses, now, due=due):
            away(self._life.at("inbox"))
            yield found

    def write(self, user_id: UUID, rows: Sequence[Notification], pushed: Pushed | None = None) -> None:
        """See ``Notifications``."""
        strikes = self._life.at("write")
        away(strikes)
        self._notifications.write(user_id, rows, pushed)
        unanswered(strikes)


class Sending:
    """A ``Channel`` over another one."""

    def __init__(self, channel: Channel, life: Life) -> None:
        self._channel = channel
        self._life = life

    def send(self, push: Push, now: int) -> None:
        """See ``Channel``."""
        strikes = self._life.at("send")
        away(strikes)
        self._channel.send(push, now)
        unanswered(strikes)
