"""What the verifier finds: nothing on a site that is well, also while slots move, and every kind of damage by name."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, Table, select, text

from fms.db.partitions import drop_partitions
from fms.db.tables import alert, alert_window, notification, outbox, push, user_account
from fms.errors import FmsError, Invalid, Transient
from fms.model.ids import slot_of_id
from fms.rebalance.journal import Move
from fms.rebalance.mover import Pace
from fms.rebalance.service import Shards
from fms.rebalance.snapshot import Snapshot
from fms.rebalance.verify import verify
from fms.shards.engine import opened, reading, writing
from fms.shards.router import Router
from tests.builders import MINT, MONDAY, change, change_batch
from tests.contracts.homes import (
    NAMES,
    Home,
    copy_databases,
    copy_files,
    files,
    found_home,
    harm,
    planned,
    settle,
    slots_of,
    swap,
)
from tests.contracts.town import SqlTown
from tests.services.postgres import Databases, Postgres
from tests.services.shared import Shared

KINDS = ["sqlite", "postgres"]


@pytest.fixture(scope="session")
def settled_files(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("settled")
    home = found_home(folder, files(folder))
    settle(home)
    return home


@pytest.fixture(scope="session")
def settled_databases(shared_servers: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    databases = Databases(shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url))
    home = found_home(tmp_path_factory.mktemp("settled"), {name: databases.new_database() for name in NAMES})
    settle(home)
    yield home
    databases.drop()


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A site of two shards that is well, of each kind."""
    if request.param == "sqlite":
        return copy_files(request.getfixturevalue("settled_files"), tmp_path / "site")
    settled: Home = request.getfixturevalue("settled_databases")
    return copy_databases(settled, tmp_path / "site", request.getfixturevalue("postgres"))


@pytest.fixture
def shards(home: Home) -> Iterator[Shards]:
    with home.shards() as found:
        yield found


@pytest.fixture
def router(home: Home) -> Iterator[Router]:
    with closing(home.router()) as found:
        yield found


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks again does not wait."""
    monkeypatch.setattr("fms.rebalance.verify.PAUSES", (0, 0, 0))


def rows_of(shards: Shards, name: str, table: Table) -> list[Row[Any]]:
    with reading(shards.engines()[name]) as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key)))


def some(shards: Shards, table: Table, **wanted: Any) -> tuple[str, Row[Any]]:
    """A row, and the shard in which it is."""
    return next(
        (name, row)
        for name in NAMES
        for row in rows_of(shards, name, table)
        if all(getattr(row, column) == value for column, value in wanted.items())
    )


def other(name: str) -> str:
    return NAMES[1 - NAMES.index(name)]


def free_slot(shards: Shards, name: str, router: Router) -> int:
    """A slot that a shard owns, and that has no rows."""
    owners = shards.owners()
    return next(slot for slot in range(4096) if owners[slot] == name and slot not in slots_of(router))


def write_over(shards: Shards, name: str, table: Table, row: Row[Any], **changes: Any) -> None:
    """Put a copy of a row into a shard, whatever its guard says."""
    engine = shards.engines()[name]
    if engine.dialect.name == "sqlite":
        harm(engine)
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(table.insert(), dict(zip(table.c.keys(), row, strict=True)) | changes)


def spoil(shards: Shards, name: str, table: Table, row: Row[Any], changes: str) -> None:
    """Write columns of a row, whatever the guard says."""
    where, values = _key(table, row)
    harm(shards.engines()[name], f"UPDATE {table.name} SET {changes} WHERE {where}", **values)  # noqa: S608  # names of ours


def destroy(shards: Shards, name: str, table: Table, row: Row[Any]) -> None:
    """Delete a row, whatever the guard says."""
    where, values = _key(table, row)
    harm(shards.engines()[name], f"DELETE FROM {table.name} WHERE {where}", **values)  # noqa: S608  # names of ours


def _key(table: Table, row: Row[Any]) -> tuple[str, dict[str, Any]]:
    """Condition and values that name a row."""
    values = {column.name: getattr(row, column.name) for column in table.primary_key}
    shown = {name: value.hex if isinstance(value, UUID) else value for name, value in values.items()}
    return " AND ".join(f"{name} = :{name}" for name in shown), shown


def interrupted(shards: Shards, slots: list[int], monkeypatch: pytest.MonkeyPatch) -> Move:
    """A move whose mover went when it was decided and nothing else was done."""

    def break_down(*_: object) -> None:
        raise Transient("broken")

    with monkeypatch.context() as patched:
        patched.setattr("fms.rebalance.mover.retire", break_down)
        patched.setattr("fms.rebalance.carrying.ATTEMPTS", 1)
        with pytest.raises(Transient, match="broken"):
            shards.carrier(Pace()).carry(planned(shards, slots))
    [move] = shards.journal.open_moves()
    assert move.state == "committed"
    return move


# -- nothing is wrong


def test_a_site_is_well_before_and_after_a_rebalance(shards: Shards, router: Router) -> None:
    assert verify(shards) == []
    slots = slots_of(router)
    for _ in range(2):
        swap(shards, slots)
        assert verify(shards) == []
        assert shards.check().left > 0, "there are leftovers, and they are none of its business"
    assert shards.clean() > 0
    assert verify(shards) == []
    assert verify(shards, slots[0]) == []


def test_a_drained_shard_leaves_a_site_that_is_well(shards: Shards) -> None:
    job = shards.plan(drain=["right"])
    shards.journal.start(job.id, {})
    assert shards.carrier(Pace(), 1).carry(job).state == "done"
    assert verify(shards) == []


def test_it_tells_how_far_it_is_a_page_at_a_time(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fms.rebalance.snapshot.PAGE", 3)
    told: list[tuple[str, int]] = []
    assert verify(shards, report=lambda table, rows: told.append((table, rows))) == []
    for table in (user_account, alert, alert_window, notification, push):
        count = sum(len(rows_of(shards, name, table)) for name in NAMES)
        assert count > 3
        counts = [rows for name, rows in told if name == table.name]
        assert counts[-1] == count
        assert max(b - a for a, b in zip([0, *counts], counts, strict=False)) <= 3


@pytest.mark.parametrize("step", ["copying", "verifying", "fencing", "fenced"])
def test_a_move_that_was_left_at_any_step_is_no_damage(shards: Shards, router: Router, step: str) -> None:
    def stop(_move: Move, now: str, _rows: int) -> None:
        if now == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards.mover(Pace(report=stop)).carry(shards.journal.moves(planned(shards, slots_of(router)).id)[0])
    assert len(shards.journal.open_moves()) == 1
    assert verify(shards) == []


@pytest.mark.parametrize("step", ["retire", "activate"])
def test_nor_is_one_that_was_decided_and_not_ended(
    shards: Shards, router: Router, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"fms.rebalance.mover.{step}", stop)
    move = shards.journal.moves(planned(shards, slots_of(router)).id)[0]
    with pytest.raises(KeyboardInterrupt):
        shards.mover(Pace()).carry(move)
    assert shards.journal.open_moves()[0].state == "committed"
    assert verify(shards) == []


def test_a_site_at_work_whose_slots_move_is_well(home: Home, shards: Shards, router: Router) -> None:
    slots = slots_of(router)
    over = Event()
    broken: list[BaseException] = []

    def move() -> None:
        try:
            with home.shards() as mine:
                for _ in range(3):
                    swap(mine, slots)
        except BaseException as error:  # noqa: BLE001  # told below
            broken.append(error)
        finally:
            over.set()

    def write() -> None:
        try:
            with closing(home.router()) as mine:
                town = SqlTown(mine)
                price = 39_000
                while not over.is_set():
                    price -= 1
                    fell = change(price=price, old_price=price + 1, observed_at=MONDAY + 40_000 - price)
                    town.notify.process(town.match.process(change_batch([fell])))
        except FmsError as error:
            broken.append(error)

    threads = [Thread(target=move), Thread(target=write)]
    for thread in threads:
        thread.start()
    found: list[list[str]] = []
    while not over.is_set():
        found.append(verify(shards))
    for thread in threads:
        thread.join()
    assert broken == []
    assert found
    assert not any(found), found
    assert verify(shards) == []


def test_what_is_well_when_it_is_looked_at_again_is_not_told(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    name, row = some(shards, alert_window)
    spoil(shards, name, alert_window, row, "trigger = trigger + 1")
    pauses: list[float] = []

    def repair(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            spoil(shards, name, alert_window, row, "trigger = trigger - 1")

    monkeypatch.setattr("fms.rebalance.verify.sleep", repair)
    assert verify(shards) == []
    assert len(pauses) == 3


# -- damage


def window_of(row: Row[Any], name: str) -> str:
    return f"alert_window {row.alert_id} of {row.month // 12}-{row.month % 12 + 1:02} in shard {name}"


def named(table: Table, row: Row[Any], name: str) -> str:
    return f"{table.name} {row.id} in shard {name} "


@pytest.mark.parametrize(
    ("table", "by"),
    [
        (user_account, ["its e-mail", "its id"]),
        (alert, ["its route", "its id"]),
        (outbox, ["its alert"]),
        (notification, ["its user"]),
        (push, ["its user"]),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_a_row_in_a_wrong_slot(shards: Shards, router: Router, table: Table, by: list[str]) -> None:
    name, row = some(shards, table)
    wrong = free_slot(shards, name, router)
    spoil(shards, name, table, row, f"slot = {wrong}")
    found = [one for one in verify(shards) if one.startswith(f"{table.name} ")]
    assert found == [f"{named(table, row, name)}has slot {wrong}, and {what} belongs to slot {row.slot}" for what in by]


def test_a_row_whose_content_names_another_slot(shards: Shards) -> None:
    name, row = some(shards, user_account)
    spoil(shards, name, user_account, row, "email = 'else@example.org'")
    [found] = verify(shards)
    assert found.startswith(f"{named(user_account, row, name)}has slot {row.slot}, and its e-mail belongs to slot ")


def test_an_id_that_names_no_slot(shards: Shards) -> None:
    name, row = some(shards, push)
    strange = UUID(int=row.user_id.int & ~(0xF << 76))
    spoil(shards, name, push, row, f"user_id = '{strange.hex}'")
    assert verify(shards) == [
        f"{named(push, row, name)}has slot {row.slot}, and its user names none: not an id of fms: {strange}"
    ]


def test_a_window_in_a_wrong_slot(shards: Shards, router: Router) -> None:
    name, row = some(shards, alert_window)
    wrong = free_slot(shards, name, router)
    spoil(shards, name, alert_window, row, f"slot = {wrong}")
    what = window_of(row, name)
    assert verify(shards) == [
        f"{what} has slot {wrong}, and its alert belongs to slot {row.slot}",
        f"{what} is not as its alert: slot",
    ]


@pytest.mark.parametrize("table", [user_account, alert, outbox, notification, push], ids=lambda one: one.name)
def test_a_row_in_a_shard_that_never_had_its_slot(shards: Shards, table: Table) -> None:
    name, row = some(shards, table)
    write_over(shards, other(name), table, row)
    assert verify(shards) == [f"{named(table, row, other(name))}has slot {row.slot}, which never was in this shard"]
    assert verify(shards, row.slot) == verify(shards)
    assert verify(shards, (row.slot + 1) % 4096) == []


def test_a_window_in_a_shard_that_never_had_its_slot(shards: Shards) -> None:
    name, row = some(shards, alert_window)
    write_over(shards, other(name), alert_window, row)
    [found] = verify(shards)
    assert found.startswith(f"alert_window {row.alert_id} of ")
    assert found.endswith(f" in shard {other(name)} has slot {row.slot}, which never was in this shard")


@pytest.mark.parametrize("table", [user_account, alert, outbox, notification, push], ids=lambda one: one.name)
def test_an_id_that_counts_in_two_shards(shards: Shards, router: Router, table: Table) -> None:
    name, row = some(shards, table)
    wrong = free_slot(shards, other(name), router)
    write_over(shards, other(name), table, row, slot=wrong)
    names = " and ".join(NAMES)
    assert f"{table.name} {row.id} counts in more than one shard: {names}" in verify(shards)


def test_a_slot_that_two_shards_own(shards: Shards) -> None:
    name, row = some(shards, user_account)
    write_over(shards, other(name), user_account, row)
    harm(
        shards.engines()[other(name)],
        "INSERT INTO slot_owner (slot, state, epoch) VALUES (:slot, 'active', 1)",
        slot=row.slot,
    )
    names = " and ".join(NAMES)
    assert verify(shards) == [
        f"slot {row.slot} is owned by {names}",
        f"user_account {row.id} counts in more than one shard: {names}",
    ]


@pytest.mark.parametrize(
    ("change_to", "words"),
    [
        ("DELETE FROM slot_owner WHERE slot = 7", ["slot 7 is owned by no shard"]),
        ("UPDATE slot_owner SET state = 'moved' WHERE slot = 7", ["slot 7 is owned by no shard"]),
        (
            "UPDATE slot_owner SET state = 'fenced' WHERE slot = 7",
            ["slot 7 in shard left is fenced, and no move is about it"],
        ),
        (
            "UPDATE slot_owner SET state = 'importing' WHERE slot = 7",
            ["slot 7 is owned by no shard", "slot 7 in shard left is importing, and no move is about it"],
        ),
    ],
)
def test_an_owner_that_cannot_be(shards: Shards, change_to: str, words: list[str]) -> None:
    harm(shards.engines()["left"], change_to)
    assert verify(shards) == words
    assert verify(shards, 7) == words
    assert verify(shards, 8) == []


def test_a_guard_that_stands_open(shards: Shards) -> None:
    harm(shards.engines()["left"], "INSERT INTO slot_pass VALUES (:id, 1)", id=MINT.new(0).hex)
    assert verify(shards) == ["slot_pass in shard left has a row: its guard stands open"]


def test_a_map_that_says_another_owner_or_none(home: Home, shards: Shards) -> None:
    with opened(home.catalog) as catalog:
        harm(catalog, "UPDATE slot_map SET shard = 'right' WHERE slot = 7")
        assert verify(shards) == ["slot 7 is owned by left, and the map says right"]
        harm(catalog, "DELETE FROM slot_map WHERE slot = 7")
        assert verify(shards) == ["slot_map in the catalog names the owners of 4095 of 4096 slots"]


def test_a_window_that_is_missing(shards: Shards) -> None:
    name, row = some(shards, alert_window)
    destroy(shards, name, alert_window, row)
    assert verify(shards) == [f"{window_of(row, name)} is missing: its alert wants it"]
    assert verify(shards, row.slot) == verify(shards)


@pytest.mark.parametrize("ref", ["paused", "owed"])
def test_a_window_of_an_alert_that_must_have_none(shards: Shards, ref: str) -> None:
    name, row = some(shards, alert, ref=ref)
    like = some(shards, alert_window)[1]
    write_over(shards, name, alert_window, like, alert_id=row.id, slot=row.slot)
    why = {"paused": "is paused", "owed": "is not evaluated yet"}[ref]
    [found] = verify(shards)
    assert found == f"alert_window {row.id} of 2026-12 in shard {name} is not wanted: its alert {why}"


def test_a_window_of_a_month_in_which_its_alert_does_not_depart(shards: Shards) -> None:
    name, row = some(shards, alert_window)
    write_over(shards, name, alert_window, row, month=row.month + 10)
    [found] = verify(shards)
    assert found.endswith("is not wanted: its alert departs in other months")


@pytest.mark.parametrize(
    "change_to", ["trigger = trigger - 1", "market = 5", "first_day = first_day - 1", "last_day = last_day + 1"]
)
def test_a_window_that_is_not_as_its_alert(shards: Shards, change_to: str) -> None:
    name, row = some(shards, alert_window)
    spoil(shards, name, alert_window, row, change_to)
    column = change_to.partition(" ")[0]
    assert verify(shards) == [f"{window_of(row, name)} is not as its alert: {column}"]


def test_a_window_without_an_alert(shards: Shards) -> None:
    name, row = some(shards, alert_window)
    destroy(shards, name, alert, some(shards, alert, id=row.alert_id)[1])
    found = verify(shards)
    assert f"{window_of(row, name)} has no alert there" in found
    assert all(one.startswith(f"alert_window {row.alert_id} of ") for one in found)
    assert verify(shards, row.slot) == found


def test_an_alert_that_makes_no_sense(shards: Shards) -> None:
    name, row = some(shards, alert, paused=False, evaluate_at=None)
    spoil(shards, name, alert, row, "od = 'JFKÖLHR'")
    found = verify(shards)
    assert len(found) == 2
    assert found[0].startswith(f"{named(alert, row, name)}has slot {row.slot}, and its route names none: ")
    assert found[1].startswith(f"{named(alert, row, name)}makes no sense: ")


def test_two_rows_of_the_outbox_about_an_alert_and_an_hour(shards: Shards, router: Router) -> None:
    name, row = some(shards, outbox)
    wrong = free_slot(shards, other(name), router)
    twin = MINT.new(slot_of_id(row.alert_id))
    write_over(shards, other(name), outbox, row, id=twin, slot=wrong)
    places = sorted([f"{row.id} in shard {name}", f"{twin} in shard {other(name)}"], key=lambda one: one[-5:])
    [found] = [one for one in verify(shards) if one.startswith("outbox of alert ")]
    assert found.startswith(f"outbox of alert {row.alert_id} in hour {row.hour} has more than one row: ")
    assert all(place in found for place in places)


def test_two_such_rows_in_one_shard(shards: Shards) -> None:
    name, row = some(shards, outbox)
    engine = shards.engines()[name]
    if engine.dialect.name == "sqlite":
        harm(engine)
        with writing(engine) as connection:
            # SQLite cannot drop a constraint.
            connection.exec_driver_sql("ALTER TABLE outbox RENAME TO before")
            connection.exec_driver_sql("CREATE TABLE outbox AS SELECT * FROM before")
    else:
        with writing(engine) as connection:
            connection.exec_driver_sql("ALTER TABLE outbox DROP CONSTRAINT uq_outbox_alert_id_hour")
    twin = MINT.new(row.slot)
    write_over(shards, name, outbox, row, id=twin)
    assert verify(shards) == [
        (
            f"outbox of alert {row.alert_id} in hour {row.hour} has more than one row:"
            f" {row.id} in shard {name} and {twin} in shard {name}"
        )
    ]


# -- both ends of a move that is decided


def decided(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> tuple[Move, Row[Any], Row[Any]]:
    """A move that was decided and not ended; an alert of it that has windows, and the first of them."""
    name, window = some(shards, alert_window)
    _, row = some(shards, alert, id=window.alert_id)
    move = interrupted(shards, [row.slot], monkeypatch)
    assert move.source == name
    assert verify(shards) == []
    return move, row, window


@pytest.mark.parametrize(
    ("change_to", "words"),
    [
        ("UPDATE alert SET amount = amount + 1 WHERE id = :id", "amount"),
        ("UPDATE alert SET ref = ref || ' ' WHERE id = :id", "ref"),
        ("UPDATE alert_window SET trigger = trigger + 1 WHERE alert_id = :id", "its windows"),
        ("DELETE FROM alert_window WHERE alert_id = :id", "its windows"),
        ("DELETE FROM alert WHERE id = :id", "it is missing here"),
    ],
)
def test_a_row_that_was_moved_and_is_not_the_same(
    shards: Shards, change_to: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, row, _ = decided(shards, monkeypatch)
    harm(shards.engines()[move.target], change_to, id=row.id.hex)
    assert verify(shards) == [
        (
            f"{named(alert, row, move.target)}is not as in shard {move.source},"
            f" from which slot {row.slot} was moved: {words}"
        )
    ]


def test_a_row_that_is_only_where_it_was_moved_to(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    move, row, _ = decided(shards, monkeypatch)
    made = MINT.new(row.slot)
    write_over(shards, move.target, alert, row, id=made, ref="new")
    assert verify(shards) == [
        (
            f"alert {made} in shard {move.target} is not as in shard {move.source},"
            f" from which slot {row.slot} was moved: it is missing there"
        )
    ]


def test_also_when_the_source_has_retired(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    move, row, _ = decided(shards, monkeypatch)
    harm(shards.engines()[move.source], "UPDATE slot_owner SET state = 'moved' WHERE slot = :slot", slot=row.slot)
    assert verify(shards) == []
    spoil(shards, move.target, alert, row, "fired_at = 1")
    [found] = verify(shards)
    assert found.endswith(": fired_at")


def test_owners_that_are_about_another_move(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    move, row, _ = decided(shards, monkeypatch)
    strange = "UPDATE slot_owner SET move_id = :id WHERE slot = :slot"
    harm(shards.engines()[move.target], strange, id=MINT.new(0).hex, slot=row.slot)
    assert verify(shards) == [f"slot {row.slot} in shard {move.target} is importing, and no move is about it"]


# -- at its limits


def test_months_that_were_dropped_may_be_missing(shards: Shards, router: Router) -> None:
    slots = slots_of(router)
    engines = shards.engines()
    for engine in engines.values():
        dropped = drop_partitions(engine, 2027 * 12)
        assert dropped == ([] if engine.dialect.name == "sqlite" else [2026 * 12 + 10, 2026 * 12 + 11])
    assert verify(shards) == []
    swap(shards, slots)
    assert verify(shards) == []


def test_months_that_were_dropped_stay_so_when_a_slot_moves_to_a_file(
    postgres: Databases, settled_databases: Home, tmp_path: Path
) -> None:
    urls = {"left": postgres.new_database(like=settled_databases.urls["left"]), "right": files(tmp_path)["right"]}
    with opened(urls["left"]) as engine:
        drop_partitions(engine, 2027 * 12)
    found_home(tmp_path / "other", files(tmp_path))
    home = found_home(tmp_path / "site", urls, empty=False)
    with home.shards() as shards:
        moved = {row.slot for row in rows_of(shards, "left", alert)}
        swap(shards, sorted(moved))
        assert verify(shards) == []
        assert {row.slot for row in rows_of(shards, "right", alert)} == moved


def test_of_very_many_findings_some_are_told_and_that_there_are_more(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fms.rebalance.verify.MOST", 5)
    for engine in shards.engines().values():
        harm(engine, "UPDATE alert_window SET market = 1")
    found = verify(shards)
    assert len(found) == 6
    assert found[-1] == "there is more than these 5 findings"


def test_a_slot_that_is_none_is_refused(shards: Shards) -> None:
    for slot in (-1, 4096):
        with pytest.raises(Invalid):
            verify(shards, slot)


def test_a_row_that_cannot_be_read_is_named_by_the_one_before(
    tmp_path: Path, settled_files: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with copy_files(settled_files, tmp_path / "site").shards() as shards:
        first, second, *_ = rows_of(shards, "left", alert)
        spoil(shards, "left", alert, second, "depart_from = 'soon'")
        monkeypatch.setattr("fms.rebalance.snapshot.PAGE", 1)
        [found] = verify(shards)
    assert found.startswith(f"alert in shard left: a row behind {first.id} cannot be read, and none after it was: ")


def test_a_shard_is_read_as_of_one_moment(shards: Shards) -> None:
    name, row = some(shards, alert)
    engine = shards.engines()[name]
    with Snapshot.of(name, engine, None, 0, lambda _table, _rows: None) as snapshot:
        spoil(shards, name, alert, row, "slot = 0")
        harm(engine, "UPDATE slot_owner SET state = 'moved'")
        slots = {copy.id: copy.row.slot for copy in snapshot.copies(alert) if copy.row is not None}
        assert slots[row.id] == row.slot
        assert snapshot.owns(row.slot)
