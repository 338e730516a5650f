"""Match's view of the alerts: which of them may concern a batch of changes, and the one transaction that fires them."""

import json
from collections.abc import Callable, Sequence
from functools import partial
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

# One seek per wish on the covering index; CROSS JOIN keeps the planner from turning the loop inside out.
_WISHING = text(
    "SELECT DISTINCT w.alert_id FROM json_each(:wishes) AS j CROSS JOIN alert_window AS w"
    " INDEXED BY ix_alert_window_match"
    " WHERE w.market = j.value ->> 0 AND w.month = j.value ->> 1 AND w.trigger >= j.value ->> 3"
    " AND w.first_day <= j.value ->> 2 AND w.last_day >= j.value ->> 2"
).columns(alert_id=alert_window.c.alert_id.type)
_HELD = text(
    "SELECT DISTINCT a.id FROM json_each(:holders) AS j CROSS JOIN alert AS a INDEXED BY ix_alert_holder"
    " WHERE a.holder = j.value"
).columns(id=alert.c.id.type)
_DEPARTED = text(
    "SELECT a.id FROM json_each(:days) AS j CROSS JOIN alert AS a INDEXED BY ix_alert_od_departed"
    " WHERE a.od = j.value ->> 0 AND a.holder_departure < j.value ->> 1 AND a.holder IS NOT NULL"
).columns(id=alert.c.id.type)


class SqlAlertLedger:
    """The alert ledger over every shard."""

    def __init__(self, router: Router, mint: IdMint) -> None:
        self._router = router
        self._mint = mint

    def candidates(self, probe: Probe) -> list[Alert]:
        """See AlertLedger."""
        found: list[Alert] = []
        for shard in self._router.all():
            part = _part(probe, partial(self._owns, shard))
            if part.wishes or part.holders or part.days:
                with reading(shard.engine) as connection:
                    found += alerts_by_id(connection, sorted(_ids(connection, part))).values()
        return [alert for alert in found if not alert.paused]

    def _owns(self, shard: Shard, od: str) -> bool:
        return self._router.of(slot_of_od(od)) is shard

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        """See AlertLedger."""
        messages: list[Message] = []
        changed: list[Alert] = []
        for shard, some in self._router.split(outcomes, lambda outcome: slot_of_id(outcome.alert.id)):
            with writing(shard.engine) as connection:
                check_owned(connection, {slot_of_id(outcome.alert.id) for outcome in some})
                current = alerts_by_id(connection, [outcome.alert.id for outcome in some])
                same = [o for o in some if o.alert.id in current and current[o.alert.id].version == o.alert.version]
                write_states(connection, same)
                messages += write_firings(connection, same, self._mint, evaluated=False)
                unchanged = {outcome.alert.id for outcome in same}
                changed += [found for found in current.values() if found.id not in unchanged and not found.paused]
        return messages, changed


def _part(probe: Probe, here: Callable[[str], bool]) -> Probe:
    return Probe(
        wishes=[wish for wish in probe.wishes if here(wish[0])],
        holders=[holder for holder in probe.holders if here(holder[0])],
        days=[day for day in probe.days if here(day[0])],
    )


def _ids(connection: Connection, probe: Probe) -> set[UUID]:
    wishes = [(signed(market), month_of(date_of(day)), day, price) for _, market, day, price in probe.wishes]
    found = set(connection.execute(_WISHING, {"wishes": json.dumps(wishes)}).scalars())
    holders = [signed(series) for _, series in probe.holders]
    found.update(connection.execute(_HELD, {"holders": json.dumps(holders)}).scalars())
    found.update(connection.execute(_DEPARTED, {"days": json.dumps(list(probe.days))}).scalars())
    return found


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
