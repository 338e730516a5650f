"""What the stages ask of the world outside. Each port has one behaviour suite in ``tests/contracts``."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeVar
from uuid import UUID

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


class PageStore(Protocol):
    """Pages of the price book by key (``JFK-LHR:2026-12-01``), guarded by one version per partition."""

    def get(self, partition: int, keys: Sequence[str]) -> tuple[int, list[bytes | None]]:
        """The partition's version, and the pages in the order of ``keys`` (None: not there), as of that version."""
        ...

    def describe(self, partition: int, keys: Sequence[str]) -> list[bytes | None]:
        """What the hashes in the pages stand for, in the order of ``keys``."""
        ...

    def put(
        self, partition: int, version: int, pages: Mapping[str, bytes | None], descriptions: Mapping[str, bytes | None]
    ) -> bool:
        """Write (None: delete) all at once and raise the version, if it still is ``version``; else write nothing."""
        ...

    def keys(self, od: str | None = None) -> Iterator[str]:
        """The keys of all pages, or of one O&D's, in order."""
        ...


@dataclass(frozen=True)
class Question:
    """What somebody wants to know of the price book.

    Attributes:
        od: the O&D.
        first, last: departure, inclusive; None: open.
        market: only fares whose series begins with the bits of this market (others may share them); None: all.
        at_most: only fares at or below this price, in minor units; None: all.
    """

    od: str
    first: date | None = None
    last: date | None = None
    market: int | None = None
    at_most: int | None = None


@dataclass(frozen=True)
class Known:
    """What the price book answers.

    Attributes:
        fares: the believed fares asked for.
        dates: departure dates that have a page (a date without one is unknown, not sold out).
    """

    fares: Sequence[KnownFare]
    dates: frozenset[date]


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

    def waiting(self) -> list[Message]:
        """Messages in outboxes that were never handed over."""
        ...

    def inboxes(self, statuses: Collection[str], now: int) -> Iterator[Inbox]:
        """The users that have a row with one of the statuses, each read when it is asked for, with all open rows."""
        ...

    def write(self, user_id: UUID, rows: Sequence[Notification], pushed: Pushed | None = None) -> None:
        """Write rows of one user, and the push that they were told with, in one transaction."""
        ...


class Channel(Protocol):
    """How a user hears."""

    def send(self, push: Push, now: int) -> None:
        """Deliver one push at ``now`` (UTC ms). Raises Transient if it may be tried again."""
        ...
