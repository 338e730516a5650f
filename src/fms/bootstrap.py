"""Puts a site together: the only place that knows every concrete class."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from fms.alerts import Alerts
from fms.channels.console import Console
from fms.db.alerts import AlertRows
from fms.db.local import open_router
from fms.db.matching import SqlAlertLedger
from fms.db.notifications import SqlNotifications
from fms.db.users import Users
from fms.model.clock import Clock, system_clock
from fms.model.document import Reject
from fms.model.ids import IdMint
from fms.ports import Channel
from fms.pricebook.book import Book
from fms.pricebook.sqlite import SqlitePageStore
from fms.replayclock import ReplayClock
from fms.runlock import exclusive
from fms.settings import Settings, load_settings
from fms.stages.diff import Diff
from fms.stages.ingest import Ingest
from fms.stages.match import Match
from fms.stages.notify import Notify

PRICES_FILE = "prices.sqlite"


class Site:
    """One data directory: price book, alert shards, inboxes, and the stages over them.

    Attributes:
        settings: how it was opened.
        router: the alert shards.
        pages: the price book's store; ``book`` reads it.
        replay_clock: the time by which runs tell.
        alerts, users, notifications: what the shards keep.
    """

    def __init__(self, settings: Settings, clock: Clock = system_clock) -> None:
        self.settings = settings
        self.clock = clock
        self.mint = IdMint(clock)
        self.replay_clock = ReplayClock(settings.data / "replay-clock")
        self.router = open_router(settings.data, settings.shards)
        self.pages = SqlitePageStore(settings.data / PRICES_FILE)
        self.book = Book(self.pages)
        self.alert_rows = AlertRows(self.router, self.mint, clock)
        self.users = Users(self.router, self.mint, clock)
        self.notifications = SqlNotifications(self.router)
        self.alerts = Alerts(self.alert_rows, self.users, self.book, self.mint)

    def ingest(
        self,
        *,
        observed_at: int | None = None,
        on_reject: Callable[[Reject], None] | None = None,
        on_progress: Callable[[str, int, int | None, int], None] | None = None,
    ) -> Ingest:
        """The ingest stage, with this site's batch size."""
        return Ingest(
            observed_at=observed_at,
            clock=self.clock,
            batch_rows=self.settings.batch_size,
            on_reject=on_reject,
            on_progress=on_progress,
        )

    def diff(self, *, prime: bool = False) -> Diff:
        """The diff stage over this site's price book."""
        return Diff(self.pages, self.settings.rules(), prime=prime)

    def match(self) -> Match:
        """The match stage over this site's alerts."""
        return Match(SqlAlertLedger(self.router, self.mint))

    def notify(self, channel: Channel | None = None) -> Notify:
        """The notify stage over this site's inboxes; prints unless a channel is given."""
        channel = channel or Console(shown=self.settings.shown_in_push)
        return Notify(self.notifications, self.alert_rows, self.book, channel, self.mint)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the one run of this site; raises Transient if there is another."""
        with exclusive(self.settings.data / "run.lock"):
            yield

    def close(self) -> None:
        """Close every file."""
        self.router.close()
        self.pages.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_site(data: str | Path | None = None, **settings: Any) -> Site:
    """Open the site under a data directory, and make or migrate what is missing.

    Args:
        data: the directory; default: setting ``data``.
        settings: fields of ``Settings`` by name.

    Raises Fatal with one line: no access, a wrong setting, a database of a newer fms.
    """
    return Site(load_settings(None if data is None else Path(data), **settings))
