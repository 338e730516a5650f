"""Every statement about given rows goes by index, whatever the database believes about its tables."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, Table, event, text

from fms.db import tables
from fms.model.change import FELL, GONE, OPENED, ChangeBatch
from fms.model.clock import HOUR_MS
from fms.shards.engine import writing
from fms.shards.router import Router
from tests.builders import MONDAY, change, change_batch, criteria
from tests.contracts.place import Place
from tests.contracts.town import Town

pytestmark = pytest.mark.parametrize("place", [1, "postgres"], indirect=True)

MANY = 30_000
SCANS = {
    "sqlite": re.compile(r"SCAN (?!one|given|asked|json_each|\d+ CONSTANT)"),
    "postgresql": re.compile("Seq Scan|Hash Join|Merge Join|Hash Semi|Bitmap|Memoize|Parallel|JIT"),
}
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}


@dataclass
class Plans:
    """The plans of statements about given rows, by the statement."""

    found: dict[str, str] = field(default_factory=dict)

    def explain(self, connection: Connection, cursor: Any, statement: str, parameters: Any, *_others: Any) -> None:
        if re.search(r"AS (given|asked_\d+)", statement):
            cursor.execute(EXPLAIN[connection.dialect.name] + statement, parameters)
            self.found[statement] = "\n".join(str(row[-1]) for row in cursor.fetchall())


@contextmanager
def explained(router: Router) -> Iterator[Plans]:
    plans = Plans()
    for shard in router.all():
        event.listen(shard.engine, "before_cursor_execute", plans.explain)
    yield plans
    for shard in router.all():
        event.remove(shard.engine, "before_cursor_execute", plans.explain)


def multiply(router: Router, table: Table, **others: str) -> None:
    """Make many more rows like those that are there, on PostgreSQL; SQLite plans without looking at rows."""
    names = ", ".join(f'"{name}"' for name in table.c.keys())
    values = ", ".join(others.get(name, f'"{name}"') for name in table.c.keys())
    for shard in router.all():
        if shard.engine.dialect.name == "postgresql":
            with writing(shard.engine) as connection:
                one = f"(SELECT * FROM {table.name} LIMIT 1) AS one, generate_series(1, {MANY}) AS n"
                connection.execute(text(f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {one}"))


def analyse(router: Router) -> None:
    for shard in router.all():
        with writing(shard.engine) as connection:
            connection.execute(text("ANALYZE"))


def everything(hour: int) -> ChangeBatch:
    """Changes that ask for wishes of three months, for holders, departures and pages, and fire alerts."""
    at = MONDAY + hour * HOUR_MS
    days = [date(2026, 12, 1), date(2027, 1, 5), date(2027, 2, 7)]
    falls = [change(FELL, 90_000, departure_date=day, price=39_000 - 3_000 * hour, observed_at=at) for day in days]
    others = [change(kind, departure_date=days[0], cabin="first", observed_at=at) for kind in (OPENED, GONE)]
    return change_batch([others[0], others[1], *falls])


def crowded(place: Place) -> Town:
    town = Town(place.router())
    whole = criteria(depart_from=date(2026, 12, 1), depart_to=date(2027, 2, 28))
    town.add(criteria=whole)
    town.notify.process(town.match.process(everything(0)))
    town.notify.sweep()
    new = "gen_random_uuid()"
    multiply(town.router, tables.alert, id=new, user_id=new, od="'AAA-' || n % 500", holder="n", holder_departure="n")
    multiply(town.router, tables.alert_window, alert_id=new, month="24323 + n % 3", market="n % 50", trigger="n")
    multiply(town.router, tables.outbox, id=new, alert_id=new)
    multiply(town.router, tables.notification, id=new, user_id=new, alert_id=new)
    return town


def live(town: Town) -> None:
    town.notify.process(town.match.process(everything(1)))
    town.notify.process(town.match.process(everything(1)))
    town.notify.sweep()
    town.notify.deliver(MONDAY + HOUR_MS)
    town.add(ref="another")


def unindexed(plans: Plans, kind: str) -> list[str]:
    return [f"{statement}\n{plan}" for statement, plan in plans.found.items() if SCANS[kind].search(plan)]


@pytest.mark.parametrize("prepare", [bool, analyse])
def test_given_rows_are_looked_up_by_index(place: Place, prepare: Callable[[Router], object]) -> None:
    town = crowded(place)
    prepare(town.router)
    kind = town.router.all()[0].engine.dialect.name
    with explained(town.router) as plans:
        live(town)
    town.router.close()
    touched = {
        table for table in ("alert", "alert_window", "outbox", "notification") for plan in plans.found if table in plan
    }
    assert len(touched) == 4
    assert unindexed(plans, kind) == []


@pytest.mark.parametrize("prepare", [bool, analyse])
def test_wishes_of_a_month_are_looked_up_in_its_partition_and_nowhere_else(
    place: Place, prepare: Callable[[Router], object]
) -> None:
    town = crowded(place)
    prepare(town.router)
    with explained(town.router) as plans:
        live(town)
    kind = town.router.all()[0].engine.dialect.name
    town.router.close()
    [plan] = [plan for statement, plan in plans.found.items() if "asked_0" in statement]
    if kind == "sqlite":
        assert plan.count("USING COVERING INDEX ix_alert_window_match") == 3
    else:
        scans = re.findall(r"(\S+ \S+ Scan) using \S+ on (alert_window_\w+)", plan)
        assert sorted(scans) == [
            ("Index Only Scan", f"alert_window_{month}") for month in ("2026_12", "2027_01", "2027_02")
        ]


def test_without_the_settings_a_table_that_was_never_counted_is_read_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = crowded(place)
    kind = town.router.all()[0].engine.dialect.name
    for module in ("candidates", "matching", "alerts", "outbox", "inboxes"):
        monkeypatch.setattr(f"fms.db.{module}.by_index", lambda _connection: None)
    with explained(town.router) as plans:
        live(town)
    town.router.close()
    assert bool(unindexed(plans, kind)) == (kind == "postgresql")
