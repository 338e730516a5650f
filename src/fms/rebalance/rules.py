"""What must be true of the rows in the shards. Written apart from what moves them: neither can hide the other's faults.

Every function yields what is wrong. That it may only seem so, since shards are read one after the other, is for the
caller to sort out.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Table

from fms.db.rows import alert_of, window_rows
from fms.db.tables import (
    alert,
    alert_window,
    device,
    idempotency_key,
    notification,
    outbox,
    push,
    session,
    user_account,
)
from fms.errors import FmsError
from fms.model.ids import slot_of_id
from fms.model.route import slot_of_od, slot_of_user
from fms.rebalance.journal import Move
from fms.rebalance.snapshot import Copy, Snapshot
from fms.shards.ownership import FENCED, IMPORTING, MOVED


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        what: names it: found again, it is the same.
        words: goes on, and may differ from one look to the next.
        slots: where to look for it again.
    """

    what: str
    words: str = field(compare=False)
    slots: frozenset[int] = field(compare=False)

    def __str__(self) -> str:
        return f"{self.what} {self.words}".rstrip()


Named = tuple[str, Callable[[Row[Any]], int]]

_NAMED: Mapping[Table, Sequence[Named]] = {
    user_account: [
        ("its e-mail", lambda row: slot_of_user(row.email)),
        ("its id", lambda row: slot_of_id(row.id)),
    ],
    alert: [
        ("its route", lambda row: slot_of_od(row.od)),
        ("its id", lambda row: slot_of_id(row.id)),
    ],
    outbox: [("its alert", lambda row: slot_of_id(row.alert_id))],
    notification: [("its user", lambda row: slot_of_id(row.user_id))],
    push: [("its user", lambda row: slot_of_id(row.user_id))],
    session: [
        ("its user", lambda row: slot_of_id(row.user_id)),
        ("its id", lambda row: slot_of_id(row.id)),
    ],
    device: [
        ("its user", lambda row: slot_of_id(row.user_id)),
        ("its id", lambda row: slot_of_id(row.id)),
    ],
    idempotency_key: [
        ("its alert", lambda row: slot_of_id(row.alert_id)),
        ("its id", lambda row: slot_of_id(row.id)),
    ],
}
"""By what a row's slot can be told, and how."""

TABLES = tuple(_NAMED)
"""Every table whose rows have an ``id``; windows come with their alerts."""


def copies_findings(table: Table, copies: Sequence[Copy], pairs: Mapping[int, tuple[str, str]]) -> Iterator[Finding]:
    """What is wrong with all that the shards have under one id.

    Args:
        table: which.
        copies: at most one of each shard.
        pairs: slot → source and target of its move, if both must have the same rows.
    """
    for copy in copies:
        if copy.row is not None:
            yield from _slot_findings(table, copy, copy.row)
        if table is alert:
            yield from _window_slot_findings(copy)
            yield from _family_findings(copy)
    if len(copies) > 1:
        owned = [copy for copy in copies if copy.row is not None and copy.snapshot.owns(copy.row.slot)]
        if len(owned) > 1:
            names = " and ".join(copy.snapshot.name for copy in owned)
            yield Finding(f"{table.name} {copies[0].id}", f"counts in more than one shard: {names}", _slots(owned))
    if pairs:
        yield from _pair_findings(table, copies, pairs)


def _slot_findings(table: Table, copy: Copy, row: Row[Any]) -> Iterator[Finding]:
    for words in _slot_faults(table, copy.snapshot, row):
        what = f"{table.name} {copy.id} in shard {copy.snapshot.name}"
        yield Finding(what, f"has slot {row.slot}, {words}", frozenset({row.slot}))


def _slot_faults(table: Table, snapshot: Snapshot, row: Row[Any]) -> Iterator[str]:
    for named, slot_of in _NAMED[table]:
        try:
            slot = slot_of(row)
        except (FmsError, ValueError, AttributeError) as error:
            yield f"and {named} names none: {error}"
        else:
            if slot != row.slot:
                yield f"and {named} belongs to slot {slot}"
    if snapshot.state(row.slot) is None:
        yield _NEVER_HERE


_NEVER_HERE = "which never was in this shard"


def _window_slot_findings(copy: Copy) -> Iterator[Finding]:
    try:
        slot = slot_of_id(copy.id)
    except FmsError:
        slot = None
    for window in copy.windows:
        faults = [f"and its alert belongs to slot {slot}"] if window.slot != slot else []
        if copy.snapshot.state(window.slot) is None:
            faults.append(_NEVER_HERE)
        for words in faults:
            yield Finding(_of_window(copy, window.month), f"has slot {window.slot}, {words}", _slots([copy]))


def _of_window(copy: Copy, month: int) -> str:
    return f"alert_window {copy.id} of {_month(month)} in shard {copy.snapshot.name}"


def _month(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}"


_WINDOW: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*alert_window.c.keys())


def _family_findings(copy: Copy) -> Iterator[Finding]:
    """Whether an alert has the windows that it wants; those of slots that are not owned here count nothing."""
    if copy.row is None:
        for window in copy.windows:
            if copy.snapshot.owns(window.slot):
                yield Finding(_of_window(copy, window.month), "has no alert there", _slots([copy]))
        return
    if not copy.snapshot.owns(copy.row.slot):
        return
    try:
        # Until it is evaluated, an alert has none.
        wanted = [] if copy.row.evaluate_at is not None else list(map(_WINDOW, window_rows(alert_of(copy.row))))
    except (FmsError, ValueError, TypeError, AttributeError) as error:
        what = f"alert {copy.id} in shard {copy.snapshot.name}"
        yield Finding(what, f"makes no sense: {error}", _slots([copy]))
        return
    have = list(map(tuple, copy.windows))
    if have != wanted:
        for month, words in _differences(copy.row, have, wanted):
            if month >= copy.snapshot.first_month or words != _MISSING:
                yield Finding(_of_window(copy, month), words, _slots([copy]))


_MISSING = "is missing: its alert wants it"


def _differences(
    row: Row[Any], have: Sequence[tuple[Any, ...]], wanted: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, str]]:
    """Months whose windows are not as they should be, and how."""
    names = alert_window.c.keys()
    place = names.index("month")
    there, want = ({window[place]: window for window in windows} for windows in (have, wanted))
    for month in sorted(want.keys() | there.keys()):
        if month not in there:
            yield month, _MISSING
        elif month not in want:
            yield month, f"is not wanted: its alert {_why_none(row)}"
        elif unlike := _unlike_names(names, there[month], want[month]):
            yield month, f"is not as its alert: {', '.join(unlike)}"


def _unlike_names(names: Sequence[str], one: Sequence[Any], other: Sequence[Any]) -> list[str]:
    return [name for name, *values in zip(names, one, other, strict=True) if values[0] != values[1]]


def _why_none(row: Row[Any]) -> str:
    if row.paused:
        return "is paused"
    return "is not evaluated yet" if row.evaluate_at is not None else "departs in other months"


def _pair_findings(table: Table, copies: Sequence[Copy], pairs: Mapping[int, tuple[str, str]]) -> Iterator[Finding]:
    by_shard = {copy.snapshot.name: copy for copy in copies if copy.row is not None}
    for slot in {copy.row.slot for copy in by_shard.values() if copy.row is not None} & pairs.keys():
        source, target = pairs[slot]
        ours, theirs = by_shard.get(source), by_shard.get(target)
        if unlike := _unlike(table, ours, theirs):
            what = f"{table.name} {copies[0].id} in shard {target}"
            words = f"is not as in shard {source}, from which slot {slot} was moved: {unlike}"
            yield Finding(what, words, frozenset({slot}))


def _unlike(table: Table, ours: Copy | None, theirs: Copy | None) -> str:
    """In what two copies of a row differ; in words, none if they do not."""
    if theirs is None or theirs.row is None:
        return "it is missing here" if ours else ""
    if ours is None or ours.row is None:
        return "it is missing there"
    unlike = _unlike_names(table.c.keys(), ours.row, theirs.row)
    # What was dropped at one end does not come with the copy.
    first = ours.snapshot.first_month
    mine, other = ([tuple(row) for row in copy.windows if row.month >= first] for copy in (ours, theirs))
    return ", ".join([*unlike, *(["its windows"] if mine != other else [])])


def _slots(copies: Collection[Copy]) -> frozenset[int]:
    rows = (row for copy in copies for row in (copy.row, *copy.windows) if row is not None)
    return frozenset(row.slot for row in rows)


def hour_findings(alert_id: UUID, hour: int, rows: Sequence[tuple[Snapshot, Row[Any]]]) -> Iterator[Finding]:
    """What is wrong with all rows of the outboxes about an alert and an hour."""
    owned = [(snapshot, row) for snapshot, row in rows if snapshot.owns(row.slot)]
    if len(owned) > 1:
        places = " and ".join(f"{row.id} in shard {snapshot.name}" for snapshot, row in owned)
        what = f"outbox of alert {alert_id} in hour {hour}"
        yield Finding(what, f"has more than one row: {places}", frozenset(row.slot for _, row in owned))


def owner_findings(
    slots: Collection[int], owners: Sequence[str], snapshots: Sequence[Snapshot], moves: Collection[Move]
) -> Iterator[Finding]:
    """What is wrong with who owns the slots.

    Args:
        slots: which.
        owners: the map: shard of each slot.
        snapshots: of all shards.
        moves: that have not ended.
    """
    in_hand = {slot: move for move in moves for slot in move.slots}
    for slot in slots:
        about = frozenset({slot})
        move = in_hand.get(slot)
        decided = move if move is not None and move.state == "committed" else None
        have = [snapshot.name for snapshot in snapshots if snapshot.owns(slot)]
        if len(have) > 1:
            yield Finding(f"slot {slot}", f"is owned by {' and '.join(have)}", about)
        elif not have and not decided:
            yield Finding(f"slot {slot}", "is owned by no shard", about)
        elif have and have[0] != owners[slot] and not (decided and decided.source == have[0]):
            yield Finding(f"slot {slot}", f"is owned by {have[0]}, and the map says {owners[slot]}", about)
        for snapshot in snapshots:
            state = snapshot.state(slot)
            if state in (FENCED, IMPORTING) and not _explains(move, snapshot, slot):
                yield Finding(f"slot {slot} in shard {snapshot.name}", f"is {state}, and no move is about it", about)
    for snapshot in snapshots:
        if snapshot.open_pass:
            yield Finding(f"slot_pass in shard {snapshot.name}", "has a row: its guard stands open", frozenset())


def _explains(move: Move | None, snapshot: Snapshot, slot: int) -> bool:
    row = snapshot.owners[slot]
    if move is None or row.move_id != move.id:
        return False
    return snapshot.name == (move.source if row.state == FENCED else move.target)


def decided_pairs(snapshots: Sequence[Snapshot], moves: Collection[Move]) -> dict[int, tuple[str, str]]:
    """Slots whose rows must be the same in two shards: their move is decided, and the target not open yet.

    Before it is decided they may differ, also under the fence: a mover that died there has not copied what was written
    last. Slot → source and target.
    """
    by_name = {snapshot.name: snapshot for snapshot in snapshots}
    pairs = {}
    for move in moves:
        if move.state != "committed" or not {move.source, move.target} <= by_name.keys():
            continue
        ends = by_name[move.source], by_name[move.target]
        for slot in move.slots:
            rows = [end.owners.get(slot) for end in ends]
            states = [None if row is None or row.move_id != move.id else row.state for row in rows]
            if states[0] in (FENCED, MOVED) and states[1] == IMPORTING:
                pairs[slot] = (move.source, move.target)
    return pairs
