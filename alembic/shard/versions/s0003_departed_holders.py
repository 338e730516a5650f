"""The index of alerts by their holder's departure has a predicate that no other index has.

PostgreSQL takes an index only for a question that has its predicate: now none of two can be taken for the other.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "s0003"
down_revision: str | None = "s0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    _make_again("holder_departure IS NOT NULL")


def downgrade() -> None:
    _make_again("holder IS NOT NULL")


def _make_again(predicate: str) -> None:
    where = sa.text(predicate)
    op.drop_index("ix_alert_od_departed", table_name="alert")
    op.create_index(
        "ix_alert_od_departed",
        "alert",
        ["od", "holder_departure"],
        unique=False,
        sqlite_where=where,
        postgresql_where=where,
    )
