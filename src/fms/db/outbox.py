"""The outbox: the record beside an alert that it fired, one row per alert and hour."""

from collections.abc import Sequence
from operator import itemgetter
from uuid import UUID

from sqlalchemy import Connection, select

from fms.db.firings import Key, keys_of, messages_of
from fms.db.given import by_index, insert_rows, rows_by, update_rows
from fms.db.rows import message_of, message_values
from fms.db.tables import outbox
from fms.model.ids import IdMint, slot_of_id
from fms.model.notification import Message
from fms.ports import Outcome
from fms.shards.ownership import is_owned


def write_firings(
    connection: Connection, outcomes: Sequence[Outcome], mint: IdMint, *, evaluated: bool
) -> list[Message]:
    """Upsert the rows of the outcomes' firings; answers every row written, as it is now."""
    new, raised = messages_of(outcomes, _known_rows(connection, outcomes), mint, evaluated=evaluated)
    _insert(connection, new)
    _update(connection, raised)
    return [*new, *raised]


def _known_rows(connection: Connection, outcomes: Sequence[Outcome]) -> dict[Key, Message]:
    keys = keys_of(outcomes)
    if not keys:
        return {}
    alerts, hours = zip(*keys, strict=True)
    rows = rows_by(connection, outbox, {"alert_id": alerts, "hour": hours})
    return {(row.alert_id, row.hour): message_of(row) for row in rows}


def _insert(connection: Connection, messages: Sequence[Message]) -> None:
    if messages:
        own = {"handed_over": 0}
        rows = [message_values(m) | {"slot": slot_of_id(m.alert_id)} | own for m in messages]
        insert_rows(connection, outbox, rows)


def _update(connection: Connection, messages: Sequence[Message]) -> None:
    if messages:
        rows = sorted(map(message_values, messages), key=itemgetter("id"))
        update_rows(connection, outbox, rows)


def waiting_rows(connection: Connection, after: UUID, before: UUID | None, limit: int) -> list[Message]:
    """Rows whose latest revision was never handed over, the oldest first, with ids between the two."""
    query = select(outbox).where(outbox.c.handed_over < outbox.c.revision, outbox.c.id > after, is_owned(outbox))
    if before is not None:
        query = query.where(outbox.c.id < before)
    return [message_of(row) for row in connection.execute(query.order_by(outbox.c.id).limit(limit))]


def mark_handed_over(connection: Connection, messages: Sequence[Message]) -> None:
    """The users' shards have these revisions; a row that was raised since keeps waiting. No two have one id."""
    by_id = sorted(messages, key=lambda message: message.notification_id)
    rows = [{"id": message.notification_id, "handed_over": message.revision} for message in by_id]
    by_index(connection)
    update_rows(connection, outbox, rows, where="outbox.handed_over < given.handed_over")
