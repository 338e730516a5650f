"""Match's view of the alerts: which of them may concern a batch of changes, and the one transaction that fires them."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from uuid import UUID

from sqlalchemy import Connection, bindparam, select, text

from fms.db.outbox import chunks, write_firings
from fms.db.rows import alert_of, state_values, window_trigger
from fms.db.tables import alert, alert_window, signed
from fms.model.alert import Alert, month_of
from fms.model.clock import date_of
from fms.model.ids import IdMint, slot_of_id
from fms.model.notification import Message
from fms.model.route import slot_of_od
from fms.ports import Outcome, Probe
from fms.shards.engine import reading, writing
from fms.shards.ownership import check_owned
from fms.shards.router import Router, Shard

# One seek per wish on the covering index. CROSS JOIN keeps the planner from turning the loop inside out;
# MATERIALIZED has the JSON taken apart once a wish, not once a window.
_WISHING = text(
    "WITH wish (market, month, day, price) AS MATERIALIZED"
    " (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(:wishes))"
    " SELECT DISTINCT w.alert_id FROM wish CROSS JOIN alert_window AS w INDEXED BY ix_alert_window_match"
    " WHERE w.market = wish.market AND w.month = wish.month AND w.trigger >= wish.price"
    " AND w.first_day <= wish.day AND w.last_day >= wish.day"
).columns(alert_id=alert_window.c.alert_id.type)
_HELD = text(
    "SELECT DISTINCT a.id FROM json_each(:holders) AS j CROSS JOIN alert AS a INDEXED BY ix_alert_holder"
    " WHERE a.holder = j.value"
).columns(id=alert.c.id.type)
_DEPARTED = text(
    "SELECT a.id FROM json_each(:days) AS j CROSS JOIN alert AS a INDEXED BY ix_alert_od_departed"
    " WHERE a.od = j.value ->> 0 AND a.holder_departure < j.value ->> 1 AND a.holder IS NOT NULL"
).columns(id=alert.c.id.type)
_ON_PAGES = text(
    "SELECT a.id FROM json_each(:pages) AS j CROSS JOIN alert AS a INDEXED BY ix_alert_od_departed"
    " WHERE a.od = j.value ->> 0 AND a.holder_departure = j.value ->> 1 AND a.holder IS NOT NULL"
).columns(id=alert.c.id.type)


class SqlAlertLedger:
    """The alert ledger over every shard."""

    def __init__(self, router: Router, mint: IdMint) -> None:
        self._router = router
        self._mint = mint

    def candidates(self, probe: Probe) -> list[Alert]:
        """See AlertLedger."""
        found: list[Alert] = []
        for shard, part in self._parts(probe):
            with reading(shard.engine) as connection:
                found += alerts_by_id(connection, sorted(_ids(connection, part))).values()
        return [alert for alert in found if not alert.paused]

    def _parts(self, probe: Probe) -> Iterator[tuple[Shard, Probe]]:
        for shard, ods in self._router.split({od for od, _ in probe.days}, slot_of_od):
            here = set(ods)
            wishes = [wish for wish in probe.wishes if wish[0] in here]
            holders = [holder for holder in probe.holders if holder[0] in here]
            days = [day for day in probe.days if day[0] in here]
            yield shard, Probe(wishes, holders, days, [page for page in probe.pages if page[0] in here])

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        """See AlertLedger."""
        messages: list[Message] = []
        changed: list[Alert] = []
        for shard, some in self._router.split(outcomes, lambda outcome: slot_of_id(outcome.alert.id)):
            with writing(shard.engine) as connection:
                check_owned(connection, {slot_of_id(outcome.alert.id) for outcome in some})
                versions = _versions(connection, [outcome.alert.id for outcome in some])
                same = [outcome for outcome in some if versions.get(outcome.alert.id) == outcome.alert.version]
                write_states(connection, same)
                messages += write_firings(connection, same, self._mint, evaluated=False)
                lost = sorted({o.alert.id for o in some} - {o.alert.id for o in same})
                changed += alerts_by_id(connection, [alert_id for alert_id in lost if alert_id in versions]).values()
        return messages, changed


@lru_cache(maxsize=4096)
def _month(day: int) -> int:
    return month_of(date_of(day))


def _ids(connection: Connection, probe: Probe) -> set[UUID]:
    wishes = [(signed(market), _month(day), day, price) for _, market, day, price in probe.wishes]
    found = set(connection.execute(_WISHING, {"wishes": json.dumps(wishes)}).scalars())
    holders = [signed(series) for _, series in probe.holders]
    found.update(connection.execute(_HELD, {"holders": json.dumps(holders)}).scalars())
    found.update(connection.execute(_DEPARTED, {"days": json.dumps(list(probe.days))}).scalars())
    if probe.pages:
        found.update(connection.execute(_ON_PAGES, {"pages": json.dumps(list(probe.pages))}).scalars())
    return found


def _versions(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Of those that match may see: a paused alert is none of its business, nor one that is to be evaluated first."""
    query = select(alert.c.id, alert.c.version).where(alert.c.paused.is_(False), alert.c.evaluate_at.is_(None))
    return {
        row.id: row.version for some in chunks(ids) for row in connection.execute(query.where(alert.c.id.in_(some)))
    }


def alerts_by_id(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Alert]:
    """The alerts by id, in the order of ``ids``; those that are not there are left out."""
    rows = [row for some in chunks(ids) for row in connection.execute(select(alert).where(alert.c.id.in_(some)))]
    found = {row.id: alert_of(row) for row in rows}
    return {alert_id: found[alert_id] for alert_id in ids if alert_id in found}


def write_states(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Write new states, raise versions, and let the windows follow the trigger."""
    if not outcomes:
        return
    states = [
        state_values(outcome.state) | {"row_id": outcome.alert.id, "version": outcome.alert.version + 1}
        for outcome in outcomes
    ]
    connection.execute(alert.update().where(alert.c.id == bindparam("row_id")), states)
    moved = [o for o in outcomes if o.state.trigger != o.alert.state.trigger]
    if moved:
        windows = [{"row_id": o.alert.id, "trigger": window_trigger(o.state)} for o in moved]
        connection.execute(alert_window.update().where(alert_window.c.alert_id == bindparam("row_id")), windows)
