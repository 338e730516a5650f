"""Every metric of a worker: name, unit and meaning, once."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Bounds of the buckets of ``fms_batch_seconds``."""

API_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Bounds of the buckets of ``fms_api_seconds``."""


class Metrics:
    """The metrics of one process, in a registry of their own.

    Args:
        stage: the worker's name; a label of every metric.

    Attributes:
        registry: for whoever shows them.
    """

    def __init__(self, stage: str) -> None:
        self.registry = CollectorRegistry()
        self._stage = stage
        self._messages = Counter(
            "fms_messages",
            "Messages, by what became of them: done, held, put_off, dead.",
            ["stage", "outcome"],
            registry=self.registry,
        )
        self._counts = Gauge(
            "fms_stage_rows",
            "What the stage made of its rows since it started, by kind.",
            ["stage", "kind"],
            registry=self.registry,
        )
        self.rows = self._counter("fms_rows", "Rows of the messages that are done.")
        self.published = self._counter("fms_published", "Messages published and confirmed.")
        self.troubles = self._counter("fms_troubles", "Times that a service was away or lost a race.")
        self.dead = self._counter("fms_dead_letters", "Messages that became dead letters.")
        self.age = self._gauge("fms_message_age_seconds", "Age of the message that was taken last, when it was taken.")
        self.connections = self._gauge("fms_connections", "Connections made to the broker since the start.")
        self.blocked = self._gauge("fms_blocked", "1 while the broker takes no messages, for want of room.")
        self.seconds = Histogram(
            "fms_batch_seconds",
            "Seconds from taking a message to acknowledging it.",
            ["stage"],
            buckets=BATCH_SECONDS,
            registry=self.registry,
        ).labels(stage)

    def outcome(self, name: str) -> None:
        """Count one message."""
        self._messages.labels(self._stage, name).inc()

    def show(self, counts: Mapping[str, int]) -> None:
        """The counts of the stage as they are now."""
        for kind, count in counts.items():
            self._counts.labels(self._stage, kind).set(count)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, ["stage"], registry=self.registry).labels(self._stage)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, ["stage"], registry=self.registry).labels(self._stage)
