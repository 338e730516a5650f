"""First shard."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "s0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("user_email", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("od", sa.Text(), nullable=False),
        sa.Column("depart_from", sa.Date(), nullable=False),
        sa.Column("depart_to", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("trip_type", sa.Text(), nullable=False),
        sa.Column("cabin", sa.Text(), nullable=False),
        sa.Column("adults", sa.SmallInteger(), nullable=False),
        sa.Column("children", sa.SmallInteger(), nullable=False),
        sa.Column("infants", sa.SmallInteger(), nullable=False),
        sa.Column("return_from", sa.Date(), nullable=True),
        sa.Column("return_to", sa.Date(), nullable=True),
        sa.Column("min_nights", sa.SmallInteger(), nullable=True),
        sa.Column("max_nights", sa.SmallInteger(), nullable=True),
        sa.Column("max_stops", sa.SmallInteger(), nullable=True),
        sa.Column("carriers_in", sa.Text(), nullable=False),
        sa.Column("carriers_out", sa.Text(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=True),
        sa.Column("trigger", sa.BigInteger(), nullable=True),
        sa.Column("reference", sa.BigInteger(), nullable=True),
        sa.Column("learning_since", sa.BigInteger(), nullable=True),
        sa.Column("armed_since", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.BigInteger(), nullable=True),
        sa.Column("holder_departure", sa.Integer(), nullable=True),
        sa.Column("fired_at", sa.BigInteger(), nullable=True),
        sa.Column("fired_price", sa.BigInteger(), nullable=True),
        sa.Column("fired_unusual", sa.Boolean(), nullable=False),
        sa.Column("last_change", sa.BigInteger(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("snoozed_until", sa.BigInteger(), nullable=True),
        sa.Column("evaluate_at", sa.BigInteger(), nullable=True),
        sa.Column("evaluate_resumed", sa.Boolean(), nullable=False),
        sa.Column("edition", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("user_id", "ref", name=op.f("uq_alert_user_id_ref")),
        postgresql_with={"fillfactor": 80},
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index(
            "ix_alert_holder",
            ["holder"],
            unique=False,
            sqlite_where=sa.text("holder IS NOT NULL"),
            postgresql_where=sa.text("holder IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_alert_od_departed",
            ["od", "holder_departure"],
            unique=False,
            sqlite_where=sa.text("holder IS NOT NULL"),
            postgresql_where=sa.text("holder IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_alert_owed",
            ["evaluate_at"],
            unique=False,
            sqlite_where=sa.text("evaluate_at IS NOT NULL"),
            postgresql_where=sa.text("evaluate_at IS NOT NULL"),
        )
        batch_op.create_index(batch_op.f("ix_alert_slot"), ["slot"], unique=False)

    op.create_table(
        "alert_window",
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("market", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.BigInteger(), nullable=False),
        sa.Column("first_day", sa.Integer(), nullable=False),
        sa.Column("last_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", "month", name=op.f("pk_alert_window")),
        postgresql_partition_by="LIST (month)",
    )
    if op.get_context().dialect.name == "postgresql":
        # Windows of months that have no partition of their own yet.
        op.execute("CREATE TABLE alert_window_default PARTITION OF alert_window DEFAULT WITH (fillfactor = 80)")
    with op.batch_alter_table("alert_window", schema=None) as batch_op:
        batch_op.create_index(
            "ix_alert_window_match", ["market", "month", "trigger", "first_day", "last_day", "alert_id"], unique=False
        )

    op.create_table(
        "notification",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("user_email", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("edition", sa.BigInteger(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("old_price", sa.BigInteger(), nullable=True),
        sa.Column("trigger", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("unusual", sa.Boolean(), nullable=False),
        sa.Column("evaluated", sa.Boolean(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("fare", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("release_at", sa.BigInteger(), nullable=True),
        sa.Column("group_id", sa.Uuid(), nullable=True),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("told_price", sa.BigInteger(), nullable=True),
        sa.Column("told_series", sa.BigInteger(), nullable=True),
        sa.Column("told", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
    )
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notification_slot"), ["slot"], unique=False)
        batch_op.create_index("ix_notification_status", ["status", "user_id"], unique=False)
        batch_op.create_index("ix_notification_user", ["user_id", "alert_id"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("user_email", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("edition", sa.BigInteger(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("old_price", sa.BigInteger(), nullable=True),
        sa.Column("trigger", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("unusual", sa.Boolean(), nullable=False),
        sa.Column("evaluated", sa.Boolean(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("fare", sa.Text(), nullable=False),
        sa.Column("handed_over", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("alert_id", "hour", name=op.f("uq_outbox_alert_id_hour")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_slot"), ["slot"], unique=False)
        batch_op.create_index(
            "ix_outbox_waiting",
            ["id"],
            unique=False,
            sqlite_where=sa.text("handed_over < revision"),
            postgresql_where=sa.text("handed_over < revision"),
        )

    op.create_table(
        "push",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push")),
    )
    with op.batch_alter_table("push", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_push_slot"), ["slot"], unique=False)
        batch_op.create_index("ix_push_user", ["user_id", "told_at"], unique=False)

    op.create_table(
        "slot_owner",
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active')", name=op.f("ck_slot_owner_state")),
        sa.CheckConstraint("slot BETWEEN 0 AND 4095", name=op.f("ck_slot_owner_slot")),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_slot_owner")),
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("quiet_from", sa.SmallInteger(), nullable=True),
        sa.Column("quiet_to", sa.SmallInteger(), nullable=True),
        sa.Column("daily_cap", sa.Integer(), nullable=True),
        sa.Column("snoozed_until", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("email", name=op.f("uq_user_account_email")),
    )
    with op.batch_alter_table("user_account", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_user_account_slot"), ["slot"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("user_account", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_user_account_slot"))

    op.drop_table("user_account")
    op.drop_table("slot_owner")
    with op.batch_alter_table("push", schema=None) as batch_op:
        batch_op.drop_index("ix_push_user")
        batch_op.drop_index(batch_op.f("ix_push_slot"))

    op.drop_table("push")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_outbox_waiting",
            sqlite_where=sa.text("handed_over < revision"),
            postgresql_where=sa.text("handed_over < revision"),
        )
        batch_op.drop_index(batch_op.f("ix_outbox_slot"))

    op.drop_table("outbox")
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.drop_index("ix_notification_user")
        batch_op.drop_index("ix_notification_status")
        batch_op.drop_index(batch_op.f("ix_notification_slot"))

    op.drop_table("notification")
    with op.batch_alter_table("alert_window", schema=None) as batch_op:
        batch_op.drop_index("ix_alert_window_match")

    op.drop_table("alert_window")
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_alert_slot"))
        batch_op.drop_index(
            "ix_alert_owed",
            sqlite_where=sa.text("evaluate_at IS NOT NULL"),
            postgresql_where=sa.text("evaluate_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_alert_od_departed",
            sqlite_where=sa.text("holder IS NOT NULL"),
            postgresql_where=sa.text("holder IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_alert_holder",
            sqlite_where=sa.text("holder IS NOT NULL"),
            postgresql_where=sa.text("holder IS NOT NULL"),
        )

    op.drop_table("alert")
