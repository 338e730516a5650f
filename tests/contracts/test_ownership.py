"""Who owns a slot: a writer has it until it commits, and whoever takes it away waits for the writers."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, delete, text

from fms.db.migrate import History, upgrade
from fms.errors import Transient
from fms.shards.engine import opened, reading, writing
from fms.shards.ownership import SLOT_LOCKS, check_owned, owned_slots, slot_owner, take
from tests.contracts.waiting import somebody_waits
from tests.services.postgres import Databases


@pytest.fixture
def engine(postgres: Databases) -> Iterator[Engine]:
    with opened(postgres.new_database()) as engine:
        upgrade(engine, History.SHARD)
        with writing(engine) as connection:
            take(connection, range(10))
        yield engine


@contextmanager
def taking_away(engine: Engine, slot: int) -> Iterator[Connection]:
    """A transaction that takes a slot from this shard, as who moves slots does it."""
    with opened(engine.url) as own, writing(own) as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({SLOT_LOCKS}, {slot})"))
        connection.execute(delete(slot_owner).where(slot_owner.c.slot == slot))
        yield connection


def write(engine: Engine, slots: set[int]) -> None:
    with opened(engine.url) as own, writing(own) as connection:
        check_owned(connection, slots)


def held(engine: Engine) -> set[int]:
    """The slots that are locked by who waits for another one."""
    query = text(
        "SELECT objid FROM pg_locks WHERE classid = :lock AND granted AND mode = 'ShareLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with reading(engine) as connection:
        return set(connection.execute(query, {"lock": SLOT_LOCKS}).scalars())


def test_a_slot_that_the_shard_does_not_own_is_refused(engine: Engine) -> None:
    with writing(engine) as connection:
        check_owned(connection, {0, 9})
        check_owned(connection, set())
    for slots in ({9, 10}, set(range(4096))):
        with pytest.raises(Transient, match="owned by another shard"):
            write(engine, slots)


def test_a_slot_is_not_taken_away_before_its_writers_have_finished(engine: Engine) -> None:
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as connection:
            check_owned(connection, {3, 4})
            taken = pool.submit(_take_away, engine, 3)
            somebody_waits(str(engine.url))
            assert 3 in owned_slots(connection)
        taken.result()
    with reading(engine) as connection:
        assert 3 not in owned_slots(connection)


def _take_away(engine: Engine, slot: int) -> None:
    with taking_away(engine, slot):
        pass


def test_a_writer_that_waited_sees_that_the_slot_was_taken_away(engine: Engine) -> None:
    with pytest.raises(Transient, match="owned by another shard"):
        _late_writer(engine, {3}).result()


def test_without_the_lock_a_writer_would_write_into_a_slot_that_is_being_taken_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fms.shards.ownership.hold_shared", lambda *_: None)
    with ThreadPoolExecutor(1) as pool, taking_away(engine, 3):
        assert pool.submit(write, engine, {3}).exception() is None


def _late_writer(engine: Engine, slots: set[int]) -> Future[None]:
    """A writer that came while slot 3 was being taken away."""
    with ThreadPoolExecutor(1) as pool:
        with taking_away(engine, 3):
            writer = pool.submit(write, engine, slots)
            somebody_waits(str(engine.url))
        return writer


def test_slots_are_locked_in_their_order(engine: Engine) -> None:
    with ThreadPoolExecutor(1) as pool:
        with taking_away(engine, 5):
            writer = pool.submit(write, engine, {7, 2, 5, 0})
            somebody_waits(str(engine.url))
            assert held(engine) == {0, 2}
        with pytest.raises(Transient):
            writer.result()


def test_writers_of_one_slot_do_not_wait_for_each_other(engine: Engine) -> None:
    with writing(engine) as connection, ThreadPoolExecutor(1) as pool:
        check_owned(connection, {3})
        pool.submit(write, engine, {3}).result()


def test_in_a_file_one_writer_at_a_time_is_lock_enough(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'one.sqlite'}") as engine:
        upgrade(engine, History.SHARD)
        with writing(engine) as connection:
            take(connection, [3])
            check_owned(connection, [3])
        with pytest.raises(Transient, match="owned by another shard"), writing(engine) as connection:
            check_owned(connection, [3, 4])
