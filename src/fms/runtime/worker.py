"""A worker: takes messages one by one until it is told to stop, or until its queues are empty."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from fms.errors import Disconnected, Invalid, Transient
from fms.ports import Broker, Delivery
from fms.runtime.deadletters import DeadLetters
from fms.runtime.delivery import Delivered, deliver
from fms.runtime.job import Chore, Job
from fms.runtime.patience import TICK_SECONDS, Patience, Troubles
from fms.runtime.retry import Backoff
from fms.runtime.shutdown import Shutdown

CHORE_SECONDS = 1.0
"""Steps of a chore that are done between two messages take so long, and the last of them."""


class Watch(Troubles, Protocol):
    """Whoever wants to know what a worker does: logs, metrics, health."""

    def done(self, delivery: Delivery, found: Delivered, seconds: float) -> None:
        """A message is done."""
        ...

    def held(self, delivery: Delivery, error: Transient, seconds: float) -> None:
        """A message is tried again after so many seconds; 0: it was put off."""
        ...

    def buried(self, delivery: Delivery, error: Invalid) -> None:
        """A message became a dead letter."""
        ...


@dataclass
class Tally:
    """What a worker did: messages and their rows, letters sent on, their bodies' bytes, and dead letters.

    Attributes:
        busy_seconds: from taking the first message to having done with the last one.
        cpu_seconds: of the whole process in that time.
    """

    messages: int = 0
    rows: int = 0
    published: int = 0
    published_bytes: int = 0
    dead: int = 0
    busy_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, found: Delivered) -> None:
        """Count another message."""
        self.messages += 1
        self.rows += found.rows
        self.published += found.published
        self.published_bytes += found.published_bytes


class Worker:
    """Runs a job over the queues of a broker.

    Args:
        broker: consumes the job's queues.
        queues: which: of them, empty means drained.
        job: what to do.
        dead: where undecodable messages go.
        shutdown: when to stop.
        watch: told of everything.
        put_off: publishes a message to come again later; only for jobs that put off.
        now: seconds that only grow.
        cpu: CPU seconds of this process.
        backoff: how long what fails for now is held.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Sequence[str],
        job: Job,
        *,
        dead: DeadLetters,
        shutdown: Shutdown,
        watch: Watch,
        put_off: Callable[[Delivery], None] | None = None,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
        backoff: Backoff = Backoff(),
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._job = job
        self._dead = dead
        self._shutdown = shutdown
        self._watch = watch
        self._put_off = put_off if job.puts_off else None
        self._now = now
        self._cpu = cpu
        self._first: tuple[float, float] | None = None
        self._patience = Patience(broker, shutdown, watch, now, backoff)
        self._due = dict.fromkeys((chore.name for chore in job.chores), now())
        self._begun: dict[str, Iterator[object]] = {}
        self.tally = Tally()

    def run(self) -> None:
        """Work until told to stop. Raises Fatal; what is held then comes again."""
        while self._patience.insist("broker", self._round):
            pass

    def drain(self) -> None:
        """Work until the queues are empty, or told to stop. Raises Fatal."""
        for what, do in (("begin", self._job.begin), ("drain", self._drain), ("finish", self._job.finish)):
            self._patience.insist(what, do)

    def _round(self) -> None:
        delivery = self._broker.next(0 if self._begun else TICK_SECONDS)
        if delivery is not None:
            self._handle(delivery)
        for chore in self._job.chores:
            if self._now() >= self._due[chore.name] and (delivery is None or not chore.idle):
                self._do(chore)
        self._watch.beat()

    def _drain(self) -> None:
        empty = 0
        # A message may be on its way here while the queue already counts without it: look twice.
        while empty < 2 and not self._shutdown.wanted:
            delivery = self._broker.next(TICK_SECONDS)
            self._watch.beat()
            if delivery is not None:
                self._handle(delivery)
                empty = 0
            else:
                empty = 0 if self._broker.depth(self._queues) else empty + 1

    def _handle(self, delivery: Delivery) -> None:
        """Carry a message through, however often that takes; leave it, to come again, if its connection is lost."""
        tries = 0
        self._first = self._first or (self._now(), self._cpu())
        while True:
            try:
                self._try(delivery)
            except Disconnected:
                raise
            except Transient as error:
                tries += 1
                if self._after(error, delivery, tries):
                    continue
            return

    def _try(self, delivery: Delivery) -> None:
        began = self._now()
        try:
            found = deliver(delivery, self._job.kind, self._job.stage, self._job.route, self._broker)
        except Invalid as error:
            self._dead.bury(delivery, str(error))
            self.tally.dead += 1
            self._watch.buried(delivery, error)
        else:
            self.tally.add(found)
            self._watch.done(delivery, found, self._now() - began)
        self._note_time()

    def _note_time(self) -> None:
        first, cpu = self._first or (self._now(), self._cpu())
        self.tally.busy_seconds = round(self._now() - first, 3)
        self.tally.cpu_seconds = round(self._cpu() - cpu, 3)

    def _after(self, error: Transient, delivery: Delivery, tries: int) -> bool:
        """What follows a failure for now: put the message off, or hold it for a while. Whether to try it again."""
        if self._put_off is not None and self._is_put_off(delivery, self._put_off):
            self._watch.held(delivery, error, 0)
            return False
        seconds = self._patience.backoff.seconds(tries)
        self._watch.held(delivery, error, seconds)
        self._patience.wait(seconds)
        return not self._shutdown.wanted

    def _is_put_off(self, delivery: Delivery, put_off: Callable[[Delivery], None]) -> bool:
        """Whether the message is put off. What cannot be, as where it would wait is full, is held like any other."""
        try:
            put_off(delivery)
        except Disconnected:
            raise
        except Transient:
            return False
        return True

    def _do(self, chore: Chore) -> None:
        """Begin a chore or go on with it for a while; when it is through it is due again later."""
        try:
            steps = self._begun.pop(chore.name, None) or chore.do()
            until = self._now() + CHORE_SECONDS
            if steps and any(self._now() >= until for _ in steps):
                self._begun[chore.name] = steps
                return
        except Transient as error:
            self._watch.away(chore.name, error, chore.seconds)
        self._due[chore.name] = self._now() + chore.seconds
