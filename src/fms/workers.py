"""The workers: each stage between its queues, and ingest before the first of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from fms.bootstrap import Site
from fms.db.partitions import prepare
from fms.errors import Transient
from fms.model.change import ChangeBatch
from fms.model.clock import Clock, date_of, utc_day
from fms.model.document import Reject
from fms.model.fare import FareBatch
from fms.model.notification import Message, OutboxBatch
from fms.ports import Broker, Channel, Delivery, Headers
from fms.queues.routes import Routes
from fms.queues.topology import CHANGES, DELAYS, FARES, OUTBOX, REJECTS, delay_of, queues_of
from fms.queues.wire import Headings, Letter
from fms.runtime.job import Chore, Job
from fms.runtime.patience import Patience
from fms.sources.rejects import reject_line
from fms.stages.notify import Notify
from fms.telling import tell_all

REJECTS_AT_ONCE = 1_000
"""Rejected documents in one message."""

ATTEMPT = "fms.attempt"
"""How often a message was put off."""

CATCH_UP_SECONDS = 5.0
"""How often the alert worker looks for alerts that a change passed by; see ``Alerts.catch_up``."""

CATCH_UP_WITHIN_MS = 60_000
"""It does so only if it has matched changes within this time."""

MONTHS_SECONDS = 6 * 3600.0
"""How often the alert worker makes the partitions of the months to come."""

CONSUMED = {"price": FARES, "alert": CHANGES, "notify": OUTBOX}
"""Worker → the kind that it takes."""


PREFETCHED = {"notify": 8}
"""Messages of a queue that a worker may hold, if more than one: where their order does not matter."""


@dataclass(frozen=True)
class Plant:
    """What a worker of a site works with: the site, its broker, and the routes of what it makes."""

    site: Site
    broker: Broker
    routes: Routes

    @classmethod
    def of(cls, site: Site, broker: Broker) -> "Plant":
        """With routes that carry the site's clock."""
        return cls(site, broker, Routes(Headings(site.clock)))

    def send(self, letters: Iterable[Letter]) -> None:
        """Publish letters, each confirmed."""
        for letter in letters:
            self.broker.publish(letter.queue, letter.body, letter.headers)


def price_job(plant: Plant) -> Job:
    """Fares → diff → changes."""
    diff = plant.site.diff()
    return Job("price", FareBatch, diff, plant.routes.by_route, lambda: asdict(diff.counts))


def alert_job(plant: Plant, partitions: Sequence[int]) -> Job:
    """Changes → match → outbox; and the evaluations that new and edited alerts are owed."""
    work = _AlertWork(plant, queues_of(CHANGES, partitions))
    seconds = plant.site.settings.deliver_seconds
    return Job(
        "alert",
        ChangeBatch,
        work.match,
        work.route,
        lambda: work.match.counts,
        chores=[
            Chore("make months", MONTHS_SECONDS, work.make_months),
            Chore("evaluate", seconds, work.evaluate),
            Chore("catch up", CATCH_UP_SECONDS, work.catch_up, idle=True),
        ],
        begin=work.begin,
        finish=work.evaluate,
    )


class _AlertWork:
    """What the alert worker does with changes, and between them."""

    def __init__(self, plant: Plant, queues: Sequence[str]) -> None:
        self._plant = plant
        self._site = plant.site
        self._queues = queues
        self._matched_at = 0
        self.match = plant.site.match(self._confirm)

    def _confirm(self) -> None:
        # Another worker gets our changes when this connection is lost, which a question over it brings to light.
        self._plant.broker.depth(self._queues[:1])

    def route(self, batch: OutboxBatch, made_from: Headers) -> Iterable[Letter]:
        """Where what fired goes."""
        self._matched_at = self._site.clock()
        return self._plant.routes.by_user(batch, made_from)

    def begin(self) -> None:
        """Before the first change: alerts first, for what was published before one was made is none of its business."""
        self.make_months()
        self.evaluate()

    def make_months(self) -> None:
        """Make the partitions of the months to come."""
        prepare(self._site.router, date_of(utc_day(self._site.clock())))

    def evaluate(self) -> None:
        """Do the evaluations that are owed."""
        self._send(self._site.alerts.evaluations())

    def catch_up(self) -> None:
        """Look for changes that passed alerts by while they were evaluated."""
        # Who stands by for another worker does not know what that one has in hand. And where no change came for a
        # while, none passed an alert by.
        if self._site.clock() - self._matched_at < CATCH_UP_WITHIN_MS:
            self._send(self._site.alerts.catch_up(self._all_matched))

    def _all_matched(self) -> None:
        # With nothing left to match the price book is not ahead of the alerts.
        if self._plant.broker.depth(self._queues):
            raise Transient("changes are waiting")

    def _send(self, found: Iterable[list[Message]]) -> None:
        for messages in found:
            self.match.counts["evaluated"] += len(messages)
            self._plant.send(self._plant.routes.by_user(OutboxBatch.of_messages(messages)))


def notify_job(plant: Plant, channel: Channel | None, *, by_clock: bool) -> Job:
    """Outbox → inboxes → pushes.

    Args:
        plant: what it works with.
        channel: how users hear; None: the console.
        by_clock: tell by the clock; else by the newest observation of the price book, as a replay does.
    """
    site = plant.site
    work = _NotifyWork(site, site.notify(channel, shared=True), by_clock=by_clock)
    notify = work.notify

    return Job(
        "notify",
        OutboxBatch,
        notify,
        plant.routes.nowhere,
        lambda: notify.counts,
        chores=[
            Chore("sweep", site.settings.sweep_seconds, lambda: notify.sweep(work.sweep_ms)),
            Chore("deliver", site.settings.deliver_seconds, work.tell),
        ],
        finish=lambda: tell_all(site, notify, work.now(), plant.broker.wait),
        puts_off=True,
    )


class _NotifyWork:
    """What the notify worker does between messages."""

    def __init__(self, site: Site, notify: Notify, *, by_clock: bool) -> None:
        self._site = site
        self._by_clock = by_clock
        self._everybody_at = 0
        self.notify = notify
        self.sweep_ms = int(site.settings.sweep_seconds * 1000)

    def now(self) -> int:
        """As of when to tell, UTC ms."""
        return self._site.clock() if self._by_clock else self._site.pages.newest()

    def tell(self) -> Iterator[None]:
        """Tell those for whom something is due; everybody as often as is swept.

        Users whom another worker has now are told when it is their turn again.
        """
        # Never both at once: of two that take turns one would tell as of an earlier time than the other did.
        everybody = self._site.clock() >= self._everybody_at
        try:
            yield from self.notify.telling(self.now(), everybody=everybody)
        finally:
            if everybody:
                self._everybody_at = self._site.clock() + self.sweep_ms


def putter_off(broker: Broker) -> Callable[[Delivery], None]:
    """Puts a message off to one of the delay queues, a longer one each time, and acknowledges it."""

    def put_off(delivery: Delivery) -> None:
        attempt = int(delivery.headers.get(ATTEMPT, 0))
        seconds = DELAYS[min(attempt, len(DELAYS) - 1)]
        headers = {**delivery.headers, ATTEMPT: attempt + 1}
        broker.publish(delivery.queue, delivery.body, headers, after=seconds)
        broker.acknowledge(delivery)

    return put_off


def queues_to_drain(worker: str, partitions: Sequence[int]) -> list[str]:
    """The queues that are empty when a worker has nothing more to do."""
    queues = queues_of(CONSUMED[worker], partitions)
    return [*queues, *map(delay_of, DELAYS)] if worker == "notify" else queues


class Feeder:
    """Publishes fares batch after batch, and what is rejected among them, however often that takes.

    Args:
        broker: takes them.
        clock: UTC ms, for their headers.
        patience: for a broker that is away.
        run: names what is fed; None: by a number of its own.

    Attributes:
        messages, bytes: how many messages of fares are published, and the bytes of their bodies.
    """

    def __init__(self, broker: Broker, clock: Clock, patience: Patience, run: str | None = None) -> None:
        self._broker = broker
        self._headings = Headings(clock, run)
        self._routes = Routes(self._headings)
        self._patience = patience
        self._rejects: list[str] = []
        self.messages = 0
        self.bytes = 0

    def feed(self, batches: Iterable[FareBatch]) -> bool:
        """Publish batches in order; whether all of them are with the broker. False: the wish to stop came before."""
        for batch in batches:
            for letter in self._routes.by_route(batch):
                if not self._insist(letter):
                    return False
                self.messages += 1
                self.bytes += len(letter.body)
        return self._flush()

    def reject(self, reject: Reject) -> None:
        """Take a document that was set aside; for ``Ingest``'s ``on_reject``."""
        self._rejects.append(reject_line(reject))
        if len(self._rejects) >= REJECTS_AT_ONCE:
            self._flush()

    def _flush(self) -> bool:
        if not self._rejects:
            return True
        body = "".join(f"{line}\n" for line in self._rejects).encode()
        sent = self._insist(Letter(REJECTS, body, self._headings.of_rejects(len(self._rejects))))
        self._rejects = [] if sent else self._rejects
        return sent

    def _insist(self, letter: Letter) -> bool:
        publish = partial(self._broker.publish, letter.queue, letter.body, letter.headers)
        return self._patience.insist("publish", publish)
