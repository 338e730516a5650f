"""Match's view of the alerts: which of them may concern a batch of changes, and the one transaction that fires them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from fms.db.candidates import candidate_ids
from fms.db.given import by_index, rows_by, update_rows
from fms.db.outbox import write_firings
from fms.db.rows import alert_of, months_of, state_values, window_trigger
from fms.db.tables import alert, alert_window
from fms.model.alert import Alert
from fms.model.ids import IdMint, slot_of_id
from fms.model.notification import Message
from fms.model.route import slot_of_od
from fms.ports import Outcome, Probe
from fms.shards.router import Router


class SqlAlertLedger:
    """The alert ledger over every shard."""

    def __init__(self, router: Router, mint: IdMint) -> None:
        self._router = router
        self._mint = mint

    def candidates(self, probe: Probe) -> list[Alert]:
        """See AlertLedger."""

        def ask(connection: Connection, ods: Sequence[str]) -> Sequence[Row[Any]]:
            ids = candidate_ids(connection, _part(probe, set(ods)))
            return rows_by(connection, alert, {"id": ids}) if ids else ()

        answers = self._router.read_each({od for od, _ in probe.days}, slot_of_od, ask)
        found = (alert_of(row) for rows in answers for row in rows)
        return sorted((one for one in found if not one.paused), key=lambda one: one.id.int)

    def record(self, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        """See AlertLedger."""
        written = self._router.write_each(outcomes, lambda outcome: slot_of_id(outcome.alert.id), self._record_some)
        return [message for messages, _ in written for message in messages], [
            one for _, lost in written for one in lost
        ]

    def _record_some(self, connection: Connection, outcomes: Sequence[Outcome]) -> tuple[list[Message], list[Alert]]:
        by_index(connection)
        versions = _locked_versions(connection, [outcome.alert.id for outcome in outcomes])
        # Whoever writes an alert raises its version: the same version means the same trigger and holder.
        same = [outcome for outcome in outcomes if versions.get(outcome.alert.id) == outcome.alert.version]
        write_states(connection, same)
        move_windows(connection, same)
        messages = write_firings(connection, same, self._mint, evaluated=False)
        lost = versions.keys() - {outcome.alert.id for outcome in same}
        return messages, list(alerts_by_id(connection, sorted(lost)).values())


def _part(probe: Probe, ods: set[str]) -> Probe:
    """What a probe asks about some O&Ds."""
    wishes = [wish for wish in probe.wishes if wish[0] in ods]
    holders = [holder for holder in probe.holders if holder[0] in ods]
    days = [day for day in probe.days if day[0] in ods]
    return Probe(wishes, holders, days, [page for page in probe.pages if page[0] in ods])


def _locked_versions(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, int]:
    """The alerts' versions, which stay as they are until this transaction ends.

    A paused alert is none of match's business, nor one that is to be evaluated first: they are left out.
    """
    rows = rows_by(connection, alert, {"id": ids}, ("id", "version", "paused", "evaluate_at"), lock="WAIT")
    return {row.id: row.version for row in rows if not row.paused and row.evaluate_at is None}


def alerts_by_id(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Alert]:
    """The alerts by id, in the order of ``ids`` (no two alike); those that are not there are left out."""
    found = {row.id: alert_of(row) for row in rows_by(connection, alert, {"id": ids})}
    return {alert_id: found[alert_id] for alert_id in ids if alert_id in found}


def write_states(connection: Connection, outcomes: Sequence[Outcome], **more: Any) -> None:
    """Write new states and raise versions; ``more``: further columns. The caller has locked the alerts."""
    if outcomes:
        moved: dict[str, Any] = {"catch_up_at": None} | more
        states = [state_values(outcome.state) | {"id": outcome.alert.id} | moved for outcome in outcomes]
        update_rows(connection, alert, states, also="version = alert.version + 1")


def move_windows(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Let the windows follow the trigger."""
    windows = [
        {"alert_id": outcome.alert.id, "month": month, "trigger": window_trigger(outcome.state)}
        for outcome in outcomes
        if outcome.state.trigger != outcome.alert.state.trigger
        for month in months_of(outcome.alert)
    ]
    if windows:
        update_rows(connection, alert_window, windows, key=("alert_id", "month"))
