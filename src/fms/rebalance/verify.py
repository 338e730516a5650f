"""Look at every row of every shard, and say what is wrong. It only reads, and may while the site is at work."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from time import sleep
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from fms.db.partitions import partitioned_months
from fms.db.tables import outbox
from fms.errors import Invalid
from fms.model.route import SLOTS
from fms.rebalance.rules import TABLES, Finding, copies_findings, decided_pairs, hour_findings, owner_findings
from fms.rebalance.service import Shards
from fms.rebalance.snapshot import Read, Snapshot, Unreadable

MOST = 1_000
"""So many findings are told: where there are more, the rest will hardly be read."""

PAUSES = (0.05, 0.2, 0.5)
"""Seconds after which what seemed wrong is looked at again: a slot may have moved between the looks at two shards."""

FEW_SLOTS = 500
"""In more slots than that, everything is looked at again."""

Report = Callable[[str, int], None]
"""Is told of a table, and how many of its rows have been read by now."""


def verify(shards: Shards, slot: int | None = None, report: Report = lambda _table, _rows: None) -> list[str]:
    """What is wrong with the rows of all slots, or of one: sentences that name table, id and shard; none: all is well.

    Each shard is read as of one moment, a page at a time; what is told was found four times, in four such readings.
    Checked are: every row lies in the slot that its content names, and where that is owned; an id counts in one shard
    only; alerts have the windows that they want (where PostgreSQL has dropped a month it may be missing), and there are
    no other windows; one row of the outbox per alert and hour; both ends of a move that is decided have the same rows
    until the target is opened; every slot has one owner, the map says which, and a move is under way where owners'
    rows say so.

    Args:
        shards: of the site.
        slot: 0 to 4095; raises Invalid for others.
        report: progress.
    """
    if slot is not None and not 0 <= slot < SLOTS:
        raise Invalid(f"not a slot: {slot}")
    with closing(_look(shards, None if slot is None else [slot], _counting(report))) as looked:
        found = list(islice(looked, MOST + 1))
    more = len(found) > MOST
    for pause in PAUSES:
        if not found:
            break
        sleep(pause)
        seen = set(found)
        again = {one for one in _look(shards, _where(found, slot), _nobody) if one in seen}
        found = [one for one in found if one in again]
    told = list(dict.fromkeys(map(str, found[:MOST])))
    return [*told, f"there is more than these {MOST} findings"] if more and len(found) > MOST else told


def _counting(report: Report) -> Read:
    counts: Counter[str] = Counter()

    def read(table: str, rows: int) -> None:
        counts[table] += rows
        report(table, counts[table])

    return read


def _nobody(_table: str, _rows: int) -> None:
    """Whoever looks again does so silently."""


def _where(found: Sequence[Finding], slot: int | None) -> list[int] | None:
    if slot is not None:
        return [slot]
    slots = frozenset[int]().union(*(one.slots for one in found))
    return sorted(slots) if len(slots) <= FEW_SLOTS else None


def _look(shards: Shards, slots: Sequence[int] | None, read: Read) -> Generator[Finding]:
    """What seems wrong in one reading of all shards."""
    owners, moves = shards.owners(), shards.journal.open_moves()
    if len(owners) != SLOTS:
        yield Finding("slot_map in the catalog", f"names the owners of {len(owners)} of {SLOTS} slots", frozenset())
        return
    engines = sorted(shards.engines().items())
    # Its windows do not come back when a slot moves on to a database that drops no months.
    first_month = max(min(partitioned_months(engine), default=0) for _, engine in engines)
    with ExitStack() as stack:
        snapshots = [
            stack.enter_context(Snapshot.of(name, engine, slots, first_month, read)) for name, engine in engines
        ]
        known = [slot for slot in (range(SLOTS) if slots is None else slots) if 0 <= slot < SLOTS]
        yield from owner_findings(known, owners, snapshots, moves)
        pairs = decided_pairs(snapshots, moves)
        try:
            for table in TABLES:
                streams = (snapshot.copies(table) for snapshot in snapshots)
                for _, copies in groupby(merge(*streams, key=attrgetter("id.int")), attrgetter("id.int")):
                    yield from copies_findings(table, list(copies), pairs)
            yield from _hours(snapshots)
        except Unreadable as error:
            yield Finding(str(error), "", frozenset(range(SLOTS)))


Sent = tuple[tuple[UUID, int], Snapshot, Row[Any]]


def _hours(snapshots: Iterable[Snapshot]) -> Iterator[Finding]:
    streams = map(_sent, snapshots)
    for (alert_id, hour), some in groupby(merge(*streams, key=itemgetter(0)), itemgetter(0)):
        yield from hour_findings(alert_id, hour, [(snapshot, row) for _, snapshot, row in some])


def _sent(snapshot: Snapshot) -> Iterator[Sent]:
    for row in snapshot.rows(outbox, [outbox.c.alert_id, outbox.c.hour, outbox.c.id], outbox.c.slot):
        yield (row.alert_id, row.hour), snapshot, row
