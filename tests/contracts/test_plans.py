"""Every statement about given rows goes by index, whatever the database believes about its tables."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, Table, event, text

from fms.db import tables
from fms.db.matching import SqlAlertLedger
from fms.model.change import FELL, GONE, OPENED, ChangeBatch
from fms.model.clock import HOUR_MS, days_of
from fms.ports import Probe
from fms.shards.engine import writing
from fms.shards.router import Router
from tests.builders import MINT, MONDAY, change, change_batch, criteria
from tests.contracts.place import Place
from tests.contracts.town import SqlTown

pytestmark = pytest.mark.parametrize("place", [1, "postgres"], indirect=True)

MANY = 20_000
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
    columns = [column.name for column in table.c]
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(others.get(name, f'"{name}"') for name in columns)
    for shard in router.all():
        if shard.engine.dialect.name == "postgresql":
            with writing(shard.engine) as connection:
                many = f"(SELECT * FROM {table.name} LIMIT 1) AS one, generate_series(1, {MANY}) AS n"  # noqa: S608  # ours
                connection.execute(text(f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {many}"))  # noqa: S608  # ours


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


def crowded(place: Place) -> SqlTown:
    town = SqlTown(place.router())
    whole = criteria(depart_from=date(2026, 12, 1), depart_to=date(2027, 2, 28))
    town.add(criteria=whole)
    town.notify.process(town.match.process(everything(0)))
    town.notify.sweep()
    new = "gen_random_uuid()"
    multiply(town.router, tables.alert, id=new, user_id=new, od="'AAA-' || n % 500", holder="n", holder_departure="n")
    multiply(town.router, tables.alert_window, alert_id=new, month="24323 + n % 3", market="n % 50", trigger="n")
    multiply(town.router, tables.outbox, id=new, alert_id=new, handed_over="1")
    multiply(town.router, tables.notification, id=new, user_id=new, alert_id=new, status="'sent'")
    return town


def kind_of(town: SqlTown) -> str:
    return town.router.all()[0].engine.dialect.name


def live(town: SqlTown, hour: int) -> dict[str, str]:
    """Everything that is done with given rows; answers the plans by their statements."""
    with explained(town.router) as plans:
        for _ in range(2):
            town.notify.process(town.match.process(everything(hour)))
        town.notify.sweep()
        town.notify.deliver(MONDAY + hour * HOUR_MS)
        town.add(ref=f"of hour {hour}")
    return plans.found


def unindexed(town: SqlTown, plans: dict[str, str]) -> list[str]:
    return [f"{statement}\n{plan}" for statement, plan in plans.items() if SCANS[kind_of(town)].search(plan)]


def check_months(town: SqlTown, plans: dict[str, str]) -> None:
    """Windows are looked for in the partitions of the months asked for and nowhere else, and in their index alone."""
    [plan] = [plan for statement, plan in plans.items() if "asked_0" in statement]
    if kind_of(town) == "sqlite":
        assert plan.count("USING COVERING INDEX ix_alert_window_match") == 3
    else:
        scans = re.findall(r"(\S+ \S+ Scan) using \S+ on (alert_window_\w+)", plan)
        months = ("2026_12", "2027_01", "2027_02")
        assert sorted(scans) == [("Index Only Scan", f"alert_window_{month}") for month in months]


def test_given_rows_are_looked_up_by_index_in_tables_never_counted_and_in_counted_ones(place: Place) -> None:
    town = crowded(place)
    plans = live(town, 1)
    for table in (tables.alert, tables.alert_window, tables.outbox, tables.notification):
        assert any(re.search(rf"(UPDATE|INTO) {table.name} ", statement) for statement in plans), table.name
    assert unindexed(town, plans) == []
    check_months(town, plans)
    if kind_of(town) == "postgresql":
        analyse(town.router)
        plans = live(town, 2)
        assert unindexed(town, plans) == []
        check_months(town, plans)
    town.router.close()


def asked_long_ago(place: Place) -> SqlTown:
    """Alerts of which none was held and all windows were open when PostgreSQL counted them last."""
    town = SqlTown(place.router())
    for origin in ("JFK", "EWR", "BOS", "SFO"):
        month = criteria(origin=origin, depart_from=date(2026, 12, 1), depart_to=date(2026, 12, 31))
        town.add(ref=origin, criteria=month)
    new = "gen_random_uuid()"
    multiply(town.router, tables.alert, id=new, user_id=new, od="'AAA-' || n % 500")
    multiply(town.router, tables.alert_window, alert_id=new, market="n % 50")
    analyse(town.router)
    for shard in town.router.all():
        with writing(shard.engine) as connection:
            connection.execute(text("UPDATE alert SET holder = version, holder_departure = 20000"))
            connection.execute(text("UPDATE alert_window SET trigger = first_day"))
    return town


def much() -> Probe:
    """As much as a message of changes may ask, of 500 O&Ds."""
    ods = [f"AAA-{n % 500}" for n in range(2_000)]
    day = days_of(date(2026, 12, 7))
    return Probe(
        wishes=[(od, n % 50, day, 100 + n) for n, od in enumerate(ods)],
        holders=[(od, n) for n, od in enumerate(ods)],
        days=[(od, day) for od in ods[:500]],
        pages=[(od, day + n // 500) for n, od in enumerate(ods)],
    )


SEEKS = {
    "sqlite": (r"SEARCH it USING (?:COVERING )?INDEX (\w+) \((.*)\)", r"(\w+)[<>=]"),
    "postgresql": (r"Index (?:Only )?Scan using (\w+) on .*\n\s+Index Cond: (.*)", r"\((\w+) [<>=]"),
}
"""In a plan: an index and what is looked up in it; of that the columns."""


def test_what_match_asks_is_looked_up_in_its_own_index_whatever_was_counted_long_ago(place: Place) -> None:
    town = asked_long_ago(place)
    with explained(town.router) as plans:
        SqlAlertLedger(town.router, MINT).candidates(much())
    index, column = SEEKS[kind_of(town)]
    ranges = ["trigger", "first_day", "last_day"] if kind_of(town) == "postgresql" else ["trigger"]
    [plan] = [plan for statement, plan in plans.found.items() if "asked_0" in statement]
    found = [(name, re.findall(column, condition)) for name, condition in re.findall(index, plan)]
    assert [columns for _, columns in found] == [
        ["market", "month", *ranges], ["holder"], ["od", "holder_departure"], ["od", "holder_departure"]
    ], plan  # fmt: skip
    assert [name for name, _ in found[1:]] == ["ix_alert_holder", "ix_alert_od_departed", "ix_alert_od_departed"]
    assert "Filter" not in plan
    town.router.close()


def test_without_the_settings_a_table_is_read_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    town = crowded(place)
    for module in ("candidates", "matching", "alerts", "outbox", "inboxes"):
        monkeypatch.setattr(f"fms.db.{module}.by_index", lambda _connection: None)
    assert bool(unindexed(town, live(town, 1))) == (kind_of(town) == "postgresql")
    town.router.close()
