"""One simulated life of a site: its memory, its processes, and what happens to them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from fms.db.memory.alerts import MemoryAlertRows
from fms.db.memory.shard import MemoryShard
from fms.model.ids import IdMint
from fms.model.notification import Push
from fms.model.route import PARTITIONS
from fms.queues.memory import MemoryQueues
from fms.queues.topology import CHANGES, FARES, OUTBOX, dead_letters_of, queue_of
from fms.runtime.patience import Patience
from fms.runtime.retry import Backoff
from fms.runtime.shutdown import Shutdown
from fms.workers import Feeder
from tests.simulation.connections import Connection, Post
from tests.simulation.faults import Crash, Faults
from tests.simulation.feeds import END, book_of, feed_of
from tests.simulation.forgetting import Forgetting
from tests.simulation.processes import Calm, Life, Making, Process, Recorded
from tests.simulation.strands import Strands

POISON = b"no batch"
IDLE_LOOKS = 12
"""So often in a row nothing waits before a life is over."""

MOST_TURNS = 4_000


@dataclass(frozen=True)
class Kind:
    """What sort of life it is.

    Attributes:
        single: whether queues have a single active consumer.
        tells: whether users are told meanwhile; else only at the end, as of one time, and always the same.
        forgets: whether the price book may forget or go back in time.
        poisoned: whether a message comes that cannot be decoded.
    """

    single: bool = True
    tells: bool = False
    forgets: bool = False
    poisoned: bool = False


@dataclass(frozen=True)
class Told:
    """A push that somebody heard: its id, its user, when, and the revision of each row in it."""

    group: UUID
    user: str
    now: int
    rows: dict[UUID, int]


@dataclass
class World:
    """Everything that outlives a process.

    Args:
        number: of the feed.
        kind: what sort of life it is.
        random: decides everything.
        faults: what strikes.
        making: how processes are put together.
    """

    number: int
    kind: Kind
    random: Random
    faults: Faults
    making: Making = field(default_factory=Making)

    def __post_init__(self) -> None:
        self._ms = END
        self.restless = self.random.choice((0.1, 0.3, 0.6))
        self._processes = 0
        self._publishing = 0
        self._idle = 0
        self._at_work = False
        self.over = False
        self.feed = feed_of(self.number, orderly=self.kind.forgets)
        self.strands = Strands(self.random)
        self.mint = IdMint(self.clock)
        self.post = Post(MemoryQueues(single=self.kind.single), frozenset((FARES, CHANGES)))
        self.pages = book_of(self.number, orderly=self.kind.forgets, forgetful=self.kind.forgets)
        self.forgetting = Forgetting(self.pages, self.faults)
        self.shard = MemoryShard(users={user.id: user for user in self.feed.users})
        self.heard: list[Told] = []
        self.history: list[Recorded] = []
        MemoryAlertRows(self.shard, self.mint, self.clock).add(self.feed.alerts)

    # Time and chance

    def clock(self) -> int:
        """UTC ms."""
        return self._ms

    def seconds(self) -> float:
        """Seconds that only grow."""
        return self._ms / 1000

    def tick(self) -> None:
        """A little time passes at every point."""
        self._ms += int(self.random.random() * 6)
        if self.history:
            # What an evaluation can measure from must be known then.
            self.forgetting.tick()

    def pass_time(self, seconds: float) -> None:
        """Time passes for whoever waits, and for the others as well."""
        self._ms += 1 + int(self.random.random() * seconds * 1000)

    def numbered(self) -> int:
        """The number of a new process."""
        self._processes += 1
        return self._processes

    # What processes do to the world

    @property
    def tells(self) -> bool:
        """Whether users are told meanwhile."""
        return self.kind.tells

    def partitions(self, name: str) -> list[int]:
        """The partitions that something can come from to a worker."""
        return list(range(PARTITIONS)) if name == "notify" else self.feed.partitions

    def send(self, push: Push, now: int) -> None:
        """A user hears: this is the ``Channel`` of all."""
        rows = {row.message.notification_id: row.message.revision for row in push.rows}
        self.heard.append(Told(push.group_id, push.user.email, now, rows))

    def look(self, shutdown: Shutdown) -> None:
        """A worker is idle, and looks whether there is anything left to do."""
        if not self._at_work:
            return
        waits = self._publishing or self.post.depth > len(self.dead())
        self._idle = 0 if waits else self._idle + 1
        self.over = self.over or self._idle > IDLE_LOOKS or self.strands.turns > MOST_TURNS
        shutdown.wanted = self.over

    def waiting(self, kind: str) -> int:
        """Messages of a kind that wait."""
        return sum(len(self.post.queues.waiting[queue_of(kind, number)]) for number in range(PARTITIONS))

    def dead(self) -> list[bytes]:
        """The dead letters."""
        return [
            body for kind in (FARES, CHANGES, OUTBOX) for body, _ in self.post.queues.waiting[dead_letters_of(kind)]
        ]

    # The life itself

    def live(self) -> None:
        """With whatever strikes, until all is told; the last who look are struck by nothing."""
        twice = self.random.choice((1, 2))
        self.strands.run(*[self._drained("alert")] * twice)
        self._note_evaluated()
        self._poison()
        feeds = [self._published(name) for name in self.feed.runs]
        workers = [
            self._working(name) for name in ("price", "alert", "notify") for _ in range(self.random.choice((1, 2, 2)))
        ]
        self._publishing, self._at_work = len(feeds), True
        self.strands.run(*feeds, *workers)
        self._at_work = False
        self._end(twice)

    def _end(self, twice: int) -> None:
        with self._quiet():
            self.drain("price", "alert")
        self.strands.run(*[self._drained("notify")] * twice)
        with self._quiet():
            self.drain("price", "alert", "notify")

    def live_undisturbed(self) -> None:
        """One after the other."""
        with self._quiet():
            self.drain("alert")
            self._note_evaluated()
            self._poison()
            for name in self.feed.runs:
                self._published(name)()
            self.drain("price", "alert", "notify")

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        left, self.faults.left = self.faults.left, 0
        yield
        self.faults.left = left

    def drain(self, *names: str) -> None:
        """What commands with ``--once`` do."""
        for name in names:
            self._drained(name)()

    def _drained(self, name: str) -> Callable[[], None]:
        return lambda: self._until_done(name, lambda process: process.worker.drain())

    def _working(self, name: str) -> Callable[[], None]:
        def work() -> None:
            while not self.over:
                self._until_done(name, lambda process: process.worker.run())

        return work

    def _until_done(self, name: str, do: Callable[[Process], None]) -> None:
        done = False
        while not done:
            process = Process(self, name)
            try:
                do(process)
                done = True
            except Crash:
                self.strands.give_way(self.random.randint(0, 20))
            process.connection.cut()

    def _published(self, name: str) -> Callable[[], None]:
        def publish() -> None:
            life = Life(self)
            connection = life.connection = Connection(self.post, life)
            backoff = Backoff(most=1.0, chance=self.random.random)
            patience = Patience(connection, Shutdown(), Calm(lambda: None), self.seconds, backoff)
            Feeder(connection, self.clock, patience, name).feed(self.feed.runs[name])

        def insist() -> None:
            try:
                publish()
            except Crash:
                # Whoever takes it up begins with the first batch again.
                insist()

        def run() -> None:
            insist()
            self._publishing -= 1

        return run

    def _poison(self) -> None:
        if self.kind.poisoned:
            queue = queue_of(FARES, self.random.choice(self.feed.partitions))
            self.post.queues.waiting[queue].append((POISON, {}))

    def _note_evaluated(self) -> None:
        self.history += [Recorded(one.ref, 0, one.state, []) for one in self.shard.alerts.values()]
