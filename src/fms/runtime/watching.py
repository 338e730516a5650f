"""Tells people and machines what a worker does: a log line per batch, metrics, and whether it is ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from fms.errors import Invalid, Transient
from fms.metrics import Metrics
from fms.model.clock import SECOND_MS, Clock
from fms.ports import Delivery
from fms.queues.wire import AT, BATCH, RUN
from fms.runtime.delivery import Delivered


class Log(Protocol):
    """A structured log: constant text, values as fields."""

    def info(self, event: str, **fields: Any) -> Any:
        """Something happened as it should."""
        ...

    def warning(self, event: str, **fields: Any) -> Any:
        """Something did not, and is seen to."""
        ...

    def error(self, event: str, **fields: Any) -> Any:
        """Somebody must act."""
        ...


@dataclass
class Progress:
    """How far a worker has come with a queue. ``published_at``: of the message that it took last, UTC ms."""

    messages: int = 0
    rows: int = 0
    published_at: int | None = None

    def add(self, rows: int, published_at: int | None) -> None:
        """Another message is done."""
        self.messages += 1
        self.rows += rows
        self.published_at = published_at


class Watching:
    """A ``Watch`` that logs and counts.

    Args:
        log: where events go.
        metrics: of this worker.
        counts: what the stage has counted.
        clock: UTC ms, for the age of messages.
        beat: what else is to be done now and then.

    Attributes:
        progress: by queue.
    """

    def __init__(
        self,
        log: Log,
        metrics: Metrics,
        counts: Callable[[], Mapping[str, int]],
        clock: Clock,
        beat: Callable[[], None],
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._counts = counts
        self._clock = clock
        self._beat = beat
        self.progress: dict[str, Progress] = {}

    def done(self, delivery: Delivery, found: Delivered, seconds: float) -> None:
        """See Watch."""
        age = self._age(delivery)
        self.progress.setdefault(delivery.queue, Progress()).add(found.rows, _published_at(delivery))
        self._metrics.outcome("done")
        self._metrics.rows.inc(found.rows)
        self._metrics.published.inc(found.published)
        self._metrics.seconds.observe(seconds)
        self._metrics.age.set(age)
        self._metrics.show(self._counts())
        self._log.info(
            "batch done", **_named(delivery), rows=found.rows, published=found.published,
            seconds=round(seconds, 4), age=round(age, 3),
        )  # fmt: skip

    def held(self, delivery: Delivery, error: Transient, seconds: float) -> None:
        """See Watch."""
        self._metrics.outcome("held" if seconds else "put_off")
        event = "batch held, tried again" if seconds else "batch put off"
        self._log.warning(event, **_named(delivery), why=str(error), seconds=round(seconds, 2))

    def buried(self, delivery: Delivery, error: Invalid) -> None:
        """See Watch."""
        self._metrics.outcome("dead")
        self._metrics.dead.inc()
        self._log.error("message is a dead letter", **_named(delivery), why=str(error))

    def away(self, what: str, error: Transient, seconds: float) -> None:
        """See Watch."""
        self._metrics.troubles.inc()
        self._log.warning("tried again", what=what, why=str(error), seconds=round(seconds, 2))

    def beat(self) -> None:
        """See Watch."""
        self._beat()

    def _age(self, delivery: Delivery) -> float:
        published = _published_at(delivery)
        return 0.0 if published is None else max(0, self._clock() - published) / SECOND_MS


def _published_at(delivery: Delivery) -> int | None:
    published = delivery.headers.get(AT)
    return published if isinstance(published, int) else None


def _named(delivery: Delivery) -> dict[str, Any]:
    headers = delivery.headers
    # The beginnings of ids are enough to find a line by, and fit a terminal.
    return {"queue": delivery.queue, "batch": str(headers.get(BATCH, "?"))[:8], "run": str(headers.get(RUN, "?"))[:8]}
