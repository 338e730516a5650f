"""What workers say of themselves, in the catalog: which of them is active on a partition, and how far it has come."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, and_, delete, or_, select

from fms.shards.catalog import worker_report
from fms.shards.engine import reading, writing


@dataclass(frozen=True)
class Report:
    """One worker on one partition.

    Attributes:
        stage, partition: which queue it takes from.
        worker: its name.
        reported_at: UTC ms.
        messages, rows: done since it started.
        published_at: when the message that it took last was published, UTC ms.
    """

    stage: str
    partition: int
    worker: str
    reported_at: int
    messages: int
    rows: int
    published_at: int | None


class Reports:
    """The reports in a catalog. ``catalog``: opens it."""

    def __init__(self, catalog: Callable[[], AbstractContextManager[Engine]]) -> None:
        self._catalog = catalog

    def write(self, reports: Sequence[Report]) -> None:
        """Replace the reports of these partitions."""
        if not reports:
            return
        mine = [and_(worker_report.c.stage == one.stage, worker_report.c.partition == one.partition) for one in reports]
        with self._catalog() as engine, writing(engine) as connection:
            connection.execute(delete(worker_report).where(or_(*mine)))
            connection.execute(worker_report.insert(), [asdict(one) for one in reports])

    def read(self) -> list[Report]:
        """All reports, by stage and partition."""
        query = select(worker_report).order_by(worker_report.c.stage, worker_report.c.partition)
        with self._catalog() as engine, reading(engine) as connection:
            return [Report(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001  # SQLAlchemy's public name
