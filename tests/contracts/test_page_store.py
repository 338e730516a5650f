"""What every store of pages does, whatever it keeps them in."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from fms.errors import Fatal, Transient
from fms.model.page import page_key
from fms.model.route import partition_of_od
from fms.ports import PageStore, Version
from fms.pricebook.memory import MemoryPageStore
from fms.pricebook.overlay import Overlay
from fms.pricebook.redis import RedisPageStore
from fms.pricebook.sqlite import SqlitePageStore

Open = Callable[[], PageStore]
HERE, ELSEWHERE = partition_of_od("JFK-LHR"), partition_of_od("ABC-DEF")


@pytest.fixture(params=["memory", "sqlite", "overlay", "redis", "redis cluster"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store as often as asked."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield lambda: stack.enter_context(SqlitePageStore(tmp_path / "prices.sqlite"))
        elif request.param.startswith("redis"):
            url = request.getfixturevalue(request.param.replace(" ", "_") + "_url")
            yield lambda: stack.enter_context(RedisPageStore(url))
        else:
            one = MemoryPageStore() if request.param == "memory" else Overlay(MemoryPageStore())
            yield lambda: one


@pytest.fixture
def store(open_store: Open) -> PageStore:
    return open_store()


def put(store: PageStore, pages: dict[str, bytes | None]) -> bool:
    """Put pages of one partition, and something about each."""
    (partition,) = {partition_of_od(key[:7]) for key in pages}
    version, _ = store.get(partition, [])
    return store.put(partition, version, pages, {key: page and b"about " + page for key, page in pages.items()})


def test_pages_are_got_in_the_order_in_which_they_are_asked_for(store: PageStore) -> None:
    assert put(store, {"JFK-LHR:2026-01-01": b"one", "JFK-LHR:2026-01-02": b"two"})
    _, pages = store.get(HERE, ["JFK-LHR:2026-01-02", "CDG-LHR:2026-01-01", "JFK-LHR:2026-01-01"])
    assert pages == [b"two", None, b"one"]


def test_descriptions_are_got_in_the_order_in_which_they_are_asked_for(store: PageStore) -> None:
    assert put(store, {"JFK-LHR:2026-01-01": b"one", "JFK-LHR:2026-01-02": b"two"})
    found = store.describe(HERE, ["JFK-LHR:2026-01-02", "CDG-LHR:2026-01-01", "JFK-LHR:2026-01-01"])
    assert found == [b"about two", None, b"about one"]


def test_an_empty_store_has_no_pages(store: PageStore) -> None:
    assert store.get(HERE, ["JFK-LHR:2026-01-01"])[1] == [None]
    assert list(store.keys()) == []


def test_a_put_replaces_a_page_and_leaves_its_description(store: PageStore) -> None:
    assert put(store, {"JFK-LHR:2026-01-01": b"one"})
    version, _ = store.get(HERE, [])
    assert store.put(HERE, version, {"JFK-LHR:2026-01-01": b"new"}, {})
    assert store.get(HERE, ["JFK-LHR:2026-01-01"])[1] == [b"new"]
    assert store.describe(HERE, ["JFK-LHR:2026-01-01"]) == [b"about one"]


def test_none_deletes_a_page_and_its_description(store: PageStore) -> None:
    put(store, {"JFK-LHR:2026-01-01": b"one", "JFK-LHR:2026-01-02": b"two"})
    assert put(store, {"JFK-LHR:2026-01-01": None})
    assert store.get(HERE, ["JFK-LHR:2026-01-01"])[1] == [None]
    assert store.describe(HERE, ["JFK-LHR:2026-01-01"]) == [None]
    assert list(store.keys()) == ["JFK-LHR:2026-01-02"]


def test_a_put_raises_the_version_of_its_partition_only(store: PageStore) -> None:
    mine, _ = store.get(HERE, [])
    other, _ = store.get(ELSEWHERE, [])
    assert store.put(HERE, mine, {}, {})
    assert store.get(HERE, [])[0] > mine
    assert store.get(ELSEWHERE, [])[0] == other


def test_a_put_with_a_stale_version_writes_nothing(store: PageStore) -> None:
    stale, _ = store.get(HERE, [])
    put(store, {"JFK-LHR:2026-01-01": b"one"})
    before, _ = store.get(HERE, [])
    late: dict[str, bytes | None] = {"JFK-LHR:2026-01-01": b"late", "JFK-LHR:2026-01-02": b"late"}
    assert not store.put(HERE, stale, late, late)
    assert store.get(HERE, ["JFK-LHR:2026-01-01", "JFK-LHR:2026-01-02"]) == (before, [b"one", None])
    assert store.describe(HERE, ["JFK-LHR:2026-01-01", "JFK-LHR:2026-01-02"]) == [b"about one", None]


def test_of_two_who_read_the_same_version_one_writes(open_store: Open) -> None:
    first, second = open_store(), open_store()
    version, _ = first.get(HERE, [])
    assert second.get(HERE, [])[0] == version
    assert second.put(HERE, version, {"JFK-LHR:2026-01-01": b"second"}, {})
    assert not first.put(HERE, version, {"JFK-LHR:2026-01-01": b"first"}, {})
    assert first.get(HERE, ["JFK-LHR:2026-01-01"])[1] == [b"second"]


def test_what_one_has_put_the_other_gets_with_the_new_version(open_store: Open) -> None:
    first, second = open_store(), open_store()
    assert put(first, {"JFK-LHR:2026-01-01": b"one"})
    assert second.get(HERE, ["JFK-LHR:2026-01-01"]) == first.get(HERE, ["JFK-LHR:2026-01-01"])


def test_thousands_of_pages_are_put_and_got_at_once(store: PageStore) -> None:
    pages: dict[str, bytes | None] = {page_key("JFK-LHR", n): str(n).encode() for n in range(2_001)}
    assert put(store, pages)
    assert store.get(HERE, list(pages))[1] == list(pages.values())
    assert len(store.describe(HERE, list(pages))) == 2_001


def test_keys_are_sorted_and_those_of_an_od_are_its_own(store: PageStore) -> None:
    assert put(store, {"JFK-LHX:2026-01-01": b"c"})
    assert put(store, {"JFK-LHR:2026-01-02": b"b", "JFK-LHR:2026-01-01": b"a"})
    assert put(store, {"ABC-DEF:2026-01-01": b"d"})
    assert list(store.keys()) == [
        "ABC-DEF:2026-01-01", "JFK-LHR:2026-01-01", "JFK-LHR:2026-01-02", "JFK-LHX:2026-01-01"
    ]  # fmt: skip
    assert list(store.keys("JFK-LHR")) == ["JFK-LHR:2026-01-01", "JFK-LHR:2026-01-02"]
    assert list(store.keys("JFK-LH")) == []


def test_a_page_has_its_key_whoever_put_it_first_or_again(open_store: Open) -> None:
    first, second = open_store(), open_store()
    assert put(first, {"JFK-LHR:2026-01-01": b"one"})
    first.get(HERE, ["JFK-LHR:2026-01-01"])
    assert put(second, {"JFK-LHR:2026-01-01": None})
    assert list(first.keys()) == []
    assert put(first, {"JFK-LHR:2026-01-01": b"again"})
    assert list(second.keys("JFK-LHR")) == list(second.keys()) == ["JFK-LHR:2026-01-01"]


def test_the_newest_observation_is_that_of_all_puts_and_never_runs_back(store: PageStore) -> None:
    assert store.newest() == 0
    for partition, newest in ((HERE, 50), (ELSEWHERE, 70), (HERE, 60), (ELSEWHERE, 40), (HERE, None)):
        version, _ = store.get(partition, [])
        assert store.put(partition, version, {}, {}, newest)
    assert store.newest() == 70


def test_a_put_that_writes_nothing_leaves_the_newest_observation(store: PageStore) -> None:
    stale, _ = store.get(HERE, [])
    assert put(store, {"JFK-LHR:2026-01-01": b"one"})
    assert not store.put(HERE, stale, {}, {}, 50)
    assert store.newest() == 0


def test_the_incarnation_stays_as_long_as_nothing_is_forgotten(open_store: Open) -> None:
    first, second = open_store(), open_store()
    before = first.get(HERE, [])[0].incarnation
    assert 0 <= before < 2**32
    assert put(second, {"JFK-LHR:2026-01-01": b"one"})
    assert {store.get(HERE, [])[0].incarnation for store in (first, second)} == {before}


def test_a_file_keeps_its_pages_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    with SqlitePageStore(path) as store:
        put(store, {"JFK-LHR:2026-01-01": b"one"})
        version, _ = store.get(HERE, [])
    with SqlitePageStore(path) as store:
        assert store.get(HERE, ["JFK-LHR:2026-01-01"]) == (version, [b"one"])


def test_a_file_is_read_as_it_was_while_somebody_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    with SqlitePageStore(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        put(store, {"JFK-LHR:2026-01-01": b"one"})
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE page SET value = x'00'")
        writer.execute("UPDATE partition_version SET version = 99")
        assert store.get(HERE, ["JFK-LHR:2026-01-01"]) == (Version(0, 1), [b"one"])
        writer.execute("COMMIT")
        assert store.get(HERE, ["JFK-LHR:2026-01-01"]) == (Version(0, 99), [b"\0"])


def test_a_file_that_somebody_else_holds_is_a_passing_trouble(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    with (
        SqlitePageStore(path, busy_seconds=0) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
    ):
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="locked"):
            store.put(HERE, Version(0, 0), {"JFK-LHR:2026-01-01": b"one"}, {})
        writer.execute("ROLLBACK")
        assert store.put(HERE, Version(0, 0), {"JFK-LHR:2026-01-01": b"one"}, {})


def test_a_put_that_fails_half_way_writes_nothing(tmp_path: Path) -> None:
    with SqlitePageStore(tmp_path / "prices.sqlite") as store:
        wrong: dict[str, bytes | None] = {"JFK-LHR:2026-01-01": b"one", "JFK-LHR:2026-01-02": object()}  # type: ignore[dict-item]
        with pytest.raises(Fatal):
            store.put(HERE, Version(0, 0), wrong, {})
        assert store.get(HERE, ["JFK-LHR:2026-01-01"]) == (Version(0, 0), [None])
        assert put(store, {"JFK-LHR:2026-01-01": b"one"})


def test_a_file_of_a_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    SqlitePageStore(path).close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET value = 2")
    with pytest.raises(Fatal, match=r"prices\.sqlite was written by a newer fms") as caught:
        SqlitePageStore(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    path.write_text("not a database, but long enough to look at its first bytes: " * 10)
    with pytest.raises(Fatal, match=r"prices\.sqlite: file is not a database"):
        SqlitePageStore(path)


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="unable to open"):
        SqlitePageStore(tmp_path / "nowhere" / "prices.sqlite")


def test_an_overlay_writes_into_its_store_when_it_is_flushed() -> None:
    inner = MemoryPageStore()
    put(inner, {"JFK-LHR:2026-01-01": b"old", "JFK-LHR:2026-01-02": b"old"})
    overlay = Overlay(inner)
    put(overlay, {"JFK-LHR:2026-01-01": b"new", "JFK-LHR:2026-01-02": None})
    put(overlay, {"ABC-DEF:2026-01-01": b"new"})
    assert list(overlay.keys()) == ["ABC-DEF:2026-01-01", "JFK-LHR:2026-01-01"]
    assert inner.get(HERE, ["JFK-LHR:2026-01-01", "JFK-LHR:2026-01-02"])[1] == [b"old", b"old"]
    overlay.flush()
    assert inner.get(HERE, ["JFK-LHR:2026-01-01", "JFK-LHR:2026-01-02"])[1] == [b"new", None]
    assert inner.get(ELSEWHERE, ["ABC-DEF:2026-01-01"])[1] == [b"new"]
    assert inner.describe(HERE, ["JFK-LHR:2026-01-01"]) == [b"about new"]


def test_an_overlay_keeps_the_newest_observation_until_it_is_flushed() -> None:
    inner = MemoryPageStore()
    overlay = Overlay(inner)
    for newest in (50, 70, 60, None):
        assert overlay.put(HERE, overlay.get(HERE, [])[0], {}, {}, newest)
    assert (overlay.newest(), inner.newest()) == (70, 0)
    overlay.flush()
    assert (overlay.newest(), inner.newest()) == (70, 70)


def test_an_overlay_goes_on_after_it_was_flushed() -> None:
    inner = MemoryPageStore()
    overlay = Overlay(inner)
    put(overlay, {"JFK-LHR:2026-01-01": b"one"})
    overlay.flush()
    put(overlay, {"JFK-LHR:2026-01-01": b"two"})
    overlay.flush()
    assert inner.get(HERE, ["JFK-LHR:2026-01-01"])[1] == [b"two"]


@pytest.mark.parametrize("theirs", ["STN-BGY", "LIS-OPO"])
def test_an_overlay_whose_store_moved_meanwhile_writes_nothing(theirs: str) -> None:
    inner = MemoryPageStore()
    overlay = Overlay(inner)
    put(overlay, {"JFK-LHR:2026-01-01": b"one"})
    put(overlay, {"ABC-DEF:2026-01-01": b"one"})
    put(inner, {f"{theirs}:2026-01-01": b"theirs"})
    with pytest.raises(Transient, match=f"partition {partition_of_od(theirs)}"):
        overlay.flush()
    assert list(inner.keys()) == [f"{theirs}:2026-01-01"]
