"""A run: every file through the four stages in one process; then what is still true is told."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fms.ahead import batches_ahead
from fms.bootstrap import Site
from fms.model.document import Reject, Source
from fms.model.fare import FareBatch
from fms.model.notification import OutboxBatch
from fms.pipeline import Pipeline
from fms.ports import Channel
from fms.stages.diff import Diff
from fms.stages.ingest import Ingest
from fms.stages.notify import Notify
from fms.telling import tell_all


@dataclass
class Report:
    """What a run did: ``documents = accepted + rejected``, and ``accepted`` is the sum of the five counts after it.

    Attributes:
        notifications: rows that are new in their users' inboxes.
        told: how many rows ended in each status.
    """

    documents: int = 0
    accepted: int = 0
    rejected: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    late: int = 0
    unchanged: int = 0
    first_seen: int = 0
    moved: int = 0
    gone: int = 0
    notifications: int = 0
    seconds: float = 0.0
    told: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The report as an object for JSON."""
        return asdict(self)


def replay(
    site: Site,
    sources: Iterable[Source],
    *,
    observed_at: int | None = None,
    prime: bool = False,
    deliveries: int = 1,
    channel: Channel | None = None,
    on_reject: Callable[[Reject], None] | None = None,
    on_progress: Callable[[str, int, int | None, int], None] | None = None,
) -> Report:
    """Run files through the site, and tell what fired and is still true.

    Args:
        site: whose run lock the caller holds.
        sources: where the fares come from, one after the other.
        observed_at: UTC ms, of documents that do not say; default: now.
        prime: load the price book without passing changes on.
        deliveries: see ``Pipeline``.
        channel: how users hear; default: printed.
        on_reject: given every document that was set aside.
        on_progress: see ``Ingest``.
    """
    started = time.perf_counter()
    ingest = site.ingest(observed_at=observed_at, on_reject=on_reject, on_progress=on_progress)
    diff, notify = site.diff(prime=prime), site.notify(channel)
    pipeline = Pipeline(diff, site.match(), notify, deliveries=deliveries)
    _judge(site, notify)
    for source in sources:
        for batch in _batches(site, ingest, source):
            pipeline.feed(batch)
            # Alerts that were made or edited meanwhile are judged between two batches, never within one.
            _judge(site, notify)
    _judge(site, notify)
    tell_all(site, notify, site.pages.newest())
    return _report(ingest, diff, notify, time.perf_counter() - started)


def _batches(site: Site, ingest: Ingest, source: Source) -> Iterator[FareBatch]:
    """The batches of a file; of a large one a second process makes them."""
    at_least = site.settings.read_ahead_mb * 1_000_000
    file = Path(source.name)
    if at_least and file.is_file() and file.stat().st_size >= at_least:
        return batches_ahead(ingest, source)
    return ingest.batches(source)


def evaluate(site: Site, channel: Channel | None = None) -> None:
    """Judge the alerts that were made, edited or resumed, and tell those whose wish is already fulfilled.

    Where there is a broker, telling is left to the notify worker.
    """
    if site.settings.broker_url is not None:
        site.alerts.evaluate_owed()
        return
    notify = site.notify(channel)
    _evaluate(site, notify)
    tell_all(site, notify, site.pages.newest())


def _judge(site: Site, notify: Notify) -> None:
    """Judge the alerts that were made or changed, and look for what passed by those that the API has judged itself.

    It does so while a run is between two of its steps. Now whatever the book has is matched: nobody but this run
    feeds it. Until the next batch nothing that passed them by can have been undone again.
    """
    _evaluate(site, notify)
    for messages in site.alerts.catch_up(whenever=True):
        notify.process(OutboxBatch.of_messages(messages))


def _evaluate(site: Site, notify: Notify) -> None:
    if messages := site.alerts.evaluate_owed():
        notify.process(OutboxBatch.of_messages(messages))


def _report(ingest: Ingest, diff: Diff, notify: Notify, seconds: float) -> Report:
    seen = ingest.counts
    statuses = sorted(notify.counts.items())
    return Report(
        documents=seen.documents,
        accepted=seen.accepted,
        rejected=seen.rejected,
        rejected_by_reason=dict(sorted(seen.rejected_by_reason.items())),
        **asdict(diff.counts),
        notifications=notify.counts["notifications"],
        seconds=round(seconds, 3),
        told={status: count for status, count in statuses if status not in ("notifications", "pushes")},
    )
