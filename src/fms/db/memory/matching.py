"""Match's view of alerts in memory."""

from collections.abc import Sequence

from fms.db.memory.shard import MemoryShard
from fms.model.alert import Alert
from fms.model.clock import days_of
from fms.model.ids import IdMint
from fms.model.notification import Message
from fms.ports import Outcome, Probe


class MemoryAlertLedger:
    """The ``AlertLedger`` of a shard in memory. Every alert of a route is looked at, so for some thousands of them."""

    def __init__(self, shard: MemoryShard, mint: IdMint) -> None:
        self._shard = shard
        self._mint = mint

    def candidates(self, probe: Probe) -> list[Alert]:
        """See AlertLedger."""
        ods = {od for od, _ in probe.days}
        alerts = [one for one in self._shard.alerts.values() if one.criteria.od in ods]
        visible = filter(self._shard.concerns_match, alerts)
        found = [one for one in visible if _wishes(one, probe) or _ends(one, probe)]
        return sorted(found, key=lambda one: one.id)

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        """See AlertLedger."""
        now = {outcome.alert.id: self._shard.alerts.get(outcome.alert.id) for outcome in outcomes}
        there = {key: alert for key, alert in now.items() if alert and self._shard.concerns_match(alert)}
        # Whoever writes an alert raises its version: the same version means the same trigger and holder.
        same = [
            outcome
            for outcome in outcomes
            if outcome.alert.id in there and there[outcome.alert.id].version == outcome.alert.version
        ]
        lost = there.keys() - {outcome.alert.id for outcome in same}
        self._shard.write_states(same)
        return self._shard.write_firings(same, self._mint, evaluated=False), [there[key] for key in sorted(lost)]


def _wishes(alert: Alert, probe: Probe) -> bool:
    want, trigger = alert.criteria, alert.state.trigger
    first, last = days_of(want.depart_from), days_of(want.depart_to)
    return any(
        market == want.market and first <= day <= last and (trigger is None or price <= trigger)
        for _, market, day, price in probe.wishes
    )


def _ends(alert: Alert, probe: Probe) -> bool:
    """Whether a change may say that the alert's holder is dearer, gone, departed or lost."""
    holder, departs, od = alert.state.holder, alert.state.holder_departure, alert.criteria.od
    if holder is None or departs is None:
        return False
    departed = any(route == od and departs < day for route, day in probe.days)
    return departed or (od, holder) in probe.holders or (od, departs) in probe.pages
