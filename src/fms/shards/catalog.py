"""The catalog: which shards there are and which of them owns a slot. Read at start, out of the data path."""

from collections.abc import Mapping

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    MetaData,
    SmallInteger,
    Table,
    Text,
    select,
)

from fms.model.route import SLOTS
from fms.shards.engine import reading, writing
from fms.shards.ownership import NAMING

CATALOG = MetaData(naming_convention=NAMING)
"""Every table of the catalog."""

shard = Table(
    "shard",
    CATALOG,
    Column("name", Text, primary_key=True),
    Column("url", Text, nullable=False),
)

slot_map = Table(
    "slot_map",
    CATALOG,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("shard", Text, ForeignKey("shard.name", name="fk_slot_map_shard"), nullable=False),
    CheckConstraint("slot BETWEEN 0 AND 4095", name="slot"),
)

worker_report = Table(
    "worker_report",
    CATALOG,
    Column("stage", Text, primary_key=True),
    Column("partition", SmallInteger, primary_key=True, autoincrement=False),
    Column("worker", Text, nullable=False),  # the one that is active on the partition
    Column("reported_at", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),  # since it became active
    Column("rows", BigInteger, nullable=False),
    Column("published_at", BigInteger),  # when the last message that it took was published
)


def deal(names: list[str]) -> dict[str, list[int]]:
    """All slots dealt out evenly, in runs, to the shards."""
    return {
        name: list(range(SLOTS * place // len(names), SLOTS * (place + 1) // len(names)))
        for place, name in enumerate(names)
    }


def read_catalog(engine: Engine) -> tuple[dict[str, str], list[str]]:
    """Shard name → URL, and the owner's name of each slot (4096; empty for a catalog that was never filled)."""
    with reading(engine) as connection:
        urls = {row.name: row.url for row in connection.execute(select(shard))}
        owners = connection.execute(select(slot_map.c.shard).order_by(slot_map.c.slot)).scalars().all()
    return urls, list(owners)


def fill_catalog(engine: Engine, urls: Mapping[str, str], slots: Mapping[str, list[int]]) -> None:
    """Write a new catalog."""
    with writing(engine) as connection:
        connection.execute(shard.insert(), [{"name": name, "url": url} for name, url in urls.items()])
        rows = [{"slot": slot, "shard": name} for name, dealt in slots.items() for slot in dealt]
        connection.execute(slot_map.insert(), rows)
