"""What the stages ask of the world outside. Each port has one behaviour suite in ``tests/contracts``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeVar

from fms.model.batch import Batch
from fms.model.evaluation import KnownFare

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
class Known:
    """What the price book knows of one O&D within dates.

    Attributes:
        fares: the believed fares.
        dates: departure dates that have a page (a date without one is unknown, not sold out).
        newest: the newest observation of these pages, UTC ms; None without pages.
    """

    fares: Sequence[KnownFare]
    dates: frozenset[date]
    newest: int | None


class KnownFares(Protocol):
    """The price book as its readers see it."""

    def known(self, od: str, first: date | None = None, last: date | None = None) -> Known:
        """What is known of an O&D, departing within the dates (inclusive; None: open)."""
        ...
