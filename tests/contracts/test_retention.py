"""How long rows are kept: one rule per table, applied to shards of both kinds."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import BigInteger, Boolean, Engine, SmallInteger, Table, Text, Uuid, select

from fms.db import tables
from fms.db.migrate import History, upgrade
from fms.db.outbox import write_firings
from fms.db.partitions import make_partitions, rows_in_default
from fms.db.retention import RETENTIONS, drop_past_months, maintain
from fms.db.rows import alert_values, window_rows
from fms.model.alert import Alert
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.fold import Firing
from fms.model.notification import PENDING, SENT
from fms.ports import Outcome
from fms.rebalance.journal import Journal
from fms.rebalance.plan import Plan, PlannedMove
from fms.settings import Settings, load_settings
from fms.shards.catalog import CATALOG, slot_map
from fms.shards.catalog import shard as shard_table
from fms.shards.engine import opened, reading, writing
from fms.shards.ownership import take
from fms.shards.router import Router, Shard, SlotMap
from tests.builders import MINT, MONDAY, alert, change, criteria


@pytest.fixture(params=["sqlite", "postgres"])
def shard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shard]:
    url = f"sqlite:///{tmp_path / 'one.sqlite'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    with opened(url) as engine:
        upgrade(engine, History.SHARD)
        with writing(engine) as connection:
            take(connection, range(4096))
        yield Shard("one", engine)


@pytest.fixture
def router(shard: Shard) -> Router:
    return Router(SlotMap({"one": shard}, ["one"] * 4096))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path)


def add(shard: Shard, *alerts: Alert, of_another: bool = False) -> None:
    """Write alerts with their windows; or only the windows."""
    owed = {"created_at": 0, "evaluate_resumed": False}
    with writing(shard.engine) as connection:
        if not of_another:
            connection.execute(tables.alert.insert(), [alert_values(one) | owed for one in alerts])
        connection.execute(tables.alert_window.insert(), [row for one in alerts for row in window_rows(one)])


def filled(table: Table, **values: object) -> dict[str, object]:
    """A row with these values, and something in every other column that must have it."""
    made: dict[type, Callable[[], object]] = {
        BigInteger: lambda: 0,
        SmallInteger: lambda: 7,
        Text: lambda: "",
        Boolean: lambda: False,
        Uuid: lambda: MINT.new(7),
    }
    wanted = [one for one in table.columns if not one.nullable and one.server_default is None]
    return {one.name: made[type(one.type)]() for one in wanted} | values


def put(shard: Shard, table: Table, *rows: dict[str, object]) -> None:
    """Write rows of a table."""
    with writing(shard.engine) as connection:
        connection.execute(table.insert(), list(rows))


def somebody(shard: Shard) -> UUID:
    """A user who is there."""
    row = filled(tables.user_account, email=f"{uuid4().hex}@example.org", zone="UTC")
    put(shard, tables.user_account, row)
    return cast("UUID", row["id"])


def values_of(shard: Shard, table: Table, name: str) -> set[object]:
    """What a column holds."""
    with reading(shard.engine) as connection:
        return set(connection.execute(select(table.c[name])).scalars())


BY_CLOCK = [
    (tables.session, "expires_at", 30 * DAY_MS),
    (tables.device, "retired_at", 30 * DAY_MS),
    (tables.idempotency_key, "created_at", 48 * HOUR_MS),
]


@pytest.mark.parametrize(("table", "since", "kept"), BY_CLOCK, ids=[table.name for table, *_ in BY_CLOCK])
def test_what_people_did_is_kept_by_the_clock(
    shard: Shard, router: Router, settings: Settings, table: Table, since: str, kept: int
) -> None:
    user, clock = somebody(shard), MONDAY + 400 * DAY_MS
    times = [clock - kept - 1, clock - kept, clock, *([None] if table.c[since].nullable else [])]
    put(shard, table, *(filled(table, user_id=user, key=str(at), **{since: at}) for at in times))
    assert set(maintain(router, settings, clock, MONDAY).values()) == {0}, "by the newest fare nothing of it is old"
    deleted = maintain(router, settings, MONDAY, clock)
    assert deleted == dict.fromkeys(deleted, 0) | {table.name: 1}
    assert values_of(shard, table, since) == set(times[1:])


@pytest.mark.parametrize("table", [tables.notification, tables.push, tables.session, tables.device], ids=str)
def test_what_has_no_user_any_more_is_deleted_however_new_it_is(
    shard: Shard, router: Router, settings: Settings, table: Table
) -> None:
    here, gone = somebody(shard), MINT.new(7)
    new = {name: MONDAY for name in ("observed_at", "told_at", "expires_at") if name in table.c}
    put(shard, table, *(filled(table, user_id=user, **new) for user in (here, gone)))
    deleted = maintain(router, settings, MONDAY, MONDAY)
    assert deleted == dict.fromkeys(deleted, 0) | {table.name: 1}
    assert values_of(shard, table, "user_id") == {here}


def test_what_was_told_is_kept_for_as_long_as_is_said(shard: Shard, router: Router, settings: Settings) -> None:
    user, now = somebody(shard), MONDAY + 500 * DAY_MS
    told, open_, new = (now - 400 * DAY_MS - 1, SENT), (now - 400 * DAY_MS - 2, PENDING), (now - 400 * DAY_MS, SENT)
    rows = [
        filled(tables.notification, user_id=user, observed_at=at, status=status) for at, status in (told, open_, new)
    ]
    put(shard, tables.notification, *rows)
    put(shard, tables.push, *(filled(tables.push, user_id=user, told_at=now - 30 * DAY_MS - n) for n in (0, 1)))
    deleted = maintain(router, settings, now, MONDAY)
    assert deleted == dict.fromkeys(deleted, 0) | {"notification": 1, "push": 1}
    assert values_of(shard, tables.notification, "observed_at") == {open_[0], new[0]}
    assert values_of(shard, tables.push, "told_at") == {now - 30 * DAY_MS}


def test_every_table_that_grows_has_a_retention() -> None:
    assert [one.table for one in RETENTIONS if one.table.metadata is CATALOG]
    tabled = {*tables.alert.metadata.tables.values(), *CATALOG.tables.values()}
    assert {retention.table for retention in RETENTIONS} == tabled


def test_what_is_old_is_deleted_and_nothing_else(shard: Shard, router: Router, settings: Settings) -> None:
    made = alert()
    with writing(shard.engine) as connection:
        for day, handed_over in ((0, 1), (1, 0), (40, 1)):
            late = change(price=100, observed_at=MONDAY + day * DAY_MS)
            firing = Outcome(made, made.state, [Firing(late, 100, 100, unusual=False)])
            [message] = write_firings(connection, [firing], MINT, evaluated=False)
            mark = tables.outbox.update().where(tables.outbox.c.id == message.notification_id)
            connection.execute(mark.values(handed_over=handed_over))
    deleted = maintain(router, settings, MONDAY + 41 * DAY_MS, MONDAY + 41 * DAY_MS)
    assert deleted == dict.fromkeys(deleted, 0) | {"outbox": 1}
    with reading(shard.engine) as connection:
        kept = connection.execute(select(tables.outbox.c.observed_at).order_by(tables.outbox.c.observed_at)).scalars()
        assert list(kept) == [MONDAY + DAY_MS, MONDAY + 40 * DAY_MS], "what was not handed over is kept"


@pytest.fixture(params=["sqlite", "postgres"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").new_database()
    with opened(url) as engine:
        upgrade(engine, History.CATALOG)
        with writing(engine) as connection:
            connection.execute(shard_table.insert(), [{"name": name, "url": "sqlite:///x"} for name in ("a", "b")])
            connection.execute(slot_map.insert(), [{"slot": n, "shard": "a", "epoch": 1} for n in range(10)])
        yield engine


def test_rebalances_that_ended_long_ago_are_forgotten(catalog: Engine) -> None:
    now = MONDAY
    journal = Journal(lambda: nullcontext(catalog), lambda: now)
    plans = [Plan((PlannedMove("a", "b", (slot,), 0),), (), (), ()) for slot in range(4)]
    never, aborted, running = (journal.add(made, {}).id for made in plans[:3])
    journal.start(aborted, {})
    journal.change_job(aborted, "aborted", ["running"])
    journal.start(running, {})
    now += 10 * DAY_MS
    late = journal.add(plans[3], {}).id
    assert journal.forget(MONDAY) == {"event": 0, "slot_move": 0, "rebalance_job": 0}
    assert journal.forget(MONDAY + DAY_MS) == {"event": 6, "slot_move": 2, "rebalance_job": 2}
    assert [(job.id, len(journal.moves(job.id))) for job in journal.jobs()] == [(running, 1), (late, 1)]
    assert journal.moves(never) == []
    assert [one.what for one in journal.events()] == ["planned"]


def test_windows_go_with_their_alerts(shard: Shard, router: Router, settings: Settings) -> None:
    stays, expired, gone = (
        alert(),
        alert(criteria=criteria(depart_from=date(2026, 1, 1), depart_to=date(2026, 2, 1))),
        alert(),
    )
    add(shard, stays, expired)
    add(shard, gone, of_another=True)
    deleted = maintain(router, settings, MONDAY, MONDAY)
    assert (deleted["alert"], deleted["alert_window"]) == (0, 1)
    deleted = maintain(router, settings, MONDAY + 100 * DAY_MS, MONDAY + 100 * DAY_MS)
    assert (deleted["alert"], deleted["alert_window"]) == (1, 2)
    with reading(shard.engine) as connection:
        assert set(connection.execute(select(tables.alert_window.c.alert_id)).scalars()) == {stays.id}


def test_months_long_past_are_dropped_whole(shard: Shard, router: Router, settings: Settings) -> None:
    make_partitions(shard.engine, date(2026, 10, 1), months=3)
    add(shard, alert(criteria=criteria(depart_from=date(2026, 10, 1), depart_to=date(2027, 2, 1))))
    assert drop_past_months(router, settings, MONDAY) == 0
    year = settings.keep_expired_alerts_days * DAY_MS
    dropped = drop_past_months(router, settings, MONDAY + year)
    with reading(shard.engine) as connection:
        left = len(connection.execute(select(tables.alert_window)).all())
    parted = shard.engine.dialect.name == "postgresql"
    assert (dropped, left, rows_in_default(shard.engine)) == ((1, 4, 1) if parted else (0, 5, 0))
