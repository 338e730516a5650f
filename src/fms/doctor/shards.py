"""What a database of ours holds: its schema, and what is owed in a shard."""

from typing import TYPE_CHECKING

from fms.db.health import ShardHealth
from fms.db.migrate import HEADS, History, current, is_behind
from fms.doctor.findings import Finding, error, ok, warning
from fms.errors import Fatal

if TYPE_CHECKING:
    from sqlalchemy import Engine

INIT = "fms init --shard NAME=URL … makes the catalog and its shards"


def schema(service: str, engine: "Engine", history: History) -> tuple[Finding, bool]:
    """What its revision is, and whether it is the one that we know."""
    found = current(engine, history)
    if found is None:
        return error(service, "schema", "none", INIT), False
    try:
        behind = is_behind(engine, history)
    except Fatal as newer:
        return error(service, "schema", str(newer), "upgrade fms"), False
    if not behind:
        return ok(service, "schema", f"revision {found}"), True
    old = f"revision {found}, not {HEADS[history]}"
    if engine.dialect.name == "sqlite":
        return ok(service, "schema", f"{old}: whatever opens it next migrates it"), False
    return error(service, "schema", old, "stop the workers of the older fms, then fms db upgrade"), False


def content(service: str, shard: ShardHealth, *, partitioned: bool) -> list[Finding]:
    """What it holds. ``partitioned``: whether its windows have partitions by month."""
    months = [_months(service, shard)] if partitioned else []
    return [*months, _outbox(service, shard.waiting), _evaluations(service, shard.owed)]


def _months(service: str, shard: ShardHealth) -> Finding:
    waiting = f"{shard.in_default:,} windows in the default partition"
    if shard.missing_months:
        first = shard.missing_months[0]
        found = f"{len(shard.missing_months)} months have none, first {first // 12:04}-{first % 12 + 1:02}; {waiting}"
        return warning(service, "partitions", found, "fms db maintain (a worker that starts makes them too)")
    # Windows of months that are further away, or past, belong there.
    return ok(service, "partitions", f"{shard.months} months have one; {waiting}")


def _outbox(service: str, waiting: int) -> Finding:
    if waiting:
        found = f"{waiting:,} rows were not handed over for long"
        return warning(service, "outbox", found, "is fms worker notify running? (without a broker fms run does it)")
    return ok(service, "outbox", "nothing waits for long")


def _evaluations(service: str, owed: int) -> Finding:
    if owed:
        found = f"{owed:,} alerts were not evaluated for long"
        return warning(service, "evaluations", found, "is fms worker alert running? (without a broker fms run does it)")
    return ok(service, "evaluations", "none is owed for long")
