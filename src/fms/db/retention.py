"""How long everything that grows is kept: one rule per table, applied by ``fms db maintain``."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select

from fms.db.tables import alert, alert_window, notification, outbox, push, user_account
from fms.model.clock import DAY_MS, date_of
from fms.model.notification import OPEN
from fms.settings import Settings
from fms.shards.engine import writing
from fms.shards.ownership import slot_owner
from fms.shards.router import Router

Which = Callable[[int, Settings], ColumnElement[bool]]


@dataclass(frozen=True)
class Retention:
    """What becomes of a table's rows.

    Attributes:
        table: of a shard.
        rule: in words.
        old: given the newest time known (UTC ms) and the settings, which rows go; None: none ever.
    """

    table: Table
    rule: str
    old: Which | None = None


def _told_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    before = now - settings.keep_notifications_days * DAY_MS
    return and_(notification.c.observed_at < before, notification.c.status.not_in(OPEN))


def _handed_over_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    before = now - settings.keep_outbox_days * DAY_MS
    return and_(outbox.c.observed_at < before, outbox.c.handed_over >= outbox.c.revision)


def _expired_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    return alert.c.depart_to < date_of(now // DAY_MS - settings.keep_expired_alerts_days)


def _pushed_long_ago(now: int, settings: Settings) -> ColumnElement[bool]:
    return push.c.told_at < now - settings.keep_outbox_days * DAY_MS


def _orphaned(_now: int, _settings: Settings) -> ColumnElement[bool]:
    return alert_window.c.alert_id.not_in(select(alert.c.id))


RETENTIONS = (
    Retention(alert, "keep_expired_alerts_days after the last departure wanted", _expired_long_ago),
    Retention(alert_window, "as long as its alert", _orphaned),
    Retention(outbox, "keep_outbox_days after the observation, once handed over", _handed_over_long_ago),
    Retention(notification, "keep_notifications_days after the observation, once its fate is decided", _told_long_ago),
    Retention(push, "keep_outbox_days after it was told", _pushed_long_ago),
    Retention(user_account, "for ever"),
    Retention(slot_owner, "for ever: one row per slot"),
)
"""In the order in which they are applied."""


def maintain(router: Router, settings: Settings, now: int) -> dict[str, int]:
    """Delete what is old; answers table → rows deleted.

    ``now``, in UTC ms, is the newest time that the site knows, not the clock's: a replay of last year keeps its rows.
    """
    deleted: dict[str, int] = {}
    for shard in router.all():
        with writing(shard.engine) as connection:
            for retention in RETENTIONS:
                name = retention.table.name
                deleted[name] = deleted.get(name, 0) + _apply(connection, retention, now, settings)
    return deleted


def _apply(connection: Connection, retention: Retention, now: int, settings: Settings) -> int:
    if retention.old is None:
        return 0
    return connection.execute(delete(retention.table).where(retention.old(now, settings))).rowcount
