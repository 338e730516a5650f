"""Sites made over databases of one's choice, and what may become of them."""

from datetime import date
from pathlib import Path

from sqlalchemy import Engine, delete, text

from fms.db.initialise import Dealt, initialise
from fms.db.migrate import History, version_table
from fms.db.sites import catalog_place
from fms.shards.catalog import shard, slot_map
from fms.shards.engine import opened, writing

TODAY = date(2026, 12, 5)


def sqlite(path: Path) -> str:
    """URL of a file."""
    return f"sqlite:///{path}"


def made(data: Path, catalog_url: str, urls: dict[str, str]) -> list[Dealt]:
    return initialise(catalog_place(data, catalog_url), urls, data, TODAY)


def forget(catalog: str) -> None:
    """Empty a catalog, as it is before init has come to its end."""
    with opened(catalog) as engine, writing(engine) as connection:
        connection.execute(delete(slot_map))
        connection.execute(delete(shard))


def set_revision(engine: Engine, history: History, revision: str) -> None:
    with writing(engine) as connection:
        table = version_table(connection, history)
        connection.execute(text(f"UPDATE {table} SET version_num = '{revision}'"))  # noqa: S608  # names of ours
