"""First catalog."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "shard",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_shard")),
    )
    op.create_table(
        "slot_map",
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.Text(), nullable=False),
        sa.CheckConstraint("slot BETWEEN 0 AND 4095", name=op.f("ck_slot_map_slot")),
        sa.ForeignKeyConstraint(["shard"], ["shard.name"], name="fk_slot_map_shard"),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_slot_map")),
    )


def downgrade() -> None:
    op.drop_table("slot_map")
    op.drop_table("shard")
