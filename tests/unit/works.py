"""A worker between queues in memory, and a stage that does what a test wants."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from fms.errors import Transient
from fms.model.change import FELL, ChangeBatch
from fms.model.route import partition_of_od
from fms.ports import Delivery, Headers
from fms.queues.memory import MemoryQueues
from fms.queues.topology import CHANGES, OUTBOX, dead_letters_of, queue_of
from fms.queues.wire import Headings, Letter, packed
from fms.runtime.deadletters import DeadLetters
from fms.runtime.job import Job
from fms.runtime.shutdown import Shutdown
from fms.runtime.worker import Worker
from fms.workers import putter_off
from tests.builders import change, change_batch
from tests.unit.runtime_tools import STEADY, Diary, Time, WaitingBroker

PARTITION = partition_of_od("JFK-LHR")
QUEUE, NEXT, DEAD = queue_of(CHANGES, PARTITION), queue_of(OUTBOX, 3), dead_letters_of(CHANGES)
PRICES = (30_000, 29_000, 28_000)
POISON = b"no batch"


class Passing:
    """A stage whose output is empty; what it does with a batch is up to the test."""

    def __init__(self) -> None:
        self.prices: list[int] = []
        self.settled = 0
        self.before: Callable[[int], None] = lambda _price: None

    def process(self, batch: ChangeBatch) -> ChangeBatch:
        [price] = [one.fare.price for one in batch.rows()]
        self.before(price)
        self.prices.append(price)
        return batch

    def settle(self) -> None:
        self.settled += 1

    def fail(self, *times: int) -> None:
        """Fail for now when these prices come, each as often as it is named."""
        left = deque(times)

        def fail(price: int) -> None:
            if price in left:
                left.remove(price)
                raise Transient("away")

        self.before = fail


class Works:
    """A worker and all around it; its stage's output is published as one letter to ``NEXT``."""

    def __init__(self, *, puts_off: bool = False, limit: int | None = None) -> None:
        self.time = Time()
        self.queues = MemoryQueues(limit)
        self.broker = WaitingBroker(self.queues, [QUEUE])
        self.broker.time = self.time
        self.shutdown = Shutdown()
        self.diary = Diary()
        self.stage = Passing()
        self.job = Job("alert", ChangeBatch, self.stage, self.route, dict, puts_off=puts_off)

    @staticmethod
    def route(batch: ChangeBatch, made_from: Headers) -> Sequence[Letter]:
        return [Letter(NEXT, b"%d" % len(batch), made_from)]

    def worker(self, *, dead: int = 10, put_off: Callable[[Delivery], None] | None = None) -> Worker:
        return Worker(
            self.broker,
            [QUEUE],
            self.job,
            dead=DeadLetters(self.broker, CHANGES, dead, lambda: 7),
            shutdown=self.shutdown,
            watch=self.diary,
            put_off=put_off or putter_off(self.broker),
            now=self.time.now,
            backoff=STEADY,
        )

    def publish(self, *prices: int) -> None:
        headings = Headings(lambda: 0)
        for price in prices:
            batch = replace(change_batch([change(FELL, 40_000, price=price)]), partition=PARTITION)
            self.broker.publish(QUEUE, packed(batch), headings.of(batch))

    def waiting(self, queue: str) -> int:
        return len(self.queues.waiting[queue])

    def stop_when_idle(self, beats: int = 3) -> None:
        """Wish for the end after so many rounds without a message."""
        beat = self.diary.beat

        def stop() -> None:
            beat()
            self.shutdown.wanted = not self.waiting(QUEUE) and self.diary.beats >= beats

        self.diary.beat = stop  # type: ignore[method-assign]  # the diary of this test
