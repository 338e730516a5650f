"""How long everything that grows is kept: one rule per table, applied by ``fms db maintain``."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, and_, delete, exists, or_

from fms.db.partitions import drop_partitions
from fms.db.tables import (
    alert,
    alert_window,
    device,
    idempotency_key,
    notification,
    outbox,
    push,
    session,
    user_account,
)
from fms.model.alert import month_of
from fms.model.clock import DAY_MS, HOUR_MS, date_of
from fms.model.notification import OPEN
from fms.settings import Settings
from fms.shards.catalog import event, rebalance_job, slot_map, slot_move, worker_report
from fms.shards.catalog import shard as shard_table
from fms.shards.engine import take_time, writing
from fms.shards.ownership import WRITABLE, is_owned, slot_owner, slot_pass
from fms.shards.router import Router

Which = Callable[[int, Settings], ColumnElement[bool]]


@dataclass(frozen=True)
class Retention:
    """What becomes of a table's rows.

    Attributes:
        table: of a shard, or of the catalog.
        rule: in words.
        old: given the newest time known (UTC ms) and the settings, which rows go; None: none of them by this.
        by_clock: the time given is the clock's: the rows are of what people did, not of what was observed.
    """

    table: Table
    rule: str
    old: Which | None = None
    by_clock: bool = False


def _told_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    before = now - settings.keep_notifications_days * DAY_MS
    old = and_(notification.c.observed_at < before, notification.c.status.not_in(OPEN))
    return or_(old, _nobodys(notification))


def _nobodys(table: Table) -> ColumnElement[bool]:
    """Whether a row's user is gone: it was on its way while the account was being deleted.

    A user lies in the same slot as the row, and is there before it.
    """
    return ~exists().where(user_account.c.id == table.c.user_id)


def _handed_over_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    before = now - settings.keep_outbox_days * DAY_MS
    return and_(outbox.c.observed_at < before, outbox.c.handed_over >= outbox.c.revision)


def _expired_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    return alert.c.depart_to < date_of(now // DAY_MS - settings.keep_expired_alerts_days)


def _pushed_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    return or_(push.c.told_at < now - settings.keep_outbox_days * DAY_MS, _nobodys(push))


def _orphaned(_now: int, _settings: Settings) -> ColumnElement[bool]:
    return ~exists().where(alert.c.id == alert_window.c.alert_id)


def _ended_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    return or_(session.c.expires_at < now - settings.keep_sessions_days * DAY_MS, _nobodys(session))


def _retired_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    return or_(device.c.retired_at < now - settings.keep_sessions_days * DAY_MS, _nobodys(device))


def _repeatable_no_more(now: int, settings: Settings) -> ColumnElement[bool]:
    return idempotency_key.c.created_at < now - settings.keep_idempotency_keys_hours * HOUR_MS


RETENTIONS = (
    Retention(alert, "keep_expired_alerts_days after the last departure wanted", _expired_long_ago),
    Retention(alert_window, "as long as its alert, and in PostgreSQL as its month: see drop_past_months", _orphaned),
    Retention(outbox, "keep_outbox_days after the observation, once handed over", _handed_over_long_ago),
    Retention(
        notification,
        "as its user, and keep_notifications_days after the observation, once its fate is decided",
        _told_long_ago,
    ),
    Retention(push, "as its user, and keep_outbox_days after it was told", _pushed_long_ago),
    Retention(user_account, "until its user deletes it: see Closing"),
    Retention(
        session, "as its user, and keep_sessions_days after its last token has expired", _ended_long_ago, by_clock=True
    ),
    Retention(device, "as its user, and keep_sessions_days after it was retired", _retired_long_ago, by_clock=True),
    Retention(idempotency_key, "keep_idempotency_keys_hours", _repeatable_no_more, by_clock=True),
    Retention(slot_owner, "for ever: one row per slot"),
    Retention(slot_pass, "never a row that is committed"),
    Retention(shard_table, "for ever"),
    Retention(slot_map, "for ever: one row per slot"),
    Retention(worker_report, "until the next report: one row per stage and partition"),
    Retention(rebalance_job, "keep_events_days after its last change unless it is under way: see Journal.forget"),
    Retention(slot_move, "as long as its rebalance_job"),
    Retention(event, "keep_events_days"),
)
"""In the order in which they are applied."""


def maintain(router: Router, settings: Settings, now: int, clock: int) -> dict[str, int]:
    """Delete what is old; answers table → rows deleted.

    Args:
        router: the shards.
        settings: how long what is kept.
        now: the newest time that the site knows, UTC ms, not the clock's: a replay of last year keeps its rows.
        clock: what the clock says, UTC ms, for what people did.
    """
    deleted = {retention.table.name: 0 for retention in RETENTIONS if retention.old}
    for shard in router.all():
        with writing(shard.engine) as connection:
            take_time(connection)
            for retention in RETENTIONS:
                if retention.old:
                    here = is_owned(retention.table, WRITABLE)
                    at = clock if retention.by_clock else now
                    rows = delete(retention.table).where(retention.old(at, settings), here)
                    deleted[retention.table.name] += connection.execute(rows).rowcount
    return deleted


def drop_past_months(router: Router, settings: Settings, now: int) -> int:
    """Drop the windows of months that ended keep_expired_alerts_days ago, whole partitions; answers how many.

    ``now`` as for ``maintain``.
    """
    first_kept = month_of(date_of(now // DAY_MS - settings.keep_expired_alerts_days))
    return sum(len(drop_partitions(shard.engine, first_kept)) for shard in router.all())
