"""Notifications: the record that an alert fired, from the outbox beside the alert to the user's inbox."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self
from uuid import UUID

import pyarrow as pa

from fms.model.batch import TEXT, Batch, TextView, ints, text_column
from fms.model.facts import Facts
from fms.model.fare import FARE_SCHEMA, Fare, FareRows, fare_columns
from fms.model.user import User

PENDING, SENDING, SENT = "pending", "sending", "sent"
GONE, SUPERSEDED, CANCELLED, ALREADY_TOLD = "gone", "superseded", "cancelled", "already_told"
COOLING, HELD = "cooling", "held"

STATUSES = (PENDING, SENDING, SENT, GONE, SUPERSEDED, CANCELLED, ALREADY_TOLD, COOLING, HELD)

OPEN = (PENDING, COOLING, HELD, SENDING)
"""Statuses of rows that may still be told."""

NO_NEWS = (SUPERSEDED, CANCELLED, ALREADY_TOLD)
"""Statuses of rows that have nothing to say that no other row says: nobody need read them."""

OUTBOX_SCHEMA = pa.schema(
    [
        pa.field("notification_id", TEXT, nullable=False),
        pa.field("alert_id", TEXT, nullable=False),
        pa.field("user_id", TEXT, nullable=False),
        pa.field("user", TEXT, nullable=False),
        pa.field("ref", TEXT, nullable=False),
        pa.field("kind", TEXT, nullable=False),  # of the alert
        pa.field("edition", pa.int64(), nullable=False),
        pa.field("hour", pa.int64(), nullable=False),  # UTC hours since 1970 of observed_at
        pa.field("revision", pa.int64(), nullable=False),
        pa.field("series", pa.uint64(), nullable=False),
        pa.field("old_price", pa.int64()),  # null: first seen, or already known when the alert was made
        pa.field("trigger", pa.int64(), nullable=False),  # before it fell
        pa.field("threshold", pa.int64(), nullable=False),  # T
        pa.field("unusual", pa.bool_(), nullable=False),
        pa.field("evaluated", pa.bool_(), nullable=False),  # by creation, edit or resume, not by a change
        *FARE_SCHEMA,
    ]
)


@dataclass(frozen=True, slots=True)
class Message:
    """An alert fired in an hour. A later firing in the same hour is the same message with a higher revision.

    Attributes:
        edition: of the alert when it fired.
        hour: UTC hours since 1970 of the observation.
        series: what fired, or what holds the alert now.
        fare: the fare that fired last; its price is what is told.
        old_price: what it cost before, in minor units.
        trigger: what the first firing of the hour was measured against.
        threshold: the alert's T then.
        unusual: may be a mistake of the source.
        evaluated: found known when the alert was made, edited or resumed, not by a change.
    """

    notification_id: UUID
    alert_id: UUID
    user_id: UUID
    user: str
    ref: str
    kind: str
    edition: int
    hour: int
    revision: int
    series: int
    old_price: int | None
    trigger: int
    threshold: int
    unusual: bool
    evaluated: bool
    fare: Fare


_TEXTS = ("notification_id", "alert_id", "user_id", "user", "ref", "kind")
_NUMBERS = ("edition", "hour", "revision", "old_price", "trigger", "threshold")


@dataclass(frozen=True)
class OutboxBatch(Batch):
    """Messages on their way from the alerts' shards to the users'."""

    KIND: ClassVar[str] = "outbox"
    SCHEMA: ClassVar[pa.Schema] = OUTBOX_SCHEMA

    @classmethod
    def of_messages(cls, messages: list[Message], partition: int = 0) -> Self:
        """The messages as columns."""
        columns = {name: text_column([str(getattr(m, name)) for m in messages]) for name in _TEXTS}
        columns |= {name: pa.array([getattr(m, name) for m in messages], pa.int64()) for name in _NUMBERS}
        columns |= {
            name: pa.array([getattr(m, name) for m in messages], pa.bool_()) for name in ("unusual", "evaluated")
        }
        columns["series"] = pa.array([m.series for m in messages], pa.uint64())
        return cls.of_columns(columns | fare_columns([m.fare for m in messages]), partition)

    def rows(self) -> Iterator[Message]:
        """The messages one by one."""
        texts = {name: TextView(self.column(name)) for name in _TEXTS}
        old = ints(self.column("old_price"), null=-1)
        numbers = {name: ints(self.column(name)) for name in _NUMBERS if name != "old_price"}
        flags = {name: self.column(name).to_pylist() for name in ("unusual", "evaluated")}
        series = self.column("series").to_numpy()
        fares = FareRows(self.data)
        for row in range(len(self)):
            text = {name: texts[name][row] or "" for name in _TEXTS}
            yield Message(
                notification_id=UUID(text["notification_id"]),
                alert_id=UUID(text["alert_id"]),
                user_id=UUID(text["user_id"]),
                user=text["user"],
                ref=text["ref"],
                kind=text["kind"],
                **{name: int(column[row]) for name, column in numbers.items()},
                old_price=None if old[row] < 0 else int(old[row]),
                series=int(series[row]),
                unusual=flags["unusual"][row],
                evaluated=flags["evaluated"][row],
                fare=fares[row],
            )


@dataclass(frozen=True)
class Notification:
    """A message at its user's home, with everything about telling.

    Attributes:
        status: one of the statuses above.
        release_at: when a row that waits is judged again, UTC ms.
        group_id: what was told together.
        told_at: when it was told last, UTC ms; None: never.
        told_price: the price told last.
        told, told_series: the fare that was shown: the best one that the alert wanted at that time.
        read_at: when its user said to have read it, UTC ms; None: not yet.
    """

    message: Message
    status: str = PENDING
    release_at: int | None = None
    group_id: UUID | None = None
    told_at: int | None = None
    told_price: int | None = None
    told: Fare | None = None
    told_series: int | None = None
    read_at: int | None = None


@dataclass(frozen=True)
class Push:
    """One push to one user: the rows told together, the best first. Sent again under the same id it replaces itself.

    ``facts``: what else is known of the rows, by the id of the notification.
    """

    group_id: UUID
    user: User
    rows: Sequence[Notification]
    facts: Mapping[UUID, Facts] = field(default_factory=dict)
