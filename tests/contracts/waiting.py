"""To know that somebody waits for a lock of a PostgreSQL database."""

from sqlalchemy import text

from fms.shards.engine import opened, reading
from tests.services.processes import until


def somebody_waits(url: str, count: int = 1) -> None:
    """Return when so many wait for a lock in the database."""
    query = text(
        "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE NOT l.granted AND a.datname = current_database()"
    )

    def waiting() -> bool:
        with reading(engine) as connection:
            return bool(connection.execute(query).scalar_one() >= count)

    with opened(url) as engine:
        until(waiting, f"{count} wait for a lock")
