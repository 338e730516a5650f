"""Whether and when a fired alert is told: match decides what is true, this decides whether it still is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fms.model.alert import Alert
from fms.model.clock import DAY_MS, date_of, utc_day
from fms.model.evaluation import KnownFare, wanted
from fms.model.fare import Fare
from fms.model.notification import (
    ALREADY_TOLD,
    CANCELLED,
    COOLING,
    GONE,
    HELD,
    SENDING,
    SUPERSEDED,
    Notification,
)
from fms.ports import Known

COOLING_MS = DAY_MS
"""One alert is told at most once in this time, unless the price has fallen by ``WORTH_IT_BP`` again."""

WORTH_IT_BP = 500


@dataclass(frozen=True)
class Judged:
    """What to do with one row: its new status and, if it shall be told, the fare to show."""

    status: str
    found: KnownFare | None = None
    release_at: int | None = None

    def applied_to(self, row: Notification) -> Notification:
        """The row after this judgement."""
        changed = replace(row, status=self.status, release_at=self.release_at)
        if self.found is None:
            return changed
        return replace(changed, told=self.found.fare, told_series=self.found.series)


def newest_first(rows: Sequence[Notification]) -> list[Notification]:
    """One alert's rows, the last firing first."""
    return sorted(rows, key=lambda row: (row.message.fare.observed_at, row.message.notification_id), reverse=True)


def is_void(row: Notification, alert: Alert | None) -> bool:
    """Whether the alert that fired was deleted, paused or edited since: the row is not told any more."""
    return alert is None or alert.paused or alert.edition != row.message.edition


def cancelled(row: Notification) -> Notification:
    """A row that is void."""
    return Judged(CANCELLED).applied_to(row)


def superseded(row: Notification) -> Notification:
    """A row that a newer firing of its alert has made pointless."""
    return Judged(SUPERSEDED).applied_to(row)


def judge(row: Notification, alert: Alert, told: Sequence[Notification], known: Known, now: int) -> Judged:
    """Judge the newest row of an alert that is not void, before anything is sent.

    Args:
        row: fired, not told yet.
        alert: as it is now.
        told: earlier tellings of this alert, newest first.
        known: what the book knows of the alert's O&D within its dates.
        now: UTC ms.

    Answers ``sending`` with the fare to show, or what becomes of the row instead.
    """
    message = row.message
    if alert.snoozed_until is not None and alert.snoozed_until > now:
        return Judged(HELD, release_at=alert.snoozed_until)
    if message.evaluated and any(_told_this(row, earlier) for earlier in told):
        return Judged(ALREADY_TOLD)
    best = _best_now(row, alert, known, now)
    if best is None:
        return Judged(GONE)
    if told and (cool := _cooling_until(told[0], best.fare.price, now)):
        return Judged(COOLING, release_at=cool)
    return Judged(SENDING, best)


def _told_this(row: Notification, earlier: Notification) -> bool:
    same = earlier.told_series == row.message.series
    return same and earlier.told_price is not None and earlier.told_price <= row.message.fare.price


def _best_now(row: Notification, alert: Alert, known: Known, now: int) -> KnownFare | None:
    message = row.message
    fares = wanted(alert, (one for one in known.fares if one.series not in known.doubted), now)
    if fares and fares[0].fare.price <= message.trigger:
        return fares[0]
    day = message.fare.departure_date
    # A fare of a page that is missing or may have forgotten is unknown, not gone: say what was seen, and when.
    is_known = day in known.dates and message.series not in known.doubted
    return None if is_known or day < date_of(utc_day(now)) else KnownFare(message.series, message.fare)


def _cooling_until(last: Notification, price: int, now: int) -> int | None:
    if last.told_at is None or last.told_price is None:
        return None
    until = last.told_at + COOLING_MS
    worth_it = price * 10_000 <= last.told_price * (10_000 - WORTH_IT_BP)
    return None if worth_it or now >= until else until


def best_first(rows: Sequence[Notification]) -> list[Notification]:
    """Rows told together: by how far under its own threshold each is (basis points), then by departure."""
    return sorted(rows, key=lambda row: (-_bp_under(row), _shown(row).departure_date, row.message.notification_id))


def _bp_under(row: Notification) -> int:
    threshold = max(row.message.threshold, 1)
    return (threshold - _shown(row).price) * 10_000 // threshold


def _shown(row: Notification) -> Fare:
    return row.told or row.message.fare
