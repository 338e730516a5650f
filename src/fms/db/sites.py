"""The databases of a site: its catalog, and the shards that the catalog names. Files are made when a site is new."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import URL, Engine

from fms.db.initialise import deal_out
from fms.db.migrate import HEADS, History, current, is_behind, upgrade
from fms.errors import Fatal
from fms.runlock import exclusive
from fms.shards.catalog import is_filled, read_catalog
from fms.shards.engine import database_name, open_engine, opened
from fms.shards.router import Router, Shard, SlotMap
from fms.shards.urls import located, missing_file, shown

CATALOG_FILE = "catalog.sqlite"
_HOW_TO_MAKE = "fms init --shard NAME=URL … makes the catalog and its shards"


def catalog_place(data: Path, catalog_url: str | None) -> URL:
    """Where the catalog is: at its URL, or without one in a file of the data directory."""
    return located(catalog_url or f"sqlite:///{CATALOG_FILE}", data)


def open_router(
    data: Path, shards: int, catalog_url: str | None = None, relieve: Callable[[], bool] = lambda: False
) -> Router:
    """The router over a site's shards; raises Fatal.

    Without ``catalog_url`` a new data directory becomes a site of so many ``shards``, each a file. Databases that are
    files are migrated, others must be up to date. ``relieve``: see ``Router``.
    """
    with _catalog_of(data, shards, catalog_url) as catalog:
        return _open_router(data, catalog.url, catalog, relieve)


def prepare_site(data: Path, shards: int, catalog_url: str | None = None, *, catalog_only: bool = False) -> None:
    """Make and migrate what ``open_router`` would, for those who then look at each shard; raises Fatal.

    Unlike there the map may be wrong. ``catalog_only``: the shards are not asked, nor whether they are there.
    """
    with _catalog_of(data, shards, catalog_url) as catalog:
        if not catalog_only:
            for shard in _open_shards(data, *read_catalog(catalog), {}).shards.values():
                shard.engine.dispose()


@contextmanager
def _catalog_of(data: Path, shards: int, catalog_url: str | None) -> Iterator[Engine]:
    make_directory(data)
    if catalog_url:
        with opened(_checked_catalog(data, catalog_url)) as catalog:
            yield catalog
        return
    # Two commands that open a new directory at once must not both deal out its slots.
    with exclusive(data / "open.lock", wait=True), opened(catalog_place(data, None)) as catalog:
        upgrade(catalog, History.CATALOG)
        if not is_filled(catalog):
            deal_out(catalog, own_shards(shards), data, date.min)
        yield catalog


def make_directory(data: Path) -> None:
    """Make the data directory; raises Fatal."""
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fatal(f"{data}: {error.strerror}") from None


def own_shards(count: int) -> dict[str, str]:
    """Names and URLs of the shards of a site that is one directory."""
    # Relative, so that the directory can be moved.
    return {f"local{number}": f"sqlite:///local{number}.sqlite" for number in range(count)}


def _checked_catalog(data: Path, catalog_url: str) -> URL:
    url = catalog_place(data, catalog_url)
    if missing_file(url):
        raise Fatal(f"{shown(url)}: no catalog: {_HOW_TO_MAKE}")
    with opened(url) as catalog:
        if current(catalog, History.CATALOG) is None:
            raise Fatal(f"{database_name(catalog)}: no catalog: {_HOW_TO_MAKE}")
        _bring_up_to_date(catalog, History.CATALOG)
        if not is_filled(catalog):
            raise Fatal(f"{database_name(catalog)}: an empty catalog: {_HOW_TO_MAKE}")
    return url


def _open_router(data: Path, url: URL, catalog: Engine, relieve: Callable[[], bool]) -> Router:
    def read_again(known: Mapping[str, Shard]) -> SlotMap:
        with opened(url) as opened_again:
            return _open_shards(data, *read_catalog(opened_again), known)

    return Router(_open_shards(data, *read_catalog(catalog), {}), read_again, relieve)


def _open_shards(data: Path, urls: Mapping[str, str], owners: Sequence[str], known: Mapping[str, Shard]) -> SlotMap:
    with ExitStack() as closing:
        shards = {name: known[name] for name in urls if name in known}
        for name in urls.keys() - known.keys():
            shards[name] = open_shard(data, name, urls[name])
            closing.callback(shards[name].engine.dispose)
            _bring_up_to_date(shards[name].engine, History.SHARD)
        closing.pop_all()
    return SlotMap(shards, owners)


def open_shard(data: Path, name: str, text: str) -> Shard:
    """The shard of a name at a URL; raises Fatal if its file is missing."""
    url = located(text, data)
    if path := missing_file(url):
        # SQLite would make the file anew, and everybody's alerts would be gone without a word.
        what = f"the database of shard {name} is missing"
        raise Fatal(f"{path}: {what}: put it back, or begin in a new data directory")
    return Shard(name, open_engine(url))


def _bring_up_to_date(engine: Engine, history: History) -> None:
    if engine.dialect.name == "sqlite":
        upgrade(engine, history)
    elif is_behind(engine, history):
        found = current(engine, history)
        if found is None:
            raise Fatal(f"{database_name(engine)}: this is no {history}: put the database back that was here")
        # Others may be at work on it with the older fms: a person says when.
        raise Fatal(f"{database_name(engine)}: revision {found}, not {HEADS[history]}: run fms db upgrade")


@dataclass(frozen=True)
class Database:
    """One of a site's databases, by the name that people know it by."""

    name: str
    url: URL
    history: History


def databases(data: Path, catalog_url: str | None = None) -> Iterator[Database]:
    """The catalog if there is one, and then the shards that it names; the catalog must be migrated to go on."""
    url = catalog_place(data, catalog_url)
    if missing_file(url):
        return
    yield Database(_name(url, data), url, History.CATALOG)
    with opened(url) as catalog:
        urls = read_catalog(catalog)[0] if current(catalog, History.CATALOG) else {}
    for text in urls.values():
        yield Database(_name(located(text, data), data), located(text, data), History.SHARD)


def _name(url: URL, data: Path) -> str:
    if url.get_backend_name() != "sqlite":
        return shown(url)
    path = Path(url.database or "")
    return path.name if path.parent == data.resolve() else str(path)


def upgrade_all(data: Path, catalog_url: str | None = None) -> None:
    """Migrate every database of a site that has been made; what is missing or empty stays so."""
    for database in databases(data, catalog_url):
        if _revision(database):
            with opened(database.url) as engine:
                upgrade(engine, database.history)


def revisions(data: Path, catalog_url: str | None = None) -> list[tuple[str, str | None, str]]:
    """Each database of a site: its name, its revision (None: it is missing or empty), the newest that fms knows."""
    return [(one.name, _revision(one), HEADS[one.history]) for one in databases(data, catalog_url)]


def _revision(database: Database) -> str | None:
    if missing_file(database.url):
        return None
    with opened(database.url) as engine:
        return current(engine, database.history)
