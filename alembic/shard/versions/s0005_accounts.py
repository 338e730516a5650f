"""Accounts: passwords, roles, sessions, devices, keys of repeated requests, and what was read."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "s0005"
down_revision: str | None = "s0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

GUARDED = ("session", "device", "idempotency_key")

MAY_WRITE = (
    "SELECT 1 FROM slot_owner AS owner WHERE owner.slot = {slot} AND (owner.state = 'active'"
    " OR owner.state IN ('importing', 'moved') AND EXISTS (SELECT 1 FROM slot_pass AS pass"
    " WHERE pass.move_id = owner.move_id AND pass.token = owner.token))"
)

ROWS = {"INSERT": ["NEW"], "UPDATE": ["OLD", "NEW"], "DELETE": ["OLD"]}


def _postgres_triggers(table: str) -> list[str]:
    return [
        f"CREATE TRIGGER guard_{event.lower()}_{kind.lower()} AFTER {event} ON {table}"
        f" REFERENCING {kind} TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION fms_guard()"
        for event, kinds in ROWS.items()
        for kind in kinds
    ]


def _sqlite_triggers(table: str) -> list[str]:
    return [
        f"CREATE TRIGGER guard_{table}_{event.lower()}_{kind.lower()} BEFORE {event} ON {table} WHEN NOT EXISTS ("
        + MAY_WRITE.format(slot=f"{kind}.slot")
        + f") BEGIN SELECT RAISE(ABORT, '{table}: the slot is owned by another shard now, or is being moved'); END"
        for event, kinds in ROWS.items()
        for kind in kinds
    ]


def upgrade() -> None:
    op.add_column("user_account", sa.Column("password", sa.Text(), nullable=True))
    op.add_column("user_account", sa.Column("role", sa.Text(), server_default=sa.text("'user'"), nullable=False))
    op.add_column(
        "user_account", sa.Column("token_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False)
    )
    op.add_column("user_account", sa.Column("channels", sa.Text(), nullable=True))
    op.add_column("user_account", sa.Column("closed_at", sa.BigInteger(), nullable=True))
    op.add_column("notification", sa.Column("read_at", sa.BigInteger(), nullable=True))
    _make_session()
    _make_device()
    _make_idempotency_key()
    on_postgres = op.get_context().dialect.name == "postgresql"
    for table in GUARDED:
        for trigger in _postgres_triggers(table) if on_postgres else _sqlite_triggers(table):
            op.execute(trigger)


def _make_session() -> None:
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
    )
    op.create_index(op.f("ix_session_slot"), "session", ["slot"])
    op.create_index("ix_session_user", "session", ["user_id"])


def _make_device() -> None:
    op.create_table(
        "device",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.Column("retired_why", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
    )
    op.create_index(op.f("ix_device_slot"), "device", ["slot"])
    op.create_index("ix_device_user", "device", ["user_id"])
    op.create_index("ix_device_token", "device", ["token_hash"])


def _make_idempotency_key() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_key")),
        sa.UniqueConstraint("user_id", "key", "slot", name=op.f("uq_idempotency_key_user_id_key_slot")),
    )
    op.create_index(op.f("ix_idempotency_key_slot"), "idempotency_key", ["slot"])


def downgrade() -> None:
    for table in ("idempotency_key", "device", "session"):
        op.drop_table(table)
    # SQLite knows guards that are not the column's by name, and drops a column all the same.
    op.drop_column("notification", "read_at")
    for column in ("closed_at", "channels", "token_version", "role", "password"):
        op.drop_column("user_account", column)
