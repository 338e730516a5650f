"""What must hold at the end of every simulated life, however it was disturbed."""

from collections import Counter, defaultdict
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fms.model.alert import NEW_LOW
from fms.model.change import Change
from fms.model.fold import Firing, trigger_after
from fms.model.notification import PENDING, SENDING, SENT, Notification
from fms.queues.topology import CHANGES, FARES, OUTBOX
from tests.simulation.processes import Recorded
from tests.simulation.world import POISON, World

Ledger = dict[str, Any]


def ledger_of(world: World, *, telling: bool) -> Ledger:
    """What became of every alert and every firing, without ids; and of ``telling``, if all are told as of one time."""
    alerts = {one.ref: astuple(one.state) for one in world.shard.alerts.values()}
    rows = {f"{row.message.ref} in hour {row.message.hour}": _row(row) for row in world.shard.inbox.values()}
    if telling:
        for row in world.shard.inbox.values():
            rows[f"{row.message.ref} in hour {row.message.hour}"] += (
                row.status,
                row.told_price,
                row.told_series,
                row.told_at,
            )
    return alerts | rows


def _row(row: Notification) -> tuple[Any, ...]:
    message = row.message
    said = message.revision, message.series, message.old_price, message.trigger, message.threshold
    return (*said, message.unusual, message.evaluated, message.edition, message.fare)


def check_end(world: World) -> None:
    """Nothing waits anywhere, and nobody was told anything twice."""
    assert [world.waiting(kind) for kind in (FARES, CHANGES, OUTBOX)] == [0, 0, 0]
    assert set(world.dead()) == ({POISON} if world.kind.poisoned else set())
    assert not world.shard.owed
    _check_inbox(world)
    _check_told(world)


def _check_inbox(world: World) -> None:
    """Every firing is in its inbox, and its fate is decided."""
    shard = world.shard
    inbox = {key: row.message for key, row in shard.inbox.items()}
    assert inbox == shard.outbox
    assert {key: shard.handed_over[key] for key in shard.outbox} == {k: m.revision for k, m in shard.outbox.items()}
    assert not [row for row in shard.inbox.values() if row.status in (PENDING, SENDING)]


def _check_told(world: World) -> None:
    """Each revision of a row was told in one push at most, and nobody has more pushes on record than they want."""
    groups: dict[tuple[UUID, int], set[UUID]] = defaultdict(set)
    for told in world.heard:
        for row, revision in told.rows.items():
            groups[row, revision].add(told.group)
    assert all(len(some) == 1 for some in groups.values()), "told twice"
    heard = {told.group for told in world.heard}
    assert world.shard.pushes.keys() <= heard
    for told in world.heard:
        # A push whose sender died is sent again and put on record, unless one of its alerts has fired again since.
        now = {row: world.shard.inbox[row].message.revision for row in told.rows}
        assert told.group in world.shard.pushes or now != told.rows, "told off the record"
    assert {row.group_id for row in world.shard.inbox.values() if row.status == SENT} <= heard
    days = Counter((user, _day(pushed.told_at)) for user, pushed in world.shard.pushes.values())
    for (user, _), count in days.items():
        assert count <= (world.shard.users[user].daily_cap or count), "told more often than wanted"


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


def check_forgotten(undisturbed: World, disturbed: World) -> None:
    """After a life in which the price book forgot: no firing is missing, and every other one is of a real, low fare.

    An alert that fired undisturbed is *covered* if it fired at that very fare too; or if, after the tick in which it
    should have fired, it stands fired with a trigger below the price: since it was armed it was told of a fare that
    was hardly dearer, and what it was told still holds. A new low may also have been told before it was armed last: it
    keeps what it was told.
    """
    seen = disturbed.feed.seen()
    told: dict[str, list[Firing]] = defaultdict(list)
    for record in disturbed.history:
        told[record.ref] += record.firings
        for firing in record.firings:
            assert _fare(firing.change) in seen, "told of a fare that was never seen"
            assert firing.change.fare.price <= firing.trigger <= firing.threshold, "told of a fare that is too dear"
    for record in undisturbed.history:
        for firing in record.firings:
            assert _is_covered(firing, record, told[record.ref], disturbed), f"{record.ref} missed {firing.change}"


def _fare(change: Change) -> tuple[int, int, int]:
    return change.series, change.observed_at, change.fare.price


def _is_covered(firing: Firing, record: Recorded, told: list[Firing], world: World) -> bool:
    price = firing.change.fare.price
    if any(_fare(one.change) == _fare(firing.change) for one in told):
        return True
    alert = next(one for one in world.shard.alerts.values() if one.ref == record.ref)
    before = [one for one in told if one.change.observed_at <= record.at]
    if alert.kind == NEW_LOW and any(trigger_after(NEW_LOW, 0, one.change.fare.price) < price for one in before):
        return True
    trigger = _trigger_after(record, world)
    return trigger is not None and trigger < price


def _trigger_after(record: Recorded, world: World) -> int | None:
    """The alert's trigger after a tick."""
    mine = [one for one in world.history if one.ref == record.ref]
    later = next((place for place, one in enumerate(mine) if one.at > record.at), len(mine))
    return mine[later - 1].state.trigger
