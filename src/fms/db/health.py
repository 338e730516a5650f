"""How a shard does: its schema, its slots, its months, and what is owed in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine, func, select

from fms.db.partitions import MONTHS_AHEAD, partitioned_months, rows_in_default
from fms.db.tables import alert, outbox
from fms.model.alert import month_of
from fms.model.ids import first_id
from fms.shards.engine import reading
from fms.shards.ownership import owned_slots


@dataclass(frozen=True)
class ShardHealth:
    """What a shard with a schema holds.

    Attributes:
        slots: that it owns.
        months: how many months have a partition of their own; 0 for SQLite, where none has.
        missing_months: this one and the next ones that have none, as ``month_of`` counts.
        in_default: windows in the default partition.
        waiting: outbox rows that were not handed over for long.
        owed: evaluations that were owed for long.
    """

    slots: frozenset[int]
    months: int
    missing_months: Sequence[int]
    in_default: int
    waiting: int
    owed: int


def shard_health(engine: Engine, today: date, before: int) -> ShardHealth:
    """What the shard holds. ``before``: what is older is old, UTC ms; raises as ``reading`` does."""
    months = partitioned_months(engine)
    wanted = range(month_of(today), month_of(today) + MONTHS_AHEAD + 1)
    missing = sorted(set(wanted) - months) if engine.dialect.name == "postgresql" else []
    in_default = rows_in_default(engine)
    waiting = select(func.count()).where(outbox.c.handed_over < outbox.c.revision, outbox.c.id < first_id(before))
    owed = select(func.count()).where(alert.c.evaluate_at.is_not(None), alert.c.evaluate_at < before)
    with reading(engine) as connection:
        return ShardHealth(
            frozenset(owned_slots(connection)),
            len(months),
            missing,
            in_default,
            connection.execute(waiting).scalar_one(),
            connection.execute(owed).scalar_one(),
        )
