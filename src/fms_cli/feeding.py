"""Ingest before the queues: files that are replayed into the broker, and fares that are taken as they arrive."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fms.bootstrap import open_broker
from fms.errors import Invalid, Transient
from fms.metrics import Metrics
from fms.model.clock import system_clock
from fms.model.document import Source
from fms.runtime.logs import log_to_stderr
from fms.runtime.patience import TICK_SECONDS, Patience
from fms.runtime.shutdown import Shutdown
from fms.runtime.watching import Log
from fms.settings import Settings
from fms.sources.following import DONE, FAILED, Inbox, pieces_of
from fms.sources.mapping import Mapping, read_mapping
from fms.sources.open import open_source
from fms.stages.ingest import Ingest
from fms.workers import Feeder
from fms_cli.working import Answering

if TYPE_CHECKING:
    from fms.queues.rabbitmq import RabbitMQ


class Waits:
    """Told of troubles: one line each."""

    def __init__(self, log: Log, beat: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._beat = beat

    def away(self, what: str, error: Transient, seconds: float) -> None:
        """See Troubles."""
        self._log.warning("tried again", what=what, why=str(error), seconds=round(seconds, 2))

    def beat(self) -> None:
        """See Troubles."""
        self._beat()


def replay(settings: Settings, sources: Iterable[Source], ingest: Ingest, log: Log) -> dict[str, int | float]:
    """Publish files of fares; answers the messages, the bytes of their bodies, and what it took.

    Raises Transient if the broker is not there to begin with; later it is waited for.
    """
    broker = open_broker(settings)
    feeder = Feeder(broker, system_clock, Patience(broker, Shutdown(), Waits(log)))
    try:
        broker.connect()
        began, cpu = time.monotonic(), time.process_time()
        for source in sources:
            feeder.feed(ingest.batches(source))
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    finally:
        broker.close()
    took = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}
    return {"published": feeder.messages, "published_bytes": feeder.bytes} | took


class Follower:
    """Takes fares as they arrive, until it is told to stop.

    Args:
        broker: takes them.
        ingest: checks them.
        mapping: of CSV files.
        shutdown: when to stop. A file that was begun is then left, and begun again by the next.
        log: one line per file, or per half second of a stream that brought something.
        metrics: of this worker.
        beat: called while nothing comes.
    """

    def __init__(
        self,
        broker: "RabbitMQ",
        ingest: Ingest,
        mapping: Mapping | None,
        *,
        shutdown: Shutdown,
        log: Log,
        metrics: Metrics,
        beat: Callable[[], None],
    ) -> None:
        self._metrics = metrics
        self._broker = broker
        self._ingest = ingest
        self._mapping = mapping
        self._shutdown = shutdown
        self._log = log
        self._beat = beat
        self._patience = Patience(broker, shutdown, Waits(log, beat))
        self._feeder = Feeder(broker, system_clock, self._patience)
        ingest.on_reject = self._feeder.reject

    def directory(self, path: Path, *, once: bool) -> None:
        """Every file that is put there, by name; ``once``: those that are there now."""
        inbox = Inbox(path, settled=0 if once else 1)
        while not self._shutdown.wanted:
            waiting = inbox.waiting()
            for file in waiting:
                if not self._file(file, inbox):
                    return
            if once:
                return
            self._patience.insist("wait", lambda: self._broker.wait(TICK_SECONDS))
            self._beat()

    def stream(self, handle: int, name: str) -> None:
        """Lines, until the stream ends."""
        for piece in pieces_of(handle, name, self._tick):
            self._take(piece)

    def _tick(self) -> bool:
        self._patience.insist("wait", lambda: self._broker.wait(0))
        self._beat()
        return not self._shutdown.wanted

    def _file(self, file: Path, inbox: Inbox) -> bool:
        """Whether the file is through, well or badly."""
        try:
            through = self._take(open_source(str(file), self._mapping))
        except Invalid as error:
            inbox.put_away(file, FAILED)
            self._log.error("file cannot be read", file=file.name, why=str(error))
            return True
        if through:
            inbox.put_away(file, DONE)
        return through

    def _take(self, source: Source) -> bool:
        began, before, counts = time.monotonic(), self._feeder.messages, self._ingest.counts
        documents, rejected = counts.documents, counts.rejected
        through = self._feeder.feed(self._ingest.batches(source))
        self._metrics.rows.inc(counts.documents - documents)
        self._metrics.published.inc(self._feeder.messages - before)
        self._metrics.show({"accepted": counts.accepted, "rejected": counts.rejected})
        self._log.info(
            "fares published" if through else "stopped, to be begun again", source=Path(source.name).name,
            documents=counts.documents - documents, rejected=counts.rejected - rejected,
            messages=self._feeder.messages - before, seconds=round(time.monotonic() - began, 3),
        )  # fmt: skip
        return through


def follow(
    settings: Settings, where: str, mapping: Path | None, observed_at: int | None, shutdown: Shutdown, *, once: bool
) -> dict[str, object]:
    """Take what arrives in a directory, or on stdin (``-``), and publish it; answers the counts at the end."""
    metrics = Metrics("ingest")
    log = log_to_stderr(settings.log_format, worker="ingest")
    broker = open_broker(settings)
    ingest = Ingest(observed_at=observed_at, batch_rows=settings.batch_size)
    words = read_mapping(mapping) if mapping else None
    with Answering(settings, metrics, broker, shutdown, log) as beat:
        follower = Follower(broker, ingest, words, shutdown=shutdown, log=log, metrics=metrics, beat=beat)
        if where == "-":
            follower.stream(0, "stdin")
        else:
            follower.directory(Path(where), once=once)
    counts = ingest.counts
    return {name: getattr(counts, name) for name in ("documents", "accepted", "rejected", "rejected_by_reason")}
