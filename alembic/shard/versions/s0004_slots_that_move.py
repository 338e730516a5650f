"""Slots that move: more states of an owner, and a guard that refuses rows of slots that are not owned here."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "s0004"
down_revision: str | None = "s0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

GUARDED = ("user_account", "alert", "alert_window", "notification", "outbox", "push")

SLOT_LOCKS = 0x666D_7301

MAY_WRITE = (
    "SELECT 1 FROM slot_owner AS owner WHERE owner.slot = {slot} AND (owner.state = 'active'"
    " OR owner.state IN ('importing', 'moved') AND EXISTS (SELECT 1 FROM slot_pass AS pass"
    " WHERE pass.move_id = owner.move_id AND pass.token = owner.token))"
)

# On PostgreSQL once for a statement, over the rows that it touched: a function called for each row costs too much.
# The lock comes first, so that whoever takes a slot away has waited for us, or we see it taken away.
FUNCTION = f"""
CREATE FUNCTION fms_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stray int;
BEGIN
    PERFORM pg_advisory_xact_lock_shared({SLOT_LOCKS}, slot)
        FROM (SELECT DISTINCT slot::int AS slot FROM touched ORDER BY 1) AS slots;
    SELECT slots.slot INTO stray FROM (SELECT DISTINCT slot FROM touched) AS slots
        WHERE NOT EXISTS ({MAY_WRITE.format(slot="slots.slot")})
        LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'slot % of % is owned by another shard now, or is being moved', stray, TG_TABLE_NAME
            USING ERRCODE = 'FM001';
    END IF;
    RETURN NULL;
END $$
"""  # noqa: S608  # a number of ours

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
    on_postgres = op.get_context().dialect.name == "postgresql"
    op.create_table(
        "slot_pass",
        sa.Column("move_id", sa.Uuid(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("move_id", name=op.f("pk_slot_pass")),
    )
    if on_postgres:
        op.drop_constraint(op.f("ck_slot_owner_state"), "slot_owner", type_="check")
        op.add_column("slot_owner", sa.Column("move_id", sa.Uuid(), nullable=True))
        op.add_column("slot_owner", sa.Column("token", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        op.create_check_constraint(
            op.f("ck_slot_owner_state"), "slot_owner", "state IN ('active', 'fenced', 'importing', 'moved')"
        )
        op.drop_constraint(op.f("uq_alert_user_id_ref"), "alert", type_="unique")
        op.create_unique_constraint(op.f("uq_alert_user_id_ref_slot"), "alert", ["user_id", "ref", "slot"])
        op.execute(FUNCTION)
    else:
        _remake_owners()
        # Copies of rows lie beside other slots' own, and may be of another time: they must not be in their way.
        with op.batch_alter_table("alert", recreate="always") as batch_op:
            batch_op.drop_constraint(op.f("uq_alert_user_id_ref"), type_="unique")
            batch_op.create_unique_constraint(op.f("uq_alert_user_id_ref_slot"), ["user_id", "ref", "slot"])
    for table in GUARDED:
        for trigger in _postgres_triggers(table) if on_postgres else _sqlite_triggers(table):
            op.execute(trigger)


def _remake_owners() -> None:
    """SQLite cannot change a check."""
    op.rename_table("slot_owner", "slot_owner_before")
    op.create_table(
        "slot_owner",
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("move_id", sa.Uuid(), nullable=True),
        sa.Column("token", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("slot BETWEEN 0 AND 4095", name=op.f("ck_slot_owner_slot")),
        sa.CheckConstraint("state IN ('active', 'fenced', 'importing', 'moved')", name=op.f("ck_slot_owner_state")),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_slot_owner")),
    )
    op.execute("INSERT INTO slot_owner (slot, state, epoch) SELECT slot, state, epoch FROM slot_owner_before")
    op.drop_table("slot_owner_before")


def downgrade() -> None:
    on_postgres = op.get_context().dialect.name == "postgresql"
    for table in GUARDED:
        for event, kinds in ROWS.items():
            for kind in kinds:
                name = f"{event.lower()}_{kind.lower()}"
                op.execute(
                    f"DROP TRIGGER guard_{name} ON {table}" if on_postgres else f"DROP TRIGGER guard_{table}_{name}"
                )
    if on_postgres:
        op.execute("DROP FUNCTION fms_guard()")
    with op.batch_alter_table("alert") as batch_op:
        batch_op.drop_constraint(op.f("uq_alert_user_id_ref_slot"), type_="unique")
        batch_op.create_unique_constraint(op.f("uq_alert_user_id_ref"), ["user_id", "ref"])
    op.execute("DELETE FROM slot_owner WHERE state <> 'active'")
    with op.batch_alter_table("slot_owner") as batch_op:
        batch_op.drop_column("token")
        batch_op.drop_column("move_id")
    op.drop_table("slot_pass")
