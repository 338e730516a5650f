"""What a worker says that it did."""

from dataclasses import dataclass, replace

from fms.errors import Invalid, Transient
from fms.model.change import ChangeBatch
from fms.model.route import partition_of_od
from fms.ports import Delivery
from fms.queues.memory import MemoryBroker, MemoryQueues
from fms.queues.routes import Routes
from fms.queues.topology import CHANGES, queue_of
from fms.queues.wire import Headings, Letter
from fms.runtime.deadletters import DeadLetters
from fms.runtime.delivery import Delivered
from fms.runtime.job import Job
from fms.runtime.shutdown import Shutdown
from fms.runtime.worker import Tally, Worker
from tests.builders import change, change_batch

PARTITION = partition_of_od("JFK-LHR")
QUEUE = queue_of(CHANGES, PARTITION)
ROUTES = Routes(Headings(lambda: 0))


@dataclass
class Passing:
    """A stage that passes on what it takes, and takes two seconds for it, one of them of the processor."""

    now: float = 0
    cpu: float = 0

    def process(self, batch: ChangeBatch) -> ChangeBatch:
        self.now += 2
        self.cpu += 1
        return batch

    def settle(self) -> None:
        pass

    def idle(self) -> None:
        self.now += 10


class Silent:
    """Nobody who wants to know."""

    def done(self, delivery: Delivery, found: Delivered, seconds: float) -> None:
        pass

    def held(self, delivery: Delivery, error: Transient, seconds: float) -> None:
        pass

    def buried(self, delivery: Delivery, error: Invalid) -> None:
        pass

    def away(self, what: str, error: Transient, seconds: float) -> None:
        pass

    def beat(self) -> None:
        pass


def letter_of(rows: int) -> Letter:
    [letter] = ROUTES.by_route(replace(change_batch([change()] * rows), partition=PARTITION))
    return letter


def to_nobody(batch: ChangeBatch, _made_from: object) -> list[Letter]:
    return [replace(letter, queue="elsewhere") for letter in ROUTES.by_route(batch)]


def tally_of(letters: list[Letter]) -> Tally:
    broker, stage = MemoryBroker(MemoryQueues(), [QUEUE]), Passing()
    for letter in letters:
        broker.publish(QUEUE, letter.body, letter.headers)
    job = Job("price", ChangeBatch, stage, to_nobody, dict, begin=stage.idle, finish=stage.idle)
    dead = DeadLetters(broker, CHANGES, 10, lambda: 0)
    worker = Worker(
        broker,
        [QUEUE],
        job,
        dead=dead,
        shutdown=Shutdown(),
        watch=Silent(),
        now=lambda: stage.now,
        cpu=lambda: stage.cpu,
    )
    worker.drain()
    return worker.tally


def test_a_tally_counts_messages_rows_and_bytes_and_the_time_from_the_first_message_to_the_last() -> None:
    letters = [letter_of(1), letter_of(3), letter_of(2)]
    sent = sum(len(letter.body) for letter in letters)
    assert tally_of(letters) == Tally(3, 6, 3, sent, dead=0, busy_seconds=6, cpu_seconds=3)


def test_a_dead_letter_is_counted_apart() -> None:
    damaged = replace(letter_of(1), body=b"noise")
    tally = tally_of([damaged, letter_of(1)])
    assert (tally.messages, tally.dead, tally.busy_seconds) == (1, 1, 2)


def test_a_worker_that_took_nothing_was_not_busy() -> None:
    assert tally_of([]) == Tally()
