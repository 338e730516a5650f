"""Windows by month of departure: partitions on PostgreSQL, and what waits for one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select, text

from fms.db.migrate import History, upgrade
from fms.db.partitions import drop_partitions, make_partitions, prepare, rows_in_default
from fms.db.tables import alert_window
from fms.errors import Transient
from fms.model.alert import month_of
from fms.shards.engine import opened, reading, writing
from fms.shards.ownership import take
from fms.shards.router import Router, Shard, SlotMap
from tests.contracts.waiting import somebody_waits
from tests.services.postgres import Databases

TODAY = date(2026, 12, 5)
DECEMBER = month_of(TODAY)


@pytest.fixture
def engine(postgres: Databases) -> Iterator[Engine]:
    with opened(postgres.new_database()) as engine:
        upgrade(engine, History.SHARD)
        own_everything(engine)
        yield engine


def own_everything(engine: Engine) -> None:
    with writing(engine) as connection:
        take(connection, range(4096))


def add_windows(engine: Engine, *months: int) -> None:
    columns = ("slot", "market", "trigger", "first_day", "last_day")
    rows = [dict.fromkeys(columns, 1) | {"alert_id": uuid4(), "month": month} for month in months]
    with writing(engine) as connection:
        connection.execute(alert_window.insert(), rows)


def places(engine: Engine) -> list[tuple[str, int]]:
    """Of each window: the table that it is in, and its month."""
    with reading(engine) as connection:
        query = text("SELECT tableoid::regclass::text, month FROM alert_window ORDER BY month")
        return [(row[0], row[1]) for row in connection.execute(query)]


def test_this_month_and_the_next_ones_get_a_partition_once(engine: Engine) -> None:
    assert make_partitions(engine, TODAY, months=2) == [DECEMBER, DECEMBER + 1, DECEMBER + 2]
    assert make_partitions(engine, TODAY, months=2) == []
    assert make_partitions(engine, date(2027, 1, 31), months=2) == [DECEMBER + 3]
    add_windows(engine, DECEMBER, DECEMBER + 1)
    assert places(engine) == [("alert_window_2026_12", DECEMBER), ("alert_window_2027_01", DECEMBER + 1)]


def test_a_partition_has_the_indexes_of_the_table_and_room_in_its_pages(engine: Engine) -> None:
    make_partitions(engine, TODAY, months=0)
    with reading(engine) as connection:
        indexes = text("SELECT count(*) FROM pg_indexes WHERE tablename = 'alert_window_2026_12'")
        options = text(
            "SELECT DISTINCT unnest(reloptions) FROM pg_class WHERE relname ~ '^alert_window_' AND relkind = 'r'"
        )
        assert connection.execute(indexes).scalar() == 2
        assert connection.execute(options).scalars().all() == ["fillfactor=80"]


def test_windows_of_other_months_wait_and_move_when_theirs_is_made(engine: Engine) -> None:
    add_windows(engine, DECEMBER - 1, DECEMBER, DECEMBER, DECEMBER + 1)
    assert rows_in_default(engine) == 4
    make_partitions(engine, TODAY, months=1)
    assert rows_in_default(engine) == 1
    assert places(engine) == [
        ("alert_window_default", DECEMBER - 1),
        ("alert_window_2026_12", DECEMBER),
        ("alert_window_2026_12", DECEMBER),
        ("alert_window_2027_01", DECEMBER + 1),
    ]


def test_of_several_that_make_them_at_once_one_does_it(engine: Engine) -> None:
    def made(_number: int) -> list[int]:
        with opened(engine.url) as own:
            return make_partitions(own, TODAY)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(map(len, pool.map(made, range(4)))) == [0, 0, 0, 15]


def test_a_window_that_is_on_its_way_to_the_default_partition_is_written_again(engine: Engine) -> None:
    with ThreadPoolExecutor(2) as pool:
        with writing(engine) as connection:
            connection.execute(select(alert_window).with_for_update())
            # Its locks keep the maker waiting, and behind the maker waits the writer.
            connection.execute(text("LOCK TABLE alert_window_default IN ROW EXCLUSIVE MODE"))
            maker = pool.submit(make_partitions, engine, TODAY)
            somebody_waits(str(engine.url))
            writer = pool.submit(_add_elsewhere, engine)
            somebody_waits(str(engine.url), 2)
        assert len(maker.result()) == 15
        with pytest.raises(Transient, match="partition constraint"):
            writer.result()
    add_windows(engine, DECEMBER)
    assert rows_in_default(engine) == 0


def _add_elsewhere(engine: Engine) -> None:
    with opened(engine.url) as own:
        add_windows(own, DECEMBER)


def test_past_months_are_dropped_with_their_windows_and_no_others(engine: Engine) -> None:
    make_partitions(engine, TODAY, months=2)
    add_windows(engine, DECEMBER - 1, DECEMBER, DECEMBER + 1)
    assert drop_partitions(engine, DECEMBER) == []
    assert drop_partitions(engine, DECEMBER + 1) == [DECEMBER]
    assert drop_partitions(engine, DECEMBER + 1) == []
    assert [month for _, month in places(engine)] == [DECEMBER - 1, DECEMBER + 1]


def test_every_shard_of_a_site_is_prepared_and_files_need_nothing(postgres: Databases, tmp_path: Path) -> None:
    with opened(postgres.new_database()) as one, opened(f"sqlite:///{tmp_path / 'two.sqlite'}") as two:
        for engine in (one, two):
            upgrade(engine, History.SHARD)
            own_everything(engine)
        router = Router(SlotMap({"one": Shard("one", one), "two": Shard("two", two)}, ["one", "two"] * 2048))
        assert prepare(router, TODAY) == 15
        assert prepare(router, TODAY) == 0
        add_windows(two, DECEMBER)
        assert (rows_in_default(two), drop_partitions(two, DECEMBER + 1)) == (0, [])
