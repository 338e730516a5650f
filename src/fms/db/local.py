"""The shards of one data directory: SQLite files, made, dealt their slots and migrated when they are opened."""

from pathlib import Path

from fms.db.migrate import HEADS, History, current, upgrade
from fms.errors import Fatal
from fms.runlock import exclusive
from fms.shards.catalog import deal, fill_catalog, read_catalog
from fms.shards.engine import open_engine, writing
from fms.shards.ownership import owned_slots, take
from fms.shards.router import Router, Shard

CATALOG_FILE = "catalog.sqlite"


def open_router(data: Path, shards: int) -> Router:
    """The router over the shards under ``data``; a new directory gets as many as ``shards`` says. Raises Fatal."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fatal(f"{data}: {error.strerror}") from None
    # Two commands that open a new directory at once must not both deal out its slots.
    with exclusive(data / "open.lock", wait=True):
        return _make_router(data, shards)


def _make_router(data: Path, count: int) -> Router:
    catalog = open_engine(f"sqlite:///{data / CATALOG_FILE}")
    try:
        upgrade(catalog, History.CATALOG)
        urls, owners = read_catalog(catalog)
        if not owners:
            urls, owners = _deal_out(data, [f"local{number}" for number in range(count)])
            fill_catalog(catalog, urls, deal(list(urls)))
    finally:
        catalog.dispose()
    for name, url in urls.items():
        _check_there(name, _absolute(url, data))
    shards = {name: Shard(name, open_engine(_absolute(url, data))) for name, url in urls.items()}
    for shard in shards.values():
        upgrade(shard.engine, History.SHARD)
    return Router(shards, owners)


def _check_there(name: str, url: str) -> None:
    # SQLite would make the file anew, and everybody's alerts would be gone without a word.
    path = Path(url.removeprefix("sqlite:///"))
    if not path.is_file():
        raise Fatal(f"{path}: the database of shard {name} is missing: put it back, or begin in a new data directory")


def _deal_out(data: Path, names: list[str]) -> tuple[dict[str, str], list[str]]:
    # The catalog is filled last: a start that was cut short begins again here, and finds rows that it made.
    dealt = deal(names)
    urls = {name: f"sqlite:///{name}.sqlite" for name in names}
    for name, slots in dealt.items():
        engine = open_engine(_absolute(urls[name], data))
        upgrade(engine, History.SHARD)
        with writing(engine) as connection:
            take(connection, sorted(set(slots) - owned_slots(connection)))
        engine.dispose()
    return urls, [name for name in names for _ in dealt[name]]


def _absolute(url: str, data: Path) -> str:
    # Local shards are named relative to the data directory, so that it can be moved.
    name = url.removeprefix("sqlite:///")
    return url if name == url or name.startswith("/") else f"sqlite:///{data.resolve() / name}"


def revisions(data: Path) -> list[tuple[str, str, str]]:
    """Each migrated database of a data directory: file, revision, the newest revision that fms knows."""
    found = []
    for path in sorted(data.glob("*.sqlite")):
        engine = open_engine(f"sqlite:///{path}")
        if revision := current(engine):
            found.append((path.name, revision, HEADS[History.CATALOG if path.name == CATALOG_FILE else History.SHARD]))
        engine.dispose()
    return found
