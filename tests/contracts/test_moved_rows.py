"""What a move stands on: which rows move, that they arrive as they were, how a changed one is known, and the guard."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    CursorResult,
    Date,
    Engine,
    Integer,
    Row,
    SmallInteger,
    Table,
    Text,
    Uuid,
    select,
    text,
)

from fms.db.accounts import AccountRows
from fms.db.creation import AlertCreation, Key, New
from fms.db.devices import DeviceRows, Registration
from fms.db.inbox_pages import InboxFilter, InboxPages
from fms.db.leases import Lease
from fms.db.migrate import History, upgrade
from fms.db.retention import drop_past_months, maintain
from fms.db.tables import alert, notification, push, user_account
from fms.db.users import Users
from fms.errors import FmsError, Transient
from fms.model.change import ROSE
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.evaluation import evaluate
from fms.ports import Outcome
from fms.rebalance import ends
from fms.rebalance.journal import Move, Refused
from fms.rebalance.lines import delete_ids, digest, id_of, lines_of_ids, lines_of_slots, write_lines
from fms.rebalance.moved import MOVING
from fms.rebalance.mover import Pace
from fms.rebalance.service import Shards
from fms.settings import load_settings
from fms.shards.engine import opened, reading, writing
from fms.shards.ownership import SHARD, slot_owner, slot_pass, take
from fms.shards.router import Router
from fms.stages.notify import Notify
from tests.builders import MINT, MONDAY, change, change_batch, criteria, fare
from tests.builders import alert as an_alert
from tests.contracts.homes import NAMES, Home, found_home, planned, swap
from tests.contracts.town import SqlTown
from tests.services.postgres import Databases

KINDS = ["sqlite", "postgres"]
PAIRS = [(source, target) for source in KINDS for target in KINDS]

SLOTTED = [table for table in SHARD.sorted_tables if "slot" in table.c and table is not slot_owner]
CHILDREN = [child.table for one in MOVING for child in one.children]

OURS = 5
"""A slot of the left shard."""


@pytest.fixture
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """URLs of new databases of a kind."""
    numbers = count()

    def make(kind: str) -> str:
        if kind == "postgres":
            databases: Databases = request.getfixturevalue("postgres")
            return databases.new_database()
        return f"sqlite:///{tmp_path / f'new{next(numbers)}.sqlite'}"

    return make


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Iterator[Engine]:
    """A shard that owns all slots."""
    with opened(new_url(request.param)) as engine:
        migrate(engine)
        yield engine


def migrate(engine: Engine) -> None:
    upgrade(engine, History.SHARD)
    with writing(engine) as connection:
        take(connection, range(4096))


# -- what moves


def test_every_table_with_a_slot_moves_by_itself_or_with_its_parent() -> None:
    assert {*(one.table for one in MOVING), *CHILDREN} == {*SLOTTED}
    assert {*SHARD.sorted_tables} - {*SLOTTED} == {slot_owner, slot_pass}
    for one in MOVING:
        assert list(one.table.primary_key) == [one.table.c.id]
        for child in one.children:
            assert tuple(child.table.primary_key.columns.keys()) == child.key
            assert child.parent in child.key


GUARD_EVENTS = {("INSERT", "NEW"), ("UPDATE", "OLD"), ("UPDATE", "NEW"), ("DELETE", "OLD")}


def guards(connection: Connection) -> set[tuple[str, str, str]]:
    """Table, event, and which rows it sees, of every trigger of the guard that is in force."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT tbl_name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        words = [(row.tbl_name, row.sql.split()) for row in rows]
        assert all("RAISE(ABORT," in some for _, some in words)
        seen = {kind: f"owner.slot = {kind}.slot" for kind in ("OLD", "NEW")}
        return {
            (table, some[some.index("BEFORE") + 1], kind)
            for table, some in words
            for kind, wanted in seen.items()
            if wanted in " ".join(some)
        }
    query = text(
        "SELECT t.event_object_table, t.event_manipulation, t.action_reference_old_table AS old,"
        " t.action_reference_new_table AS new, t.action_orientation, t.action_timing, t.action_statement"
        " FROM information_schema.triggers t JOIN pg_trigger g ON g.tgname = t.trigger_name"
        " AND g.tgrelid = cast(t.event_object_table AS regclass) WHERE g.tgenabled = 'O'"
    )
    rows = connection.execute(query).all()
    for row in rows:
        assert (row.action_orientation, row.action_timing) == ("STATEMENT", "AFTER")
        assert "fms_guard()" in row.action_statement
    return {(row.event_object_table, row.event_manipulation, "OLD" if row.old else "NEW") for row in rows}


def test_every_such_table_is_guarded_in_a_migrated_database(engine: Engine) -> None:
    with reading(engine) as connection:
        found = guards(connection)
    assert found == {(table.name, *event) for table in SLOTTED for event in GUARD_EVENTS}


# -- rows that survive anything

TEXTS = [
    "", " ", "\t", "\n", "\r\n", "\r", "\\", "\\N", "\\\\N", "\\n", "\\t", "\\s", "\\\t", "\t\\", "\\\\", "N", "NULL",
    "null", "a\tb\nc\\d\te", "'", '"', "''; --", "%s %(x)s %", ":name ?", "{a,b}", '{"a": "b\\n\\u0041"}', "$1", "😀",
    "é ß Ü 日本", "\u2028\u2029\x0b\x0c\x1c\x1d\x1e\x85", "\u200f\u0301", "\x01\x7f", "007", "1e5", "-0", "0x10",
    " 12 ", "true", "2026-12-01", "x" * 100_000 + "\n", "\t\t\t", "\n\n\n", "\U0010ffff",
]  # fmt: skip
NUMBERS = {SmallInteger: 1 << 15, BigInteger: 1 << 63, Integer: 1 << 31}
DATES = [date.min, date(1969, 12, 31), date(2026, 12, 1), date.max]


def hostile(column: Column[Any], n: int) -> Any:
    """The nth value of a column; none of a column that must be unique comes twice."""
    if column.nullable and n % 5 == 0:
        return None
    kind = column.type
    if isinstance(kind, Uuid):
        return UUID(int=[0, (1 << 128) - 1, n][n] if n < 2 else n)
    if isinstance(kind, Text):
        return TEXTS[n % len(TEXTS)]
    if isinstance(kind, Boolean):
        return n % 2 == 0
    if isinstance(kind, Date):
        return DATES[n % len(DATES)]
    top = next(NUMBERS[number] for number in NUMBERS if isinstance(kind, number))
    return [0, 1, -1, top - 1, -top, 7 * n][n % 6]


def hostile_rows(table: Table, slot: int) -> list[dict[str, Any]]:
    """Rows of a slot in which every column has had every kind of value, beside any of its neighbours'."""
    rows = []
    for n in range(2 * len(TEXTS)):
        row = {column.name: hostile(column, n + place * (n // len(TEXTS))) for place, column in enumerate(table.c)}
        named: dict[str, Any] = {"slot": slot} | {name: UUID(int=n) for name in ("id", "alert_id") if name in table.c}
        if table is user_account:
            named["email"] = f"{TEXTS[n % len(TEXTS)]}{n}"
        rows.append(row | named)
    rows[0] |= {name: UUID(int=(1 << 128) - 1) for name in ("id", "alert_id") if name in table.c}
    return rows


def settle_hostile(engine: Engine, slot: int) -> None:
    with writing(engine) as connection:
        for table in SLOTTED:
            connection.execute(table.insert(), hostile_rows(table, slot))


def typed(engine: Engine, slot: int) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a slot, with their types."""
    found = {}
    with reading(engine) as connection:
        for table in SLOTTED:
            query = select(table).where(table.c.slot == slot).order_by(*table.primary_key)
            found[table.name] = [tuple(row) for row in connection.execute(query)]
    return found


def expected(slot: int) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for table in SLOTTED:
        keys = [column.name for column in table.primary_key]
        rows = sorted(hostile_rows(table, slot), key=lambda row: [row[key] for key in keys])
        found[table.name] = [tuple(row[column.name] for column in table.c) for row in rows]
    return found


def test_the_hostile_rows_have_all_that_is_hostile(engine: Engine) -> None:
    settle_hostile(engine, OURS)
    found = typed(engine, OURS)
    assert found == expected(OURS)
    values = {value for rows in found.values() for row in rows for value in row}
    assert {None, True, False, -(1 << 63), (1 << 63) - 1, *TEXTS, *DATES} <= values


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_rows_as_lines_are_read_as_they_were_written(new_url: Callable[[str], str], source: str, target: str) -> None:
    with opened(new_url(source)) as ours, opened(new_url(target)) as theirs:
        for one in (ours, theirs):
            migrate(one)
        settle_hostile(ours, OURS)
        for attempt in range(2):
            copy_lines(ours, theirs)
            assert typed(theirs, OURS) == expected(OURS), attempt
        for table in SLOTTED:
            here, there = (all_lines(one, table) for one in (ours, theirs))
            assert sorted(here) == sorted(there)
            assert len(set(here)) == len(here) == 2 * len(TEXTS)
            assert digest([(table.name, here)]) == digest([(table.name, there[::-1])])
            assert not any(set(line) & set("\n\r") - {"\r"} for line in here)


def all_lines(engine: Engine, table: Table) -> list[str]:
    with reading(engine) as connection:
        return lines_of_slots(connection, table, list(table.c), [OURS])


def copy_lines(source: Engine, target: Engine) -> None:
    for one in MOVING:
        parts = [(one.table, ["id"], "id"), *((child.table, child.key, child.parent) for child in one.children)]
        with reading(source) as reader, writing(target) as writer:
            ids = [id_of(line) for line in lines_of_slots(reader, one.table, one.compared, [OURS])]
            for table, key, parent in parts:
                write_lines(writer, table, key, lines_of_ids(reader, table, ids, parent))


def test_a_line_is_written_over_the_row_that_has_its_key(engine: Engine) -> None:
    settle_hostile(engine, OURS)
    for table in (alert, notification):
        lines = all_lines(engine, table)
        with writing(engine) as connection:
            connection.execute(table.update().values(version=1, user_email="other\\", kind="\t"))
            write_lines(connection, table, ["id"], lines)
    assert typed(engine, OURS) == expected(OURS)


def test_rows_are_deleted_by_ids_and_no_others(engine: Engine) -> None:
    settle_hostile(engine, OURS)
    gone = [row["id"] for row in hostile_rows(push, OURS)][:7]
    with writing(engine) as connection:
        assert delete_ids(connection, push, [one.hex for one in gone]) == 7
        assert delete_ids(connection, push, []) == 0
    kept = {row[0] for row in typed(engine, OURS)["push"]}
    assert kept == {row["id"] for row in hostile_rows(push, OURS)} - {*gone}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_rows_are_moved_as_they_were(new_url: Callable[[str], str], tmp_path: Path, source: str, target: str) -> None:
    home = found_home(tmp_path / "site", {"left": new_url(source), "right": new_url(target)})
    with home.shards() as shards:
        settle_hostile(shards.engines()["left"], OURS)
        swap(shards, [OURS])
        assert typed(shards.engines()["right"], OURS) == expected(OURS)
        assert shards.clean() == sum(map(len, expected(OURS).values()))
        assert not any(typed(shards.engines()["left"], OURS).values())
        swap(shards, [OURS])
        assert typed(shards.engines()["left"], OURS) == expected(OURS), "and back again"


# -- how a changed row is known

WATCHED = {one.table.name: one for one in MOVING}

WATCH = """
CREATE TABLE watched (
    of text, id uuid, signature jsonb, content jsonb, PRIMARY KEY (of, id, signature)
);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of text := TG_ARGV[0];
    touched jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    key uuid := touched ->> TG_ARGV[1];
    row_now jsonb;
    mark jsonb;
    before jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(t) FROM %I AS t WHERE id = $1', of) INTO row_now USING key;
    IF row_now IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_object_agg(name, row_now -> name) INTO mark
        FROM unnest(string_to_array(TG_ARGV[2], ',')) AS name;
    IF of = 'alert' THEN
        row_now := row_now || jsonb_build_object('windows', (
            SELECT jsonb_agg(to_jsonb(w) ORDER BY month) FROM alert_window AS w WHERE alert_id = key));
    END IF;
    INSERT INTO watched VALUES (of, key, coalesce(mark, '{}'), row_now) ON CONFLICT DO NOTHING;
    SELECT w.content INTO before FROM watched AS w
        WHERE w.of = TG_ARGV[0] AND w.id = key AND w.signature = coalesce(mark, '{}');
    IF before <> row_now THEN
        RAISE EXCEPTION 'signature of % does not hold: % before, % now', of, before, row_now;
    END IF;
    RETURN NULL;
END $$;
"""


def watch(engine: Engine) -> None:
    """From now on no commit leaves a row with a signature that it had before with another content."""
    watched = [(one.table.name, "id", one) for one in MOVING]
    watched += [(child.table.name, child.parent, one) for one in MOVING for child in one.children]
    with writing(engine) as connection:
        connection.execute(text(WATCH))
        for table, key, one in watched:
            signature = ",".join(one.signature)
            connection.exec_driver_sql(
                f"CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON {table}"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
                f" EXECUTE FUNCTION watch('{one.table.name}', '{key}', '{signature}')"
            )


@pytest.fixture
def watched(new_url: Callable[[str], str], tmp_path: Path) -> Home:
    """A site of two databases on PostgreSQL whose signatures are watched."""
    urls = {name: new_url("postgres") for name in NAMES}
    home = found_home(tmp_path / "site", urls)
    for url in urls.values():
        with opened(url) as engine:
            watch(engine)
    return home


def seen(home: Home) -> dict[str, int]:
    """How many states of rows were seen, by table."""
    counts: dict[str, int] = {}
    for url in home.urls.values():
        with opened(url) as engine, reading(engine) as connection:
            for row in connection.execute(text("SELECT of, count(*) AS states FROM watched GROUP BY of")):
                counts[row.of] = counts.get(row.of, 0) + row.states
    return counts


class Clock:
    """A clock that is set by hand."""

    now = MONDAY

    def __call__(self) -> int:
        return self.now


def test_the_signature_of_a_row_changes_whenever_it_does(watched: Home, tmp_path: Path) -> None:
    with closing(watched.router()) as router:
        town = SqlTown(router)
        live(town)
        lease(town)
        catch_up(town)
        come_and_go(router)
        read(router, town)
        settings = load_settings(tmp_path)
        assert sum(maintain(router, settings, MONDAY + 4000 * DAY_MS, MONDAY + 4000 * DAY_MS).values()) > 0
        assert drop_past_months(router, settings, MONDAY + 4000 * DAY_MS) > 0
    states = seen(watched)
    assert states.keys() == WATCHED.keys()
    enough = {
        "alert": 20, "outbox": 12, "notification": 15, "push": 4, "user_account": 6, "session": 6, "device": 6,
        "idempotency_key": 1,
    }  # fmt: skip
    for table, least in enough.items():
        assert states[table] >= least, states


def live(town: SqlTown) -> None:
    """Create, evaluate, fire, fire again, arm again, edit, pause, resume, snooze, hand over, tell, hold, delete."""
    first = town.add(ref="first")
    town.add(ref="learns", kind="drop_percent", amount=1_000, criteria=criteria(depart_to=date(2027, 2, 9)))
    town.add("other@example.org", ref="low", kind="new_low", amount=0)
    town.falls(price=39_000)
    town.falls(price=30_000, observed_at=MONDAY + 1_000)
    town.notify.deliver(MONDAY + 1_000)
    town.falls(price=29_000, observed_at=MONDAY + 2_000)
    town.notify.deliver(MONDAY + 2_000)
    rose = change(ROSE, 29_000, price=50_000, observed_at=MONDAY + HOUR_MS)
    town.notify.process(town.match.process(change_batch([rose])))
    town.falls(price=28_000, observed_at=MONDAY + 14 * HOUR_MS)
    town.heard.broken = True
    with suppress(ConnectionError):
        town.notify.deliver(MONDAY + 14 * HOUR_MS)
    town.heard.broken = False
    town.notify.deliver(MONDAY + 14 * HOUR_MS)
    rows = town.rows
    rows.change(first.id, lambda now: replace(now, amount=35_000, edition=now.edition + 1))
    rows.change(first.id, lambda now: replace(now, snoozed_until=MONDAY + 2 * DAY_MS), owed=False)
    town.evaluate()
    rows.change(first.id, lambda now: replace(now, paused=True), owed=False)
    rows.change(first.id, lambda now: replace(now, amount=36_000))
    rows.change(first.id, lambda now: replace(now, paused=False, edition=now.edition + 1), resumed=True)
    town.evaluate()
    town.falls(price=20_000, observed_at=MONDAY + 16 * HOUR_MS)
    # Two who began with the same user: the second writes over the first.
    user = town.users.find("me@example.org")
    town.users.change(replace(user, daily_cap=1))
    town.users.change(replace(user, quiet_from=0, quiet_to=60))
    town.notify.deliver(MONDAY + 16 * HOUR_MS)
    town.notify.deliver(MONDAY + 3 * DAY_MS)
    town.falls(price=19_000, observed_at=MONDAY + 3 * DAY_MS)
    town.notify.sweep()
    town.book.fares = [fare(price=90_000)]
    town.notify.deliver(MONDAY + 3 * DAY_MS)
    gone = town.add(ref="gone")
    town.falls(price=18_000, observed_at=MONDAY + 4 * DAY_MS)
    rows.delete(gone.id)
    town.notify.deliver(MONDAY + 4 * DAY_MS)
    assert {status for _, status in town.statuses()} >= {"sent", "cancelled"}


def lease(town: SqlTown) -> None:
    """Tell as several workers do."""
    clock = Clock()
    workers = [
        Notify(town.leasing(clock, Lease(name, 60_000)), town.rows, town.book, town.heard, MINT) for name in ("a", "b")
    ]
    for hour, worker in enumerate(workers * 2):
        at = MONDAY + 5 * DAY_MS + hour * HOUR_MS
        town.add(f"leased{hour}@example.org", ref="leased", amount=90_000)
        town.falls(price=17_000 - 2_000 * hour, observed_at=at)
        clock.now += 61_000
        worker.sweep()
        worker.deliver(at)
    assert town.holders() == []


def come_and_go(router: Router) -> None:
    """Log in, refresh, log out; register and retire a device; make an alert with a key, all as over the API."""
    accounts, devices = AccountRows(router, MINT, Clock()), DeviceRows(router, MINT, Clock())
    for email in ("anna@example.org", "ben@example.org"):
        assert accounts.add(email, "a hash")
        account = accounts.find(email)
        assert account is not None
        user_id = account.user.id
        accounts.rehash(user_id, "a hash", "another")
        accounts.set_role(user_id, "operator")
        sessions = [accounts.begin(account, "curl", MONDAY + DAY_MS) for _ in range(2)]
        assert all(sessions)
        first, second = [one.id for one in sessions if one]
        assert accounts.renew(first, 1, MONDAY + 2 * DAY_MS)
        assert accounts.renew(first, 1, MONDAY + 2 * DAY_MS) is None
        assert accounts.revoke(user_id, second)
        accounts.set_password(user_id, "a third")
        device, _ = devices.register(user_id, Registration("fcm", "phone", "secret", "its hash"), 3)
        assert device is not None
        assert devices.activate(device)
        devices.rename(user_id, device.id, "telephone")
        devices.register(user_id, Registration("fcm", "phone", "other secret", "its hash"), 3)
        assert devices.retire(device, "gone")
        made = an_alert(ref="with a key", user_id=user_id)
        AlertCreation(router, MINT, Clock()).add(New(made, None, key=Key("first", "a request", "{}")))
        accounts.close(user_id)


def read(router: Router, town: SqlTown) -> None:
    """Read an inbox, and say that something in it was not read."""
    user = town.users.find("me@example.org")
    Users(router, MINT, Clock()).change_with(user.id, lambda now: replace(now, channels=("push",)))
    pages = InboxPages(router, Clock())
    pages.mark_all(user.id, None)
    row = pages.page(user.id, InboxFilter(), limit=1, after=None).rows[0]
    assert row.read_at is not None
    assert pages.mark(user.id, row.message.notification_id, read=False).read_at is None


def catch_up(town: SqlTown) -> None:
    """Evaluate, and look again for what was missed."""
    town.add(ref="behind", amount=1)
    town.add(ref="behind too", amount=50_000)
    for one in town.rows.all():
        town.rows.change(one.id, lambda now: replace(now, amount=now.amount + 1))

    def judge(owed: Sequence[tuple[Any, bool]]) -> list[Outcome]:
        judged = [(one, evaluate(one, [], None, resume=resumed)) for one, resumed in owed]
        return [Outcome(one, state, [firing] if firing else []) for one, (state, firing) in judged]

    for _ in town.rows.evaluate_owed(judge, catch_up_ms=0):
        pass
    looked: list[int] = []

    def look(alerts: Sequence[Any]) -> list[Outcome]:
        looked.append(len(alerts))
        return [Outcome(one, replace(one.state, trigger=5), []) for one in alerts[:1]]

    for _ in town.rows.catch_up(look):
        pass
    assert sum(looked) > 2


@pytest.mark.parametrize(
    ("table", "change_to"),
    [
        ("alert", "amount = amount + 1"),
        ("alert", "fired_at = 5"),
        ("alert_window", "trigger = trigger + 1"),
        ("outbox", "old_price = 5"),
        ("notification", "status = 'gone'"),
        ("push", "told_at = 5"),
        ("user_account", "daily_cap = 5"),
        ("user_account", "version = version - 1, daily_cap = 6"),
    ],
)
def test_a_change_that_leaves_the_signature_as_it_is_would_be_noticed(
    watched: Home, table: str, change_to: str
) -> None:
    with closing(watched.router()) as router:
        town = SqlTown(router)
        town.add()
        town.users.change(town.users.find("me@example.org"))
        town.falls(price=39_000)
        town.notify.deliver(MONDAY)
        with pytest.raises(FmsError, match="does not hold"):
            write_by_hand(router, f"UPDATE {table} SET {change_to}")  # noqa: S608  # names of ours


def write_by_hand(router: Router, statement: str) -> None:
    for shard in router.all():
        with writing(shard.engine) as connection:
            connection.execute(text(statement))


# -- the guard

STATES = ["active", "fenced", "importing", "moved", None]
ROW_N = 9


def put_state(engine: Engine, slot: int, state: str | None, move: UUID | None = None, token: int = 0) -> None:
    """Say by hand how a slot stands."""
    with writing(engine) as connection:
        connection.execute(slot_owner.delete().where(slot_owner.c.slot == slot))
        if state is not None:
            values = {"slot": slot, "state": state, "epoch": 1, "move_id": move, "token": token}
            connection.execute(slot_owner.insert(), values)


def statements(
    connection: Connection, table: Table, slot: int, away: int
) -> Mapping[str, Callable[[], CursorResult[Any]]]:
    """What somebody may write by hand into a slot; ``away`` is another one, which takes writes."""
    like = hostile_rows(table, slot)[ROW_N]
    new = like | {column.name: UUID(int=777) for column in table.primary_key if isinstance(column.type, Uuid)}
    new |= {name: value for name, value in {"email": "new", "user_id": UUID(int=778)}.items() if name in table.c}
    if "hour" in table.c:
        new["alert_id"] = UUID(int=777)
    here, there = table.c.slot == slot, table.c.slot == away
    return {
        "insert": lambda: connection.execute(table.insert(), new),
        "update": lambda: connection.execute(table.update().where(here).values(slot=table.c.slot)),
        "delete": lambda: connection.execute(table.delete().where(here)),
        "delete one": lambda: connection.execute(table.delete().where(*_key(table, like))),
        "send away": lambda: connection.execute(table.update().where(here).values(slot=away)),
        "bring": lambda: connection.execute(table.update().where(there).values(slot=slot)),
    }


def _key(table: Table, row: Mapping[str, Any]) -> list[Any]:
    return [column == row[column.name] for column in table.primary_key]


def try_it(engine: Engine, table: Table, away: int, name: str) -> str | None:
    """Write by hand, and take it back; answers how that was refused, if it was."""
    try:
        with writing(engine) as connection:
            assert statements(connection, table, OURS, away)[name]().rowcount >= 1
            connection.rollback()
    except Transient as error:
        return str(error)
    return None


@pytest.mark.parametrize("table", SLOTTED, ids=lambda table: table.name)
def test_the_database_refuses_every_write_into_a_slot_that_is_not_active(engine: Engine, table: Table) -> None:
    away = OURS + 1
    with writing(engine) as connection:
        connection.execute(table.insert(), hostile_rows(table, OURS)[:20])
        connection.execute(table.update().where(*_key(table, hostile_rows(table, OURS)[3])), {"slot": away})
    before = typed(engine, OURS), typed(engine, away)
    for state in STATES:
        put_state(engine, OURS, state)
        for name in ("insert", "update", "delete", "delete one", "send away", "bring"):
            refused = try_it(engine, table, away, name)
            if state == "active":
                assert refused is None, name
            else:
                assert "is owned by another shard now" in str(refused), (state, name)
    put_state(engine, OURS, "active")
    assert (typed(engine, OURS), typed(engine, away)) == before


@pytest.mark.parametrize("state", ["importing", "moved", "fenced", None])
@pytest.mark.parametrize(
    ("passed", "let_in"), [("mine", True), ("older", False), ("another's", False), ("none", False)]
)
def test_the_database_lets_in_the_newest_mover_of_the_move_alone(
    engine: Engine, state: str | None, passed: str, let_in: bool
) -> None:
    move, other = UUID(int=1), UUID(int=2)
    row = hostile_rows(push, OURS)[ROW_N]
    put_state(engine, OURS, state, move, 7)
    shown = {"mine": (move, 7), "older": (move, 6), "another's": (other, 7), "none": None}[passed]

    def write() -> None:
        with writing(engine) as connection:
            if shown:
                connection.execute(slot_pass.insert(), dict(zip(("move_id", "token"), shown, strict=True)))
            connection.execute(push.insert(), row)
            connection.execute(slot_pass.delete())

    if let_in and state in ("importing", "moved"):
        write()
        assert len(typed(engine, OURS)["push"]) == 1
    else:
        with pytest.raises(Transient, match="is owned by another shard now"):
            write()
        assert typed(engine, OURS)["push"] == []


def test_a_pass_is_seen_in_its_own_transaction_only(new_url: Callable[[str], str]) -> None:
    with opened(new_url("postgres")) as one, opened(one.url) as two:
        migrate(one)
        put_state(one, OURS, "importing", UUID(int=1), 7)
        with writing(one) as connection:
            connection.execute(slot_pass.insert(), {"move_id": UUID(int=1), "token": 7})
            with pytest.raises(Transient, match="is owned by another shard now"), writing(two) as theirs:
                theirs.execute(push.insert(), hostile_rows(push, OURS)[ROW_N])
            connection.rollback()


@pytest.fixture(params=PAIRS, ids="-".join)
def taken_over(
    request: pytest.FixtureRequest, new_url: Callable[[str], str], tmp_path: Path
) -> Iterator[tuple[Shards, Move, Move]]:
    """A move whose first mover had begun to copy when a second one took it over: as the one and the other know it."""
    source, target = request.param
    home = found_home(tmp_path / "site", {"left": new_url(source), "right": new_url(target)})
    with home.shards() as shards:
        settle_hostile(shards.engines()["left"], OURS)
        move = shards.journal.moves(planned(shards, [OURS]).id)[0]
        zombie = shards.journal.lease(move, "zombie")
        begin(shards, zombie)
        shards.journal.leave(zombie, "zombie", "it went")
        heir = shards.journal.lease(move, "heir")
        yield shards, zombie, heir


def begin(shards: Shards, move: Move) -> None:
    ends.claim_source(shards.engines()[move.source], move)
    ends.begin_import(shards.engines()[move.target], move)


def test_a_mover_that_was_taken_over_writes_nothing_any_more(taken_over: tuple[Shards, Move, Move]) -> None:
    shards, zombie, heir = taken_over
    source, target = shards.engines()["left"], shards.engines()["right"]
    begin(shards, heir)
    before = owners(shards), typed(source, OURS), typed(target, OURS)
    with reading(source) as connection:
        lines = lines_of_slots(connection, push, list(push.c), [OURS])

    def copy() -> None:
        with ends.copying(target, zombie) as connection:
            write_lines(connection, push, ["id"], lines)

    def copy_by_hand() -> None:
        with writing(target) as connection:
            connection.execute(slot_pass.insert(), {"move_id": zombie.id, "token": zombie.token})
            write_lines(connection, push, ["id"], lines)

    journal = shards.journal
    acts: Sequence[Callable[[], object]] = [
        copy,
        lambda: ends.claim_source(source, zombie),
        lambda: ends.claim_target(target, zombie),
        lambda: ends.begin_import(target, zombie),
        lambda: ends.fence(source, zombie),
        lambda: ends.retire(source, zombie),
        lambda: ends.activate(source, target, zombie),
        lambda: ends.undo_target(target, zombie),
        lambda: ends.lift_fence(source, zombie),
        lambda: ends.delete_rows(source, zombie, "active"),
        lambda: journal.note(zombie, "copying"),
        lambda: journal.commit(zombie, ""),
        lambda: journal.give_up(zombie, "no reason"),
        lambda: journal.end(zombie, "done"),
        lambda: journal.end(zombie, "aborted"),
    ]
    for act in acts:
        with pytest.raises(Refused):
            act()
    with pytest.raises(Transient, match="is owned by another shard now"):
        copy_by_hand()
    assert (owners(shards), typed(source, OURS), typed(target, OURS)) == before
    assert journal.open_moves() == [heir]


def owners(shards: Shards) -> dict[str, Row[Any]]:
    found = {}
    for name, engine in shards.engines().items():
        with reading(engine) as connection:
            found[name] = connection.execute(select(slot_owner).where(slot_owner.c.slot == OURS)).one()
    return found


def test_the_one_who_took_over_brings_it_to_its_end(taken_over: tuple[Shards, Move, Move]) -> None:
    shards, _, heir = taken_over
    shards.journal.leave(heir, "heir", "it went")
    job = shards.carrier(Pace()).carry(shards.journal.job(heir.job_id))
    assert job.state == "done"
    assert typed(shards.engines()["right"], OURS) == expected(OURS)
