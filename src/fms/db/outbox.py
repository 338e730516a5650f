"""The outbox: the record beside an alert that it fired, one row per alert and hour."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, select

from fms.db.rows import message_of, message_values
from fms.db.tables import outbox
from fms.model.alert import Alert
from fms.model.clock import HOUR_MS
from fms.model.fold import Firing
from fms.model.ids import IdMint, slot_of_id
from fms.model.notification import Message
from fms.ports import Outcome

CHUNK = 500
"""Ids in one ``IN``."""


def chunks(ids: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """The ids, some at a time."""
    return (ids[start : start + size] for start in range(0, len(ids), size))


def write_firings(
    connection: Connection, outcomes: Sequence[Outcome], mint: IdMint, *, evaluated: bool
) -> list[Message]:
    """Upsert the rows of the outcomes' firings; answers every row written, as it is now."""
    fired = [outcome for outcome in outcomes if outcome.firings]
    known = _known_rows(connection, [outcome.alert.id for outcome in fired])
    new: dict[UUID, Message] = {}
    raised: dict[UUID, Message] = {}
    for outcome in fired:
        for firing in outcome.firings:
            key = (outcome.alert.id, firing.change.observed_at // HOUR_MS)
            before = known.get(key)
            message = _message(outcome.alert, firing, before, mint, evaluated=evaluated)
            known[key] = message
            fresh = before is None or message.notification_id in new
            (new if fresh else raised)[message.notification_id] = message
    _insert(connection, list(new.values()))
    _update(connection, list(raised.values()))
    return [*new.values(), *raised.values()]


def _known_rows(connection: Connection, alert_ids: list[UUID]) -> dict[tuple[UUID, int], Message]:
    rows = [
        message_of(row)
        for some in chunks(alert_ids)
        for row in connection.execute(select(outbox).where(outbox.c.alert_id.in_(some)))
    ]
    return {(message.alert_id, message.hour): message for message in rows}


def _message(alert: Alert, firing: Firing, before: Message | None, mint: IdMint, *, evaluated: bool) -> Message:
    change = firing.change
    return Message(
        notification_id=before.notification_id if before else mint.new(slot_of_id(alert.id)),
        alert_id=alert.id,
        user_id=alert.user_id,
        user=alert.user,
        ref=alert.ref,
        kind=alert.kind,
        edition=alert.edition,
        hour=change.observed_at // HOUR_MS,
        revision=before.revision + 1 if before else 1,
        series=change.series,
        old_price=change.old_price,
        trigger=before.trigger if before and before.edition == alert.edition else firing.trigger,
        threshold=firing.threshold,
        unusual=firing.unusual,
        evaluated=evaluated,
        fare=change.fare,
    )


def _insert(connection: Connection, messages: list[Message]) -> None:
    if messages:
        rows = [message_values(m) | {"slot": slot_of_id(m.alert_id), "handed_over": 0} for m in messages]
        connection.execute(outbox.insert(), rows)


def _update(connection: Connection, messages: list[Message]) -> None:
    if messages:
        rows = [message_values(m) | {"row_id": m.notification_id} for m in messages]
        connection.execute(outbox.update().where(outbox.c.id == bindparam("row_id")), rows)


def waiting_rows(connection: Connection) -> list[Message]:
    """Rows whose latest revision was never handed over, oldest first."""
    query = select(outbox).where(outbox.c.handed_over < outbox.c.revision).order_by(outbox.c.id)
    return [message_of(row) for row in connection.execute(query)]


def mark_handed_over(connection: Connection, messages: Sequence[Message]) -> None:
    """The users' shards have these revisions; a row that was raised since keeps waiting."""
    mark = (
        outbox.update()
        .where(outbox.c.id == bindparam("row_id"), outbox.c.handed_over < bindparam("given"))
        .values(handed_over=bindparam("given"))
    )
    connection.execute(mark, [{"row_id": m.notification_id, "given": m.revision} for m in messages])
