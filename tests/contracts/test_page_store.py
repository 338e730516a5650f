"""What every store of pages does, whatever it keeps them in."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from fms.errors import Fatal, Transient
from fms.ports import PageStore
from fms.pricebook.memory import MemoryPageStore
from fms.pricebook.overlay import Overlay
from fms.pricebook.sqlite import SqlitePageStore

Open = Callable[[], PageStore]


@pytest.fixture(params=["memory", "sqlite", "overlay"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same store as often as asked."""
    with ExitStack() as stack:
        one: PageStore = MemoryPageStore() if request.param == "memory" else Overlay(MemoryPageStore())
        if request.param == "sqlite":
            yield lambda: stack.enter_context(SqlitePageStore(tmp_path / "prices.sqlite"))
        else:
            yield lambda: one


@pytest.fixture
def store(open_store: Open) -> PageStore:
    return open_store()


def put(store: PageStore, pages: dict[str, bytes | None], partition: int = 3) -> bool:
    version, _ = store.get(partition, [])
    return store.put(partition, version, pages, {key: page and b"about " + page for key, page in pages.items()})


def test_pages_are_got_in_the_order_in_which_they_are_asked_for(store: PageStore) -> None:
    assert put(store, {"A-B:2026-01-01": b"one", "A-B:2026-01-02": b"two"})
    _, pages = store.get(3, ["A-B:2026-01-02", "C-D:2026-01-01", "A-B:2026-01-01"])
    assert pages == [b"two", None, b"one"]


def test_descriptions_are_got_in_the_order_in_which_they_are_asked_for(store: PageStore) -> None:
    assert put(store, {"A-B:2026-01-01": b"one", "A-B:2026-01-02": b"two"})
    found = store.describe(3, ["A-B:2026-01-02", "C-D:2026-01-01", "A-B:2026-01-01"])
    assert found == [b"about two", None, b"about one"]


def test_an_empty_store_has_no_pages(store: PageStore) -> None:
    assert store.get(0, ["A-B:2026-01-01"])[1] == [None]
    assert list(store.keys()) == []


def test_a_put_replaces_a_page_and_leaves_its_description(store: PageStore) -> None:
    assert put(store, {"A-B:2026-01-01": b"one"})
    version, _ = store.get(3, [])
    assert store.put(3, version, {"A-B:2026-01-01": b"new"}, {})
    assert store.get(3, ["A-B:2026-01-01"])[1] == [b"new"]
    assert store.describe(3, ["A-B:2026-01-01"]) == [b"about one"]


def test_none_deletes_a_page_and_its_description(store: PageStore) -> None:
    put(store, {"A-B:2026-01-01": b"one", "A-B:2026-01-02": b"two"})
    assert put(store, {"A-B:2026-01-01": None})
    assert store.get(3, ["A-B:2026-01-01"])[1] == [None]
    assert store.describe(3, ["A-B:2026-01-01"]) == [None]
    assert list(store.keys()) == ["A-B:2026-01-02"]


def test_a_put_raises_the_version_of_its_partition_only(store: PageStore) -> None:
    mine, _ = store.get(3, [])
    other, _ = store.get(4, [])
    assert store.put(3, mine, {}, {})
    assert store.get(3, [])[0] > mine
    assert store.get(4, [])[0] == other


def test_a_put_with_a_stale_version_writes_nothing(store: PageStore) -> None:
    stale, _ = store.get(3, [])
    put(store, {"A-B:2026-01-01": b"one"})
    before, _ = store.get(3, [])
    late: dict[str, bytes | None] = {"A-B:2026-01-01": b"late", "A-B:2026-01-02": b"late"}
    assert not store.put(3, stale, late, late)
    assert store.get(3, ["A-B:2026-01-01", "A-B:2026-01-02"]) == (before, [b"one", None])
    assert store.describe(3, ["A-B:2026-01-01", "A-B:2026-01-02"]) == [b"about one", None]


def test_of_two_who_read_the_same_version_one_writes(open_store: Open) -> None:
    first, second = open_store(), open_store()
    version, _ = first.get(3, [])
    assert second.get(3, [])[0] == version
    assert second.put(3, version, {"A-B:2026-01-01": b"second"}, {})
    assert not first.put(3, version, {"A-B:2026-01-01": b"first"}, {})
    assert first.get(3, ["A-B:2026-01-01"])[1] == [b"second"]


def test_what_one_has_put_the_other_gets_with_the_new_version(open_store: Open) -> None:
    first, second = open_store(), open_store()
    assert put(first, {"A-B:2026-01-01": b"one"})
    assert second.get(3, ["A-B:2026-01-01"]) == first.get(3, ["A-B:2026-01-01"])


def test_thousands_of_pages_are_put_and_got_at_once(store: PageStore) -> None:
    pages: dict[str, bytes | None] = {f"A-B:2026-{n:05d}": str(n).encode() for n in range(2_001)}
    assert put(store, pages)
    assert store.get(3, list(pages))[1] == list(pages.values())
    assert len(store.describe(3, list(pages))) == 2_001


def test_keys_are_sorted_and_those_of_an_od_are_its_own(store: PageStore) -> None:
    put(store, {"JFK-LHR:2026-01-02": b"b", "JFK-LHR:2026-01-01": b"a", "JFK-LHX:2026-01-01": b"c"})
    put(store, {"ABC-DEF:2026-01-01": b"d"}, partition=4)
    assert list(store.keys()) == [
        "ABC-DEF:2026-01-01", "JFK-LHR:2026-01-01", "JFK-LHR:2026-01-02", "JFK-LHX:2026-01-01"
    ]  # fmt: skip
    assert list(store.keys("JFK-LHR")) == ["JFK-LHR:2026-01-01", "JFK-LHR:2026-01-02"]
    assert list(store.keys("JFK-LH")) == []


def test_a_file_keeps_its_pages_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    with SqlitePageStore(path) as store:
        put(store, {"A-B:2026-01-01": b"one"})
        version, _ = store.get(3, [])
    with SqlitePageStore(path) as store:
        assert store.get(3, ["A-B:2026-01-01"]) == (version, [b"one"])


def test_a_file_is_read_as_it_was_while_somebody_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    with SqlitePageStore(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        put(store, {"A-B:2026-01-01": b"one"})
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE page SET value = x'00'")
        writer.execute("UPDATE partition_version SET version = 99")
        assert store.get(3, ["A-B:2026-01-01"]) == (1, [b"one"])
        writer.execute("COMMIT")
        assert store.get(3, ["A-B:2026-01-01"]) == (99, [b"\0"])


def test_a_file_that_somebody_else_holds_is_a_passing_trouble(tmp_path: Path) -> None:
    path = tmp_path / "prices.sqlite"
    with (
        SqlitePageStore(path, busy_seconds=0) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
    ):
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient, match="locked"):
            store.put(3, 0, {"A-B:2026-01-01": b"one"}, {})
        writer.execute("ROLLBACK")
        assert store.put(3, 0, {"A-B:2026-01-01": b"one"}, {})


def test_a_put_that_fails_half_way_writes_nothing(tmp_path: Path) -> None:
    with SqlitePageStore(tmp_path / "prices.sqlite") as store:
        wrong: dict[str, bytes | None] = {"A-B:2026-01-01": b"one", "A-B:2026-01-02": object()}  # type: ignore[dict-item]
        with pytest.raises(Fatal):
            store.put(3, 0, wrong, {})
        assert store.get(3, ["A-B:2026-01-01"]) == (0, [None])
        assert put(store, {"A-B:2026-01-01": b"one"})


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
    put(inner, {"A-B:2026-01-01": b"old", "A-B:2026-01-02": b"old"})
    overlay = Overlay(inner)
    put(overlay, {"A-B:2026-01-01": b"new", "A-B:2026-01-02": None})
    put(overlay, {"C-D:2026-01-01": b"new"}, partition=4)
    assert list(overlay.keys()) == ["A-B:2026-01-01", "C-D:2026-01-01"]
    assert inner.get(3, ["A-B:2026-01-01", "A-B:2026-01-02"])[1] == [b"old", b"old"]
    overlay.flush()
    assert inner.get(3, ["A-B:2026-01-01", "A-B:2026-01-02", "C-D:2026-01-01"])[1] == [b"new", None, b"new"]
    assert inner.describe(3, ["A-B:2026-01-01", "C-D:2026-01-01"]) == [b"about new", b"about new"]


def test_an_overlay_goes_on_after_it_was_flushed() -> None:
    inner = MemoryPageStore()
    overlay = Overlay(inner)
    put(overlay, {"A-B:2026-01-01": b"one"})
    overlay.flush()
    put(overlay, {"A-B:2026-01-01": b"two"})
    overlay.flush()
    assert inner.get(3, ["A-B:2026-01-01"])[1] == [b"two"]


@pytest.mark.parametrize("moved", [3, 4])
def test_an_overlay_whose_store_moved_meanwhile_writes_nothing(moved: int) -> None:
    inner = MemoryPageStore()
    overlay = Overlay(inner)
    put(overlay, {"A-B:2026-01-01": b"one"}, partition=3)
    put(overlay, {"C-D:2026-01-01": b"one"}, partition=4)
    put(inner, {"E-F:2026-01-01": b"theirs"}, partition=moved)
    with pytest.raises(Transient, match=f"partition {moved}"):
        overlay.flush()
    assert list(inner.keys()) == ["E-F:2026-01-01"]
