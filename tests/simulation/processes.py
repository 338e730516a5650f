"""The worker processes of a simulated life: the real jobs in the real ``Worker``, over ports where faults strike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from fms.alerts import Alerts
from fms.bootstrap import Site
from fms.db.leases import Lease
from fms.db.memory.alerts import MemoryAlertRows
from fms.db.memory.matching import MemoryAlertLedger
from fms.db.memory.notifications import MemoryNotifications
from fms.db.memory.users import MemoryUsers
from fms.errors import Invalid, Transient
from fms.model.alert import AlertState
from fms.model.fold import Firing
from fms.ports import AlertLedger, Broker, Channel, Delivery, Notifications, Outcome, PageStore, Stage
from fms.pricebook.book import Book
from fms.queues.routes import Routes
from fms.queues.topology import queues_of
from fms.queues.wire import Headings
from fms.runtime.deadletters import DeadLetters
from fms.runtime.delivery import Delivered
from fms.runtime.job import Job
from fms.runtime.retry import Backoff
from fms.runtime.shutdown import Shutdown
from fms.runtime.worker import Worker
from fms.stages.diff import Diff
from fms.stages.match import Match
from fms.stages.notify import Notify
from fms.workers import CONSUMED, Plant, alert_job, notify_job, price_job, putter_off
from tests.simulation.connections import Connection
from tests.simulation.faults import CRASH, CUT, PAUSE, TAKEN_OVER, Crash
from tests.simulation.ports import Inboxes, Ledger, Pages, Sending, Steps

if TYPE_CHECKING:
    from tests.simulation.world import World

LEASE_MS = 1_500
SETTINGS = SimpleNamespace(deliver_seconds=0.4, sweep_seconds=0.8)
NO_DATABASES = SimpleNamespace(all=list)
DEAD_LETTER_LIMIT = 50
LONGEST_PAUSE, LONGEST_WAIT = 100, 12
"""Turns for which a process may stand still, or has nothing to do."""


@dataclass(frozen=True)
class Recorded:
    """What was written of an alert in the tick of ``at`` (UTC ms): its new state, and what it fired."""

    ref: str
    at: int
    state: AlertState
    firings: list[Firing]


class Making:
    """How a process is put together. A seeded bug makes one of the parts otherwise."""

    leased = True

    def pages(self, pages: PageStore) -> PageStore:
        """The price book."""
        return pages

    def confirm(self, confirm: Callable[[], None]) -> Callable[[], None]:
        """How match asks whether another worker may have taken its place."""
        return confirm

    def ledger(self, ledger: MemoryAlertLedger, world: "World") -> AlertLedger:
        """The alerts as match sees them."""
        return ledger

    def notifications(self, notifications: Notifications) -> Notifications:
        """Outbox and inboxes."""
        return notifications

    def stage(self, stage: Stage[Any, Any]) -> Stage[Any, Any]:
        """What is done with a message."""
        return stage

    def broker(self, broker: Broker) -> Broker:
        """The connection to the queues."""
        return broker


class Life:
    """One process from its start to its end: where it comes to a point, it may be struck or have to wait."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.connection: Connection | None = None
        self.batch_at = 0

    def at(self, point: str) -> str | None:
        """Come to a point; raises Crash. Answers what else strikes, if whoever asked must see to it."""
        self._world.tick()
        strikes = self._world.faults.at(point)
        if strikes == CRASH:
            raise Crash
        if strikes in (CUT, TAKEN_OVER) and self.connection:
            self.connection.cut()
        asleep = 0
        if strikes in (PAUSE, TAKEN_OVER):
            asleep = self._world.random.randint(5, LONGEST_PAUSE)
        if asleep or self._world.random.random() < self._world.restless:
            self._world.strands.give_way(asleep)
        return None if strikes in (CUT, PAUSE, TAKEN_OVER) else strikes

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._world.pass_time(seconds)
        self._world.strands.give_way(self._world.random.randint(1, LONGEST_WAIT))

    def recorded(self, outcomes: Sequence[Outcome]) -> None:
        """Note what is written now."""
        for outcome in outcomes:
            now = self._world.shard.alerts[outcome.alert.id]
            if (now.version, now.state) == (outcome.alert.version + 1, outcome.state):
                self._world.history.append(Recorded(now.ref, self.batch_at, now.state, list(outcome.firings)))


class Calm:
    """A ``Watch`` that only looks whether the life is over."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self.beat = beat

    def done(self, delivery: Delivery, found: Delivered, seconds: float) -> None:
        """See ``Watch``."""

    def held(self, delivery: Delivery, error: Transient, seconds: float) -> None:
        """See ``Watch``."""

    def buried(self, delivery: Delivery, error: Invalid) -> None:
        """See ``Watch``."""

    def away(self, what: str, error: Transient, seconds: float) -> None:
        """See ``Troubles``."""


class Place:
    """What the jobs ask of a ``Site``, over the memory of a world."""

    def __init__(self, world: "World", life: Life, making: Making, holder: str) -> None:
        self._world = world
        self._life = life
        self._making = making
        self._holder = holder
        self.settings = SETTINGS
        self.router = NO_DATABASES
        self.clock = world.clock
        self.pages = Pages(making.pages(world.pages), life)
        self._book = Book(self.pages)
        self._rows = MemoryAlertRows(world.shard, world.mint, world.clock)
        self.alerts = Alerts(self._rows, MemoryUsers(world.shard, world.mint), self._book, world.mint)

    def diff(self) -> Diff:
        """See ``Site``."""
        return Diff(self.pages)

    def match(self, confirm: Callable[[], None]) -> Match:
        """See ``Site``."""
        ledger = MemoryAlertLedger(self._world.shard, self._world.mint)
        return Match(Ledger(self._making.ledger(ledger, self._world), self._life), self._making.confirm(confirm))

    def notify(self, channel: Channel, *, shared: bool) -> Notify:
        """See ``Site``."""
        lease = Lease(self._holder, LEASE_MS) if self._making.leased else None
        inner = MemoryNotifications(self._world.shard, self._world.clock, lease)
        inboxes = Inboxes(self._making.notifications(inner), inner, self._life)
        sending = Sending(channel, self._life)
        return Notify(inboxes, self._rows, self._book, sending, self._world.mint, at_once=1 if shared else 1_000)


class Process:
    """A process with one worker; ``worker`` does the real one's work until this process crashes."""

    def __init__(self, world: "World", name: str) -> None:
        life = Life(world)
        self.shutdown = Shutdown()
        self.connection = life.connection = Connection(
            world.post, life, queues_of(CONSUMED[name], world.partitions(name))
        )
        broker = world.making.broker(self.connection)
        place = Place(world, life, world.making, f"{name} {world.numbered()}")
        # Everything that a job asks of a site is there.
        plant = Plant(cast("Site", place), broker, Routes(Headings(world.clock)))
        job = _job(name, plant, world)
        self.worker = Worker(
            broker,
            queues_of(CONSUMED[name], world.partitions(name)),
            replace(job, stage=Steps(world.making.stage(job.stage), life)),
            dead=DeadLetters(broker, job.kind.KIND, DEAD_LETTER_LIMIT, world.clock),
            shutdown=self.shutdown,
            watch=Calm(lambda: world.look(self.shutdown)),
            put_off=putter_off(broker),
            now=world.seconds,
            cpu=world.seconds,
            backoff=Backoff(most=1.0, chance=world.random.random),
        )


def _job(name: str, plant: Plant, world: "World") -> Job:
    if name == "price":
        return price_job(plant)
    if name == "alert":
        return alert_job(plant, world.partitions(name))
    job = notify_job(plant, world, by_clock=False)
    kept = [chore for chore in job.chores if world.tells or chore.name == "sweep"]
    return replace(job, chores=kept)
