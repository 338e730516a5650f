"""What moves with a slot: its rows in every table of a shard, and by which columns a changed row is known."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Table

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


@dataclass(frozen=True)
class Child:
    """Rows that belong to one of another table, and change with it only: they are copied when it is.

    Attributes:
        table: theirs.
        parent: the column that names the row that they belong to.
        key: what names one of them.
    """

    table: Table
    parent: str
    key: tuple[str, ...]


@dataclass(frozen=True)
class Moving:
    """A table whose rows move with their slot; ``id`` names a row.

    Attributes:
        table: which.
        signature: columns of which one at least changes whenever the row does. None of an id that is used once.
        children: what is copied along.
    """

    table: Table
    signature: tuple[str, ...] = ()
    children: tuple[Child, ...] = ()

    @property
    def compared(self) -> list[Column[object]]:
        """The columns by which two copies of a row are compared, ``id`` first."""
        return [self.table.c[name] for name in ("id", *self.signature)]


MOVING: Sequence[Moving] = (
    Moving(user_account, ("version", "leased_by", "leased_until")),
    Moving(
        alert,
        # Windows change when their alert's trigger moves, and come and go with the evaluation that it is owed.
        ("version", "evaluate_at", "catch_up_at"),
        (Child(alert_window, "alert_id", ("alert_id", "month")),),
    ),
    Moving(outbox, ("revision", "handed_over")),
    Moving(notification, ("version",)),
    Moving(push),
    Moving(session, ("version",)),
    Moving(device, ("version",)),
    Moving(idempotency_key, ("version",)),
)
"""In the order in which they are copied."""
