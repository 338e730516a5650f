"""What the stages ask of the world outside. Each port has one behaviour suite in ``tests/contracts``."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from fms.errors import Transient
from fms.model.alert import Alert, AlertState
from fms.model.batch import Batch
from fms.model.evaluation import KnownFare
from fms.model.fold import Firing
from fms.model.notification import Message, Notification, Push
from fms.model.user import User

In_contra = TypeVar("In_contra", bound=Batch, contravariant=True)
Out_co = TypeVar("Out_co", bound=Batch, covariant=True)


class Stage(Protocol[In_contra, Out_co]):
    """One of the four verbs: a batch in, a batch out. It sees no queue, no byte and no acknowledgement."""

    def process(self, batch: In_contra) -> Out_co:
        """The output for a batch. May run again for the same batch, in this process or another."""
        ...

    def settle(self) -> None:
        """Called when the output of the last ``process`` is safe with whoever comes next.

        Raises Transient if somebody else got in between: process the batch again.
        """
        ...


class Version(NamedTuple):
    """What a partition of the price book was when it was read.

    Attributes:
        incarnation: of the store's memory, 32 bits. A store that may forget what was put, or go back to an older state,
            has another one afterwards, as Redis after a restart; 0: the store keeps whatever was put.
        number: raised by every put.
    """

    incarnation: int
    number: int


class PageStore(Protocol):
    """Pages of the price book by key (``JFK-LHR:2026-12-01``), guarded by one version per partition.

    A key lives in the partition of its O&D (``fms.model.route.partition_of_od``).
    """

    def get(self, partition: int, keys: Sequence[str]) -> tuple[Version, list[bytes | None]]:
        """The partition's version, and the pages in the order of ``keys`` (None: not there), as of that version."""
        ...

    def describe(self, partition: int, keys: Sequence[str]) -> list[bytes | None]:
        """What the hashes in the pages stand for, in the order of ``keys``."""
        ...

    def put(
        self,
        partition: int,
        version: Version,
        pages: Mapping[str, bytes | None],
        descriptions: Mapping[str, bytes | None],
        newest: int | None = None,
    ) -> bool:
        """Write (None: delete) all at once and raise the version, if it still is ``version``; else write nothing.

        ``newest``: an observation, UTC ms; ``newest()`` is not older from then on. Raises Transient if it cannot be
        known whether anything was written: read again.
        """
        ...

    def keys(self, od: str | None = None) -> Iterator[str]:
        """The keys of all pages, or of one O&D's, in order."""
        ...

    def newest(self) -> int:
        """The newest observation that was ever put, UTC ms; 0: none. By it a replay tells, and it never runs back."""
        ...


@dataclass(frozen=True)
class Question:
    """What somebody wants to know of the price book.

    Attributes:
        od: the O&D.
        first, last: departure, inclusive; None: open.
        market: only fares whose series begins with the bits of this market (others may share them); None: all.
        at_most: only fares at or below this price, in minor units; None: all.
        cheapest: only so many, and all that cost the same as the last of them; None: all. The others are counted.
    """

    od: str
    first: date | None = None
    last: date | None = None
    market: int | None = None
    at_most: int | None = None
    cheapest: int | None = None


@dataclass(frozen=True)
class Known:
    """What the price book answers.

    Attributes:
        fares: the believed fares asked for.
        dates: departure dates that have a page which can be trusted (any other is unknown, not sold out).
        doubted: series of those dates, at any price, that may have changed while the book forgot.
        count: how many fares there are that were asked for, also those that are not among the cheapest.
    """

    fares: Sequence[KnownFare]
    dates: frozenset[date]
    doubted: frozenset[int] = frozenset()
    count: int = 0


class KnownFares(Protocol):
    """The price book as its readers see it."""

    def known(self, questions: Sequence[Question]) -> list[Known]:
        """The answers, in the order of the questions; asking many at once is much quicker than one by one."""
        ...

    def newest(self, ods: Sequence[str]) -> dict[str, int]:
        """The newest observation of each O&D, UTC ms; one that has none is left out."""
        ...


@dataclass(frozen=True)
class Probe:
    """What the changes of a batch ask of the shards. Hashes are unsigned 64-bit integers.

    Attributes:
        wishes: (O&D, market, departure day, price in minor units): an alert of this market that wants this
            departure and whose trigger is at or above the price, or that is learning, may fire.
        holders: (O&D, series): an alert that it holds may be re-armed.
        days: (O&D, UTC day of its newest change) of every O&D: an alert whose holder departed before may be re-armed.
        pages: (O&D, departure day) of pages whose past may be lost: an alert whose holder departs then may be re-armed.
    """

    wishes: Sequence[tuple[str, int, int, int]]
    holders: Sequence[tuple[str, int]]
    days: Sequence[tuple[str, int]]
    pages: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class Outcome:
    """What folding an alert over changes gave: its new state, and its firings in order."""

    alert: Alert
    state: AlertState
    firings: Sequence[Firing]


class AlertLedger(Protocol):
    """The alerts as match sees them."""

    def candidates(self, probe: Probe) -> list[Alert]:
        """The alerts that the changes may concern, each once, by id. May hold more than will fire, never fewer."""
        ...

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        """Write new states and upsert the outbox rows of their firings, in one transaction per shard.

        Answers the rows written, and the alerts that somebody else changed meanwhile, as they are now: nothing was
        written for them. Raises Transient with nothing written in a shard that no longer owns a slot.
        """
        ...


class AlertLookup(Protocol):
    """The alerts as they are now."""

    def many(self, ids: Sequence[UUID]) -> dict[UUID, Alert]:
        """The alerts by id; those that are not there are left out."""
        ...


@dataclass(frozen=True)
class Inbox:
    """All about one user that telling depends on.

    Attributes:
        user: who.
        rows: the rows that may still be told.
        told: earlier tellings, by alert: newest first.
        pushes: times of the pushes of the last two days, UTC ms.
    """

    user: User
    rows: Sequence[Notification]
    told: Mapping[UUID, Sequence[Notification]]
    pushes: Sequence[int]


@dataclass(frozen=True)
class Busy:
    """A user whom somebody else is telling just now; at ``until`` (UTC ms) at the latest they are free again."""

    until: int


class Overtaken(Transient):
    """What was judged is not as it was read: nothing was written. From ``until`` (UTC ms) on it can be judged again."""

    def __init__(self, why: str, until: int = 0) -> None:
        super().__init__(why)
        self.until = until


@dataclass(frozen=True)
class Pushed:
    """A push that was delivered, and when, UTC ms. Delivered again it is the same push."""

    group_id: UUID
    told_at: int


class Notifications(Protocol):
    """Outbox and inboxes as notify sees them."""

    def hand_over(self, messages: Sequence[Message]) -> int:
        """Insert messages at their users' (a higher revision replaces), then mark them in the outbox.

        Answers how many are new to their inbox.
        """
        ...

    def waiting(self, older_than_ms: int = 0) -> Iterator[Sequence[Message]]:
        """Messages in outboxes that were never handed over, some at a time, the oldest first.

        Those that first fired less than so long ago by the clock are left out: they may be on their way.
        """
        ...

    def inboxes(self, statuses: Collection[str], now: int, *, due: bool = False) -> Iterator[Inbox | Busy]:
        """The users that have a row with one of the statuses, each read when it is asked for, with all open rows.

        Args:
            statuses: which rows to look for.
            now: UTC ms.
            due: also users with a row that waits, and is to be judged again at ``now`` or before.

        Where several tell at once nobody else is given a user until the next one is asked for.
        """
        ...

    def write(self, user_id: UUID, rows: Sequence[Notification], pushed: Pushed | None = None) -> None:
        """Write rows of one user, and the push that they were told with, in one transaction.

        A row that was raised since it was read is judged again: with a push only what was told is written of it.
        Raises Overtaken without one, or if the user was given to somebody else.
        """
        ...


class Channel(Protocol):
    """How a user hears."""

    def send(self, push: Push, now: int) -> None:
        """Deliver one push at ``now`` (UTC ms). Raises Transient if it may be tried again."""
        ...


Headers = Mapping[str, str | int]


@dataclass(frozen=True)
class Delivery:
    """A message as it comes.

    Attributes:
        queue: where it waited.
        body, headers: as they were published.
        receipt: by what the broker knows it until it is acknowledged.
    """

    queue: str
    body: bytes
    headers: Headers
    receipt: Any


class Broker(Protocol):
    """Queues, as one worker sees them. Messages that it took and did not acknowledge come again, to it or another."""

    def publish(self, queue: str, body: bytes, headers: Headers, after: int = 0) -> None:
        """Returns when the broker has the message safely. Raises Transient if that is not known.

        ``after``: seconds for which it waits elsewhere before it comes to the queue; the broker knows a few.
        """
        ...

    def next(self, seconds: float) -> Delivery | None:
        """The next message of the queues it consumes; None if there is none for so long. Raises Transient."""
        ...

    def acknowledge(self, delivery: Delivery) -> None:
        """The message is done. Raises Transient if the broker does not hear it, and will deliver it again."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time pass while the connection is kept alive. Raises Transient if it is lost."""
        ...

    def depth(self, queues: Sequence[str]) -> int:
        """How many messages wait in the queues, apart from those that somebody has taken. Raises Transient."""
        ...
