"""The alerts as their owners see them: made, found, changed and deleted; and the evaluations that this owes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, select

from fms.db.given import by_index, insert_rows, portions, rows_by, update_rows
from fms.db.matching import alerts_by_id, move_windows, write_states
from fms.db.outbox import write_firings
from fms.db.rows import alert_of, alert_values, window_rows
from fms.db.tables import alert, alert_window
from fms.errors import NotFound
from fms.model.alert import Alert
from fms.model.clock import Clock
from fms.model.ids import IdMint, slot_of_id
from fms.model.notification import Message
from fms.ports import Outcome
from fms.shards.asked import Asked
from fms.shards.engine import reading
from fms.shards.ownership import WRITABLE, is_owned, slot_owner
from fms.shards.router import Router

Judge = Callable[[Sequence[tuple[Alert, bool]]], list[Outcome]]
"""Evaluates alerts; the flag says whether it was resumed and keeps its threshold."""

Look = Callable[[Sequence[Alert]], list[Outcome]]
"""Looks for changes that the evaluations of alerts missed; see ``caught_up``."""

ADDED_AT_ONCE = 5_000
"""Alerts in one statement."""

EVALUATED_AT_ONCE = 500
"""Alerts in one transaction: for so long, and no longer, edits of them wait."""


_ONE = Asked(select(alert).where(alert.c.id == bindparam("alert_id")))


class AlertRows:
    """The alerts over every shard."""

    def __init__(self, router: Router, mint: IdMint, clock: Clock) -> None:
        self._router = router
        self._mint = mint
        self._clock = clock

    def add(self, alerts: Sequence[Alert]) -> None:
        """Write new alerts; their evaluation is owed from the same transaction on."""
        self._router.write_each(alerts, lambda new: slot_of_id(new.id), self._add_some)

    def _add_some(self, connection: Connection, alerts: Sequence[Alert]) -> None:
        owed = {"created_at": self._clock(), "evaluate_at": self._clock(), "evaluate_resumed": False}
        for few in portions(alerts, ADDED_AT_ONCE):
            insert_rows(connection, alert, [alert_values(new) | owed for new in few])

    def get(self, alert_id: UUID) -> Alert:
        """One alert; raises NotFound."""
        row = self._router.ask(slot_of_id(alert_id), _ONE, alert_id=alert_id)
        if row is not None:
            return alert_of(row)
        found = self._router.read(slot_of_id(alert_id), lambda connection: alerts_by_id(connection, [alert_id]))
        if not found:
            raise NotFound(f"no alert {alert_id}")
        return found[alert_id]

    def many(self, ids: Sequence[UUID]) -> dict[UUID, Alert]:
        """The alerts by id; those that are not there are left out."""

        def read(connection: Connection, some: Sequence[UUID]) -> dict[UUID, Alert]:
            by_index(connection)
            return alerts_by_id(connection, some)

        return {key: one for found in self._router.read_each(ids, slot_of_id, read) for key, one in found.items()}

    def all(self, user_id: UUID | None = None) -> list[Alert]:
        """All alerts, or one user's, by id."""
        query = select(alert).where(is_owned(alert))
        if user_id is not None:
            query = query.where(alert.c.user_id == user_id)
        answers = self._router.read_all(lambda connection: connection.execute(query).all())
        return sorted((alert_of(row) for rows in answers for row in rows), key=lambda one: one.id)

    def change(
        self, alert_id: UUID, edit: Callable[[Alert], Alert], *, resumed: bool = False, owed: bool = True
    ) -> Alert:
        """Rewrite one alert under its shard's lock; answers it as written.

        Args:
            alert_id: which; raises NotFound.
            edit: from the alert as it is now to what it shall be; may raise Invalid.
            resumed: the evaluation keeps reference and threshold.
            owed: whether an evaluation is owed; until it is done the alert has no windows and does not fire.
        """

        def rewrite(connection: Connection) -> Alert:
            before = alert_of(_locked(connection, alert_id))
            edited = edit(before)
            if edited == before:
                return edited
            edited = replace(edited, version=before.version + 1)
            values = alert_values(edited) | {"catch_up_at": None}
            if owed or edited.paused:
                # A paused alert owes nothing: it is evaluated when it is resumed.
                since = None if edited.paused else self._clock()
                values |= {"evaluate_at": since, "evaluate_resumed": resumed}
                _drop_windows(connection, alert_id)
            connection.execute(alert.update().where(alert.c.id == alert_id), values)
            return edited

        return self._router.write(slot_of_id(alert_id), rewrite)

    def delete(self, alert_id: UUID, check: Callable[[Alert], None] = lambda _: None) -> None:
        """Delete an alert; raises NotFound. Its rows in outbox and inbox stay, and are not told any more.

        ``check``: given the alert as it is now, may raise.
        """

        def remove(connection: Connection) -> None:
            check(alert_of(_locked(connection, alert_id)))
            _drop_windows(connection, alert_id)
            connection.execute(delete(alert).where(alert.c.id == alert_id))

        self._router.write(slot_of_id(alert_id), remove)

    def evaluate_owed(
        self,
        judge: Judge,
        *,
        before: int | None = None,
        catch_up_ms: int | None = None,
        user_id: UUID | None = None,
    ) -> Iterator[list[Message]]:
        """Do the evaluations that are owed, route by route; yields each transaction's outbox rows after its commit.

        Args:
            judge: evaluates them.
            before: only those owed since before this time, UTC ms: others may be at work on the newer ones.
            catch_up_ms: after so long they are to be looked at again, if nothing has moved them by then; see
                ``catch_up``. None: never, since nobody matches meanwhile.
            user_id: only this user's; None: everybody's.

        What another process is evaluating or editing just now is left to it.
        """
        owed = alert.c.evaluate_at.is_not(None) if before is None else alert.c.evaluate_at < before
        if user_id is not None:
            owed = and_(owed, alert.c.user_id == user_id)
        yield from self._in_portions(
            owed, lambda connection, some: self._evaluate_some(connection, some, judge, catch_up_ms)
        )

    def evaluate(self, alert_id: UUID, judge: Judge, catch_up_ms: int | None) -> list[Message]:
        """Do the evaluation of one alert if it is owed, see ``evaluate_owed``; done afterwards it is in any case."""

        def work(connection: Connection) -> list[Message]:
            return self._evaluate_some(connection, [alert_id], judge, catch_up_ms, lock="WAIT")

        return self._router.write(slot_of_id(alert_id), work)

    def catch_up(self, look: Look, *, whenever: bool = False) -> Iterator[list[Message]]:
        """Look again at alerts that nothing has moved since their evaluation; as ``evaluate_owed``.

        ``whenever``: also at those whose time has not come.
        """
        due = alert.c.catch_up_at.is_not(None) if whenever else alert.c.catch_up_at <= self._clock()
        yield from self._in_portions(due, lambda connection, some: self._look_at_some(connection, some, look))

    def _in_portions(
        self, which: ColumnElement[bool], work: Callable[[Connection, Sequence[UUID]], list[Message]]
    ) -> Iterator[list[Message]]:
        """Have work done for some alerts, route by route, few in a transaction."""
        writable = select(slot_owner.c.slot).where(slot_owner.c.state.in_(WRITABLE))
        # The sum keeps SQLite from going through every alert by its slot, instead of those few by their own index.
        listed = select(alert.c.id).where(which, (alert.c.slot + 0).in_(writable)).order_by(alert.c.od, alert.c.id)
        for shard in self._router.all():
            with reading(shard.engine) as connection:
                ids = connection.execute(listed).scalars().all()
            for some in portions(ids, EVALUATED_AT_ONCE):
                # Those that were moved since are done where they are now.
                yield from self._router.write_each(some, slot_of_id, work)

    def _look_at_some(self, connection: Connection, ids: Sequence[UUID], look: Look) -> list[Message]:
        by_index(connection)
        rows = rows_by(connection, alert, {"id": ids}, lock="SKIP")
        found = [alert_of(row) for row in rows if row.catch_up_at is not None]
        outcomes = look(found)
        write_states(connection, outcomes)
        move_windows(connection, outcomes)
        behind = {one.id for one in found} - {outcome.alert.id for outcome in outcomes}
        if behind:
            update_rows(connection, alert, [{"id": one, "catch_up_at": None} for one in sorted(behind)])
        return write_firings(connection, outcomes, self._mint, evaluated=True)

    def _evaluate_some(
        self,
        connection: Connection,
        ids: Sequence[UUID],
        judge: Judge,
        catch_up_ms: int | None,
        lock: Literal["WAIT", "SKIP"] = "SKIP",
    ) -> list[Message]:
        by_index(connection)
        # Another process may have evaluated, edited or deleted some of them since they were listed.
        rows = rows_by(connection, alert, {"id": ids}, lock=lock)
        found = {row.id: row for row in rows if row.evaluate_at is not None}
        if not found:
            return []
        owed = [found[alert_id] for alert_id in ids if alert_id in found]
        outcomes = judge([(alert_of(row), row.evaluate_resumed) for row in owed])
        again = None if catch_up_ms is None else self._clock() + catch_up_ms
        write_states(connection, outcomes, evaluate_at=None, evaluate_resumed=False, catch_up_at=again)
        # Since it is owed an alert has no windows: nobody can have seen it.
        windows = [row for outcome in outcomes for row in window_rows(replace(outcome.alert, state=outcome.state))]
        if windows:
            insert_rows(connection, alert_window, windows)
        return write_firings(connection, outcomes, self._mint, evaluated=True)


def _locked(connection: Connection, alert_id: UUID) -> Row[Any]:
    """The alert as it is now, and stays until this transaction ends; raises NotFound."""
    # SQLite has one writer at a time, and knows no locks of rows.
    row = connection.execute(select(alert).where(alert.c.id == alert_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"no alert {alert_id}")
    return row


def _drop_windows(connection: Connection, alert_id: UUID) -> None:
    connection.execute(delete(alert_window).where(alert_window.c.alert_id == alert_id))
