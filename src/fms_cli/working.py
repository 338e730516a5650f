"""What a worker process stands on: its broker, its endpoints, its log, and the end of all of them."""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Self

from fms.bootstrap import Site, open_broker
from fms.metrics import Metrics
from fms.queues.rabbitmq import Consuming, RabbitMQ
from fms.queues.topology import queue_of, queues_of
from fms.runtime.deadletters import DeadLetters
from fms.runtime.health import Endpoints
from fms.runtime.job import Chore, Job
from fms.runtime.logs import log_to_stderr
from fms.runtime.shutdown import Shutdown
from fms.runtime.supervisor import parent_is_gone
from fms.runtime.watching import Log, Watching
from fms.runtime.worker import Worker
from fms.settings import Settings
from fms.shards.reports import Report
from fms.workers import CONSUMED, PREFETCHED, Plant, putter_off, queues_to_drain

REPORT_SECONDS = 5.0


class Answering:
    """A worker's endpoints over HTTP, if it has a port; a context that answers what to call now and then.

    It closes the broker at its end.
    """

    def __init__(self, settings: Settings, metrics: Metrics, broker: RabbitMQ, shutdown: Shutdown, log: Log) -> None:
        self._settings = settings
        self._metrics = metrics
        self._broker = broker
        self._shutdown = shutdown
        self._log = log
        self._endpoints: Endpoints | None = None

    def __enter__(self) -> Callable[[], None]:
        host, port = self._settings.metrics_host, self._settings.metrics_port
        if port is not None:
            self._endpoints = Endpoints(host, port, self._metrics.registry, self._not_ready)
            self._log.info("answering", host=host, port=self._endpoints.port)
        return self._beat

    def __exit__(self, *_error: object) -> None:
        self._broker.close()
        if self._endpoints is not None:
            self._endpoints.close()

    def _beat(self) -> None:
        self._metrics.blocked.set(self._broker.blocked)
        self._metrics.connections.set(self._broker.connections)
        if self._endpoints is not None:
            self._endpoints.serve_pending()

    def _not_ready(self) -> str | None:
        if self._shutdown.wanted:
            return "stopping"
        return None if self._broker.connected else "no connection to the broker"


class Station:
    """Everything around one worker of a site; a context.

    Args:
        site: open.
        name: of the worker.
        partitions: those that it takes.
        shutdown: when to stop.
        supervised: whether to stop when stdin ends.

    Attributes:
        plant: what its job works with.
    """

    def __init__(
        self, site: Site, name: str, partitions: Sequence[int], shutdown: Shutdown, *, supervised: bool = False
    ) -> None:
        self._name = name
        self._site = site
        self._partitions = partitions
        self._shutdown = shutdown
        self._supervised = supervised
        self._began = time.monotonic()
        self._log = log_to_stderr(site.settings.log_format, worker=name)
        self._metrics = Metrics(name)
        self._consumer = consumer = f"{name}-{socket.gethostname()}-{os.getpid()}"
        claimed = not site.settings.single_active_consumer
        consuming = Consuming(queues_of(CONSUMED[name], partitions), PREFETCHED.get(name, 2), consumer, claimed=claimed)
        self._broker = open_broker(site.settings, consuming, self._beat)
        self._answering = Answering(site.settings, self._metrics, self._broker, shutdown, self._log)
        self.plant = Plant.of(site, self._broker)

    def __enter__(self) -> Self:
        self._serve = self._answering.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._answering.__exit__(*error)

    def worker(self, job: Job) -> Worker:
        """The worker that does a job here."""
        queues = queues_to_drain(self._name, self._partitions)
        dead = DeadLetters(self._broker, job.kind.KIND, self._site.settings.dead_letter_limit, self._site.clock)
        watching = Watching(self._log, self._metrics, job.counts, self._site.clock, self._beat)
        self._watching = watching
        self._log.info("started", partitions=list(self._partitions), pid=os.getpid())
        with_report = replace(job, chores=[*job.chores, Chore("report", REPORT_SECONDS, self.report)])
        return Worker(
            self._broker,
            queues,
            with_report,
            dead=dead,
            shutdown=self._shutdown,
            watch=watching,
            put_off=putter_off(self._broker),
        )

    def report(self) -> None:
        """Say in the catalog how far it has come."""
        progress = self._watching.progress
        queues = {queue_of(CONSUMED[self._name], partition): partition for partition in self._partitions}
        now = self._site.clock()
        self._site.reports.write(
            [
                Report(self._name, queues[queue], self._consumer, now, one.messages, one.rows, one.published_at)
                for queue, one in progress.items()
            ]
        )

    def summary(self, worker: Worker, job: Job) -> dict[str, Any]:
        """What the worker did."""
        counts: Mapping[str, int] = job.counts()
        seconds = round(time.monotonic() - self._began, 3)
        return asdict(worker.tally) | dict(sorted(counts.items())) | {"seconds": seconds}

    def _beat(self) -> None:
        self._serve()
        if self._supervised and not self._shutdown.wanted and parent_is_gone():
            self._log.warning("whoever looked after this process is gone: it ends")
            self._shutdown.ask()
