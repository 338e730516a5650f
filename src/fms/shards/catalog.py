"""The catalog: which shards there are and which of them owns a slot. Read at start, out of the data path."""

from collections.abc import Mapping

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    exists,
    select,
    text,
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
    Column("epoch", BigInteger, nullable=False, server_default=text("1")),  # raised when the owner changes
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

rebalance_job = Table(
    "rebalance_job",
    CATALOG,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("plan", Text, nullable=False),  # what was shown of it: the balance before and after
    Column("options", Text, nullable=False),  # how it is carried out
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('planned', 'running', 'paused', 'aborting', 'done', 'aborted', 'failed')", name="state"),
)

slot_move = Table(
    "slot_move",
    CATALOG,
    Column("id", Uuid, primary_key=True),
    Column("job_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("slots", Text, nullable=False),  # "0,16,4095"
    Column("planned_rows", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # the decision
    Column("step", Text, nullable=False),  # how far its mover has come, for people
    Column("attempt", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),  # of its newest mover
    Column("holder", Text),  # who that is
    Column("lease_until", BigInteger, nullable=False),
    Column("copied_rows", BigInteger, nullable=False),
    Column("copy_ms", BigInteger, nullable=False),
    Column("pause_ms", BigInteger),  # how long nobody could write
    Column("digest", Text),  # of what both sides held when it was decided
    Column("error", Text),
    Column("changed_at", BigInteger, nullable=False),
    CheckConstraint(
        "state IN ('planned', 'copying', 'committed', 'done', 'aborting', 'aborted', 'cancelled')", name="state"
    ),
    UniqueConstraint("job_id", "number"),
)

event = Table(
    "event",
    CATALOG,
    Column("id", Uuid, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("job_id", BigInteger),
    Column("move_id", Uuid),
    Column("what", Text, nullable=False),
    Column("detail", Text),
)


def deal(names: list[str]) -> dict[str, list[int]]:
    """All slots dealt out evenly, in runs, to the shards."""
    return {
        name: list(range(SLOTS * place // len(names), SLOTS * (place + 1) // len(names)))
        for place, name in enumerate(names)
    }


def is_filled(engine: Engine) -> bool:
    """Whether a catalog says who owns the slots."""
    with reading(engine) as connection:
        return bool(connection.execute(select(exists().select_from(slot_map))).scalar())


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
