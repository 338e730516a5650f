"""Puts a site together: the only place that knows every concrete class."""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from fms.alerts import Alerts
from fms.channels.console import Console
from fms.db.accounts import AccountRows
from fms.db.alerts import AlertRows
from fms.db.closing import Closing
from fms.db.devices import DeviceRows
from fms.db.leases import Lease
from fms.db.matching import SqlAlertLedger
from fms.db.notifications import SqlNotifications
from fms.db.sites import catalog_place, open_router, prepare_site
from fms.db.users import Users
from fms.errors import Fatal
from fms.model.clock import Clock, system_clock
from fms.model.document import Reject
from fms.model.ids import IdMint
from fms.ports import Channel, Known, KnownFares, Question
from fms.pricebook.book import Book
from fms.pricebook.sqlite import SqlitePageStore
from fms.runlock import exclusive
from fms.settings import Settings, load_settings
from fms.shards.engine import opened
from fms.shards.reports import Reports
from fms.stages.diff import Diff
from fms.stages.ingest import Ingest
from fms.stages.match import Match, nobody_else
from fms.stages.notify import Notify

if TYPE_CHECKING:
    from fms.accounts.devices import Devices
    from fms.accounts.keys import Keys
    from fms.accounts.service import Accounts
    from fms.pricebook.redis import RedisPageStore
    from fms.queues.rabbitmq import Consuming, RabbitMQ
    from fms.queues.topology import QueueRules
    from fms.rebalance.service import Shards

PRICES_FILE = "prices.sqlite"

CATCH_UP_MS = 10_000
"""Longer than it takes from publishing changes to putting their pages."""


class Site:
    """One data directory: price book, alert shards, inboxes, and the stages over them.

    Attributes:
        settings: how it was opened.
        router: the alert shards.
        pages: the price book's store; ``book`` reads it.
        alerts, users, notifications: what the shards keep.
        reports: what workers say of themselves.

    Args:
        settings: how it is opened.
        clock: UTC ms.
        served: threads share it, and others may match while it evaluates alerts.
    """

    def __init__(self, settings: Settings, clock: Clock = system_clock, *, served: bool = False) -> None:
        self.settings = settings
        self.clock = clock
        self.mint = IdMint(clock)
        self.router = open_router(settings.data, settings.shards, settings.catalog(), self._relieve)
        self.pages = _open_pages(settings)
        self.book: KnownFares = _BookPerThread(settings) if served else Book(self.pages)
        self.alert_rows = AlertRows(self.router, self.mint, clock)
        self.users = Users(self.router, self.mint, clock)
        self.notifications = SqlNotifications(self.router)
        catch_up = None if settings.broker_url is None and not served else CATCH_UP_MS
        self.alerts = Alerts(self.alert_rows, self.users, self.book, self.mint, catch_up)
        self.reports = Reports(lambda: opened(catalog_place(settings.data, settings.catalog())))

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

    def match(self, confirm: Callable[[], None] = nobody_else) -> Match:
        """The match stage over this site's alerts; ``confirm``: see ``Match``."""
        return Match(SqlAlertLedger(self.router, self.mint), confirm)

    def notify(self, channel: Channel | None = None, *, shared: bool = False) -> Notify:
        """The notify stage over this site's inboxes; prints unless a channel is given.

        ``shared``: others may be telling the same users meanwhile, so each is leased; messages go to the inboxes as
        they come, since their broker forgets them then.
        """
        kind = None if channel else "console"
        channel = channel or Console(shown=self.settings.shown_in_push)
        if not shared and self.settings.catalog_url is None:
            return Notify(self.notifications, self.alert_rows, self.book, channel, self.mint, kind=kind)
        lease = Lease(f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}", self.settings.lease_seconds * 1000)
        leasing = SqlNotifications(self.router, self.clock, lease)
        return Notify(leasing, self.alert_rows, self.book, channel, self.mint, at_once=1, kind=kind)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the one run of this site; raises Transient if there is another."""
        with exclusive(self.settings.data / "run.lock"):
            yield

    def accounts(self) -> "Accounts":
        """Who people are to this site."""
        from fms.accounts.passwords import Passwords
        from fms.accounts.service import Accounts

        rows = AccountRows(self.router, self.mint, self.clock, self.settings.session_check_seconds)
        passwords = Passwords(fast=self.settings.fast_passwords)
        return Accounts(rows, Closing(self.router), passwords, self.clock, self.settings.refresh_days)

    def devices(self, keys: "Keys") -> "Devices":
        """Where its users' pushes are sent to."""
        from fms.accounts.devices import Devices

        return Devices(DeviceRows(self.router, self.mint, self.clock), keys, self.settings.devices_per_user)

    def shards(self) -> "Shards":
        """The shards, and the rebalances between them; to be closed."""
        return _shards_of(self.settings, self.clock)

    def _relieve(self) -> bool:
        from fms.rebalance.service import relieve_quietly

        return relieve_quietly(self.shards)

    def close(self) -> None:
        """Close every file."""
        self.router.close()
        self.pages.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _BookPerThread:
    """The price book for threads that ask at once: each has a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mine = threading.local()

    def known(self, questions: Sequence[Question]) -> list[Known]:
        """See ``KnownFares``."""
        return self._book().known(questions)

    def newest(self, ods: Sequence[str]) -> dict[str, int]:
        """See ``KnownFares``."""
        return self._book().newest(ods)

    def _book(self) -> Book:
        if not hasattr(self._mine, "book"):
            self._mine.book = Book(_open_pages(self._settings))
        found: Book = self._mine.book
        return found


def _shards_of(settings: Settings, clock: Clock) -> "Shards":
    from fms.rebalance.service import Shards

    return Shards(settings.data, settings.catalog(), clock, round(settings.move_lease_seconds * 1000))


def _open_pages(settings: Settings) -> "RedisPageStore | SqlitePageStore":
    if settings.price_book_url is not None:
        from fms.pricebook.redis import RedisPageStore

        return RedisPageStore(settings.price_book_url.get_secret_value())
    return SqlitePageStore(settings.data / PRICES_FILE)


def open_broker(
    settings: Settings, consuming: "Consuming | None" = None, tick: Callable[[], None] = lambda: None
) -> "RabbitMQ":
    """The broker of a site; raises Fatal if none is configured. See ``RabbitMQ``."""
    from fms.queues.rabbitmq import RabbitMQ
    from fms.queues.topology import topology

    if settings.broker_url is None:
        raise Fatal("no broker: set FMS_BROKER_URL=amqp://… or broker_url in fms.toml (fms run needs none)")
    return RabbitMQ(settings.broker_url.get_secret_value(), topology(queue_rules(settings)), consuming, tick)


def queue_rules(settings: Settings) -> "QueueRules":
    """What the queues of a site are declared with."""
    from fms.queues.topology import QueueRules

    return QueueRules(
        settings.queue_type, settings.single_active_consumer, settings.delivery_limit, settings.queue_limit
    )


def open_site(data: str | Path | None = None, **settings: Any) -> Site:
    """Open a site: the one that its settings name, or that of a data directory, which is made if it is missing.

    Args:
        data: the directory; default: setting ``data``.
        settings: fields of ``Settings`` by name.

    Raises Fatal with one line: no access, a wrong setting, a database of a newer fms.
    """
    return Site(load_settings(None if data is None else Path(data), **settings))


def open_shards(data: str | Path | None = None, *, catalog_only: bool = False) -> "Shards":
    """The shards of a site, and the rebalances between them, without the site's other services; to be closed.

    Args:
        data: as for ``open_site``.
        catalog_only: what is done needs no shard: one that does not answer is no hindrance.

    Raises Fatal and Transient as ``open_site``.
    """
    settings = load_settings(None if data is None else Path(data))
    prepare_site(settings.data, settings.shards, settings.catalog(), catalog_only=catalog_only)
    return _shards_of(settings, system_clock)
