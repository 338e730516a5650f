"""Who is telling a user, rows of the inbox by when they are judged again, and alerts that may have missed a change."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "s0002"
down_revision: str | None = "s0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("user_account", sa.Column("leased_by", sa.Text(), nullable=True))
    op.add_column("user_account", sa.Column("leased_until", sa.BigInteger(), nullable=True))
    op.add_column("alert", sa.Column("catch_up_at", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_alert_catch_up",
        "alert",
        ["catch_up_at"],
        unique=False,
        sqlite_where=sa.text("catch_up_at IS NOT NULL"),
        postgresql_where=sa.text("catch_up_at IS NOT NULL"),
    )
    op.create_index(
        "ix_notification_release",
        "notification",
        ["release_at"],
        unique=False,
        sqlite_where=sa.text("release_at IS NOT NULL"),
        postgresql_where=sa.text("release_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_notification_release", table_name="notification")
    op.drop_index("ix_alert_catch_up", table_name="alert")
    op.drop_column("alert", "catch_up_at")
    op.drop_column("user_account", "leased_until")
    op.drop_column("user_account", "leased_by")
