"""The question of match: which alerts may a batch of changes concern? One statement; each thing asked costs a seek."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from fms.db.given import Given, by_index, given
from fms.db.tables import alert, signed
from fms.model.alert import month_of
from fms.model.clock import date_of
from fms.ports import Probe

_WISH = {"market": "BIGINT", "day": "INTEGER", "price": "BIGINT"}
_OD_DAY = {"od": "TEXT", "day": "INTEGER"}


@dataclass(frozen=True)
class _Seek:
    """What is asked, the index that answers it, and when a row ``it`` of ``table`` is an answer to a row of ``asked``.

    Attributes:
        answer: the column that names the alert.
    """

    types: Mapping[str, str]
    rows: Sequence[tuple[Any, ...]]
    table: str
    index: str
    answer: str
    condition: str


def candidate_ids(connection: Connection, probe: Probe) -> Sequence[UUID]:
    """The alerts that the changes may concern, each once. On PostgreSQL this transaction goes by index from here on."""
    seeks = [seek for seek in (*_wishing(probe), *_holding(probe)) if seek.rows]
    if not seeks:
        return []
    by_index(connection)
    parts = [_part(connection, seek, f"asked_{number}") for number, seek in enumerate(seeks)]
    values = {name: value for part in parts for name, value in part.values.items()}
    statement = text(" UNION ".join(part.sql for part in parts)).columns(alert.c.id)
    return connection.execute(statement, values).scalars().all()


def _wishing(probe: Probe) -> Iterator[_Seek]:
    months: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for _, market, day, price in probe.wishes:
        months[_month(day)].append((signed(market), day, price))
    for month, some in months.items():
        # As a number in the statement: of a column PostgreSQL would learn it too late to plan for one partition only.
        condition = (
            f"it.market = asked.market AND it.month = {month} AND it.trigger >= asked.price"
            " AND it.first_day <= asked.day AND it.last_day >= asked.day"
        )
        yield _Seek(_WISH, some, "alert_window", "ix_alert_window_match", "alert_id", condition)


@lru_cache(maxsize=4096)
def _month(day: int) -> int:
    return month_of(date_of(day))


def _holding(probe: Probe) -> Iterator[_Seek]:
    series = [(signed(one),) for _, one in probe.holders]
    condition = "it.holder = asked.series AND it.holder IS NOT NULL"
    yield _Seek({"series": "BIGINT"}, series, "alert", "ix_alert_holder", "id", condition)
    for asked, when in ((probe.days, "<"), (probe.pages, "=")):
        condition = f"it.od = asked.od AND it.holder_departure {when} asked.day"
        yield _Seek(_OD_DAY, asked, "alert", "ix_alert_od_departed", "id", condition)


def _part(connection: Connection, seek: _Seek, name: str) -> Given:
    asked = given(connection, seek.types, list(zip(*seek.rows, strict=True)), name)
    condition = seek.condition.replace("asked.", f"{name}.")
    if connection.dialect.name == "sqlite":
        # CROSS JOIN keeps SQLite from turning the loop inside out.
        source = f"{asked.sql} CROSS JOIN {seek.table} AS it INDEXED BY {seek.index} WHERE {condition}"
    else:
        # OFFSET 0 keeps PostgreSQL from making one join of both: which of them is the outer loop would follow from what
        # it believes of the table, and with old statistics every row of the index is compared with everything asked.
        answers = f"SELECT it.{seek.answer} FROM {seek.table} AS it WHERE {condition} OFFSET 0"  # noqa: S608  # names of ours
        source = f"{asked.sql} CROSS JOIN LATERAL ({answers}) AS it"
    return Given(f"SELECT it.{seek.answer} FROM {source}", asked.values)  # noqa: S608  # names of ours
