"""Alerts in memory as their owners see them: made, found, changed and deleted; and the evaluations that this owes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from fms.db.memory.shard import MemoryShard, Owed
from fms.errors import NotFound, Transient
from fms.model.alert import Alert
from fms.model.clock import Clock
from fms.model.ids import IdMint
from fms.model.notification import Message

if TYPE_CHECKING:
    from fms.db.alerts import Judge, Look


class MemoryAlertRows:
    """The alerts of a shard in memory; as ``fms.db.alerts.AlertRows``."""

    def __init__(self, shard: MemoryShard, mint: IdMint, clock: Clock) -> None:
        self._shard = shard
        self._mint = mint
        self._clock = clock

    def add(self, alerts: Sequence[Alert]) -> None:
        """Write new alerts, all or none; their evaluation is owed. Raises Transient if a user has one called so."""
        taken = {(one.user_id, one.ref) for one in self._shard.alerts.values()}
        names = [(one.user_id, one.ref) for one in alerts]
        if taken.intersection(names) or len(set(names)) < len(names):
            raise Transient("somebody else wrote an alert of that name")
        for new in alerts:
            self._shard.alerts[new.id] = new
            self._shard.owed[new.id] = Owed(self._clock(), resumed=False)

    def get(self, alert_id: UUID) -> Alert:
        """One alert; raises NotFound."""
        if alert_id not in self._shard.alerts:
            raise NotFound(f"no alert {alert_id}")
        return self._shard.alerts[alert_id]

    def many(self, ids: Sequence[UUID]) -> dict[UUID, Alert]:
        """The alerts by id; those that are not there are left out."""
        return {alert_id: self._shard.alerts[alert_id] for alert_id in ids if alert_id in self._shard.alerts}

    def all(self, user_id: UUID | None = None) -> list[Alert]:
        """All alerts, or one user's, by id."""
        found = [one for one in self._shard.alerts.values() if user_id is None or one.user_id == user_id]
        return sorted(found, key=lambda one: one.id)

    def change(
        self, alert_id: UUID, edit: Callable[[Alert], Alert], *, resumed: bool = False, owed: bool = True
    ) -> Alert:
        """Rewrite one alert; see ``AlertRows``."""
        before = self.get(alert_id)
        edited = edit(before)
        if edited == before:
            return edited
        edited = self._shard.alerts[alert_id] = replace(edited, version=before.version + 1)
        self._shard.catch_up_at.pop(alert_id, None)
        if edited.paused:
            # It is evaluated when it is resumed.
            self._shard.owed.pop(alert_id, None)
        elif owed:
            self._shard.owed[alert_id] = Owed(self._clock(), resumed)
        return edited

    def delete(self, alert_id: UUID, check: Callable[[Alert], None] = lambda _: None) -> None:
        """Delete an alert; see ``AlertRows``."""
        check(self.get(alert_id))
        del self._shard.alerts[alert_id]
        self._shard.owed.pop(alert_id, None)
        self._shard.catch_up_at.pop(alert_id, None)

    def evaluate_owed(
        self,
        judge: "Judge",
        *,
        before: int | None = None,
        catch_up_ms: int | None = None,
        user_id: UUID | None = None,
    ) -> Iterator[list[Message]]:
        """Do the evaluations that are owed; see ``AlertRows``."""
        listed = [key for key, one in self._shard.owed.items() if before is None or one.since < before]
        listed = [key for key in listed if user_id in (None, self._shard.alerts[key].user_id)]
        ids = [alert_id for alert_id in listed if alert_id not in self._shard.evaluating]
        if ids:
            ids.sort(key=lambda key: (self._shard.alerts[key].criteria.od, key))
            yield self._evaluate_some(ids, judge, catch_up_ms)

    def evaluate(self, alert_id: UUID, judge: "Judge", catch_up_ms: int | None) -> list[Message]:
        """Do the evaluation of one alert, if it is owed; see ``AlertRows``."""
        if alert_id not in self._shard.owed or alert_id in self._shard.evaluating:
            return []
        return self._evaluate_some([alert_id], judge, catch_up_ms)

    def catch_up(self, look: "Look", *, whenever: bool = False) -> Iterator[list[Message]]:
        """Look again at alerts that nothing has moved since their evaluation; see ``AlertRows``."""
        now = self._clock()
        due = sorted(key for key, at in self._shard.catch_up_at.items() if whenever or at <= now)
        if due:
            found = look([self._shard.alerts[key] for key in due])
            outcomes = [one for one in found if self._shard.alerts.get(one.alert.id) == one.alert]
            self._shard.write_states(outcomes)
            for alert_id in due:
                self._shard.catch_up_at.pop(alert_id, None)
            yield self._shard.write_firings(outcomes, self._mint, evaluated=True)

    def _evaluate_some(self, ids: Sequence[UUID], judge: "Judge", catch_up_ms: int | None) -> list[Message]:
        self._shard.evaluating.update(ids)
        try:
            outcomes = judge([(self._shard.alerts[key], self._shard.owed[key].resumed) for key in ids])
            self._shard.write_states(outcomes)
            for alert_id in ids:
                del self._shard.owed[alert_id]
                if catch_up_ms is not None:
                    self._shard.catch_up_at[alert_id] = self._clock() + catch_up_ms
            return self._shard.write_firings(outcomes, self._mint, evaluated=True)
        finally:
            self._shard.evaluating.difference_update(ids)
