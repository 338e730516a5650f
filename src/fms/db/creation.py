"""How one alert is made by somebody who may ask again: with its Idempotency-Key and its answer, in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Connection, Label, bindparam, func, select

from fms.db.given import insert_rows
from fms.db.outbox import write_firings
from fms.db.rows import alert_values, window_rows
from fms.db.tables import alert, alert_window, idempotency_key
from fms.model.alert import Alert
from fms.model.clock import Clock
from fms.model.ids import IdMint, slot_of_id
from fms.model.notification import Message
from fms.ports import Outcome
from fms.shards.ownership import is_owned
from fms.shards.router import Router


@dataclass(frozen=True)
class Key:
    """An Idempotency-Key, a hash of what is asked for with it, and the answer that it is given for ever, JSON."""

    text: str
    request: str
    answer: str = ""


@dataclass(frozen=True)
class Repeat:
    """What was made with a key before: what was asked for then, and its answer."""

    request: str
    answer: str


@dataclass(frozen=True)
class Census:
    """What a user has: how many alerts, which one of a ref, and what was made with a key.

    Two requests with one key that begin in the same moment may each make an alert, if these belong to two slots: then
    ``repeat`` is what was made for the request that is asked about.
    """

    alerts: int
    same_ref: UUID | None
    repeat: Repeat | None


@dataclass(frozen=True)
class New:
    """An alert to be made.

    Attributes:
        alert: as it was asked for.
        outcome: how it begins; None: its evaluation is owed.
        catch_up_at: when to look for what the evaluation missed, UTC ms.
        key: with which it is asked for.
    """

    alert: Alert
    outcome: Outcome | None
    catch_up_at: int | None = None
    key: Key | None = None

    @property
    def slot(self) -> int:
        """Where it belongs."""
        return slot_of_id(self.alert.id)


COUNTED_SECONDS = 10
"""How long it is remembered how many alerts a user has: to count them all shards are asked."""

REMEMBERED = 10_000
"""Users of whom that is remembered."""

_OWN = alert.c.user_id == bindparam("user_id"), is_owned(alert)
_KEY = (
    idempotency_key.c.user_id == bindparam("user_id"),
    idempotency_key.c.key == bindparam("key"),
    is_owned(idempotency_key),
)


def _of_key(column: Column[Any]) -> Label[Any]:
    # What was asked for with the key now comes before what was asked for with it on another route.
    same_first = (idempotency_key.c.request == bindparam("request")).desc()
    return select(column).where(*_KEY).order_by(same_first).limit(1).scalar_subquery().label(column.name)


_CENSUS = select(
    select(func.count()).select_from(alert).where(*_OWN).scalar_subquery().label("alerts"),
    select(alert.c.id).where(*_OWN, alert.c.ref == bindparam("ref")).limit(1).scalar_subquery().label("same_ref"),
    _of_key(idempotency_key.c.request),
    _of_key(idempotency_key.c.answer),
)


class AlertCreation:
    """Makes alerts one by one."""

    def __init__(self, router: Router, mint: IdMint, clock: Clock) -> None:
        self._router = router
        self._mint = mint
        self._clock = clock
        self._counts: dict[UUID, tuple[int, float]] = {}

    def census(self, user_id: UUID, ref: str | None, key: Key | None, most: int) -> Census:
        """What the user has, of all shards; of a slot that changes hands just then it may be too little.

        How many alerts they have may be what it was some seconds ago, apart from those made here; but nobody has
        ``most`` or more by that: they may have deleted some since.
        """
        if ref is None and key is None and (known := self._counts.get(user_id)):
            count, until = known
            if until > monotonic() and count < most:
                return Census(count, None, None)
        asked = {"user_id": user_id, "ref": ref, "key": key and key.text, "request": key and key.request}
        rows = self._router.ask_all(_CENSUS, **asked)
        count = sum(row.alerts for row in rows)
        self._remember(user_id, count, monotonic() + COUNTED_SECONDS)
        repeats = [Repeat(row.request, row.answer) for row in rows if row.request is not None]
        return Census(count, next((row.same_ref for row in rows if row.same_ref), None), _best(repeats, key))

    def _remember(self, user_id: UUID, count: int, until: float) -> None:
        if len(self._counts) >= REMEMBERED:
            self._counts.clear()
        self._counts[user_id] = count, until

    def add(self, new: New) -> Sequence[Message] | Repeat | UUID:
        """Write a new alert as it begins; answers the messages of what it fires at once.

        Nothing is written if its key was used in its slot before, or its ref: answers what was made with that.
        """

        def write(connection: Connection) -> Sequence[Message] | Repeat | UUID:
            if new.key is not None and not self._claimed(connection, new, new.key):
                found = _repeat(connection, new.alert.user_id, new.key, idempotency_key.c.slot == new.slot)
                assert found is not None  # noqa: S101  # it was in the way
                return found
            if not self._written(connection, new):
                connection.execute(idempotency_key.delete().where(idempotency_key.c.alert_id == new.alert.id))
                return _of_ref(connection, new.alert)
            return self._begun(connection, new.outcome) if new.outcome else []

        found = self._router.write(new.slot, write)
        if known := self._counts.get(new.alert.user_id):
            self._counts[new.alert.user_id] = known[0] + 1, known[1]
        return found

    def _claimed(self, connection: Connection, new: New, key: Key) -> bool:
        row = {
            "id": self._mint.new(new.slot),
            "slot": new.slot,
            "user_id": new.alert.user_id,
            "key": key.text,
            "request": key.request,
            "alert_id": new.alert.id,
            "answer": key.answer,
            "created_at": self._clock(),
            "version": 1,
        }
        unless = "ON CONFLICT (user_id, key, slot) DO NOTHING RETURNING version"
        return insert_rows(connection, idempotency_key, [row], unless).first() is not None

    def _written(self, connection: Connection, new: New) -> bool:
        now = self._clock()
        made = replace(new.alert, state=new.outcome.state) if new.outcome else new.alert
        owed = {
            "created_at": now,
            "evaluate_at": None if new.outcome else now,
            "evaluate_resumed": False,
            "catch_up_at": new.catch_up_at if new.outcome else None,
        }
        unless = "ON CONFLICT (user_id, ref, slot) DO NOTHING RETURNING version"
        return insert_rows(connection, alert, [alert_values(made) | owed], unless).first() is not None

    def _begun(self, connection: Connection, outcome: Outcome) -> Sequence[Message]:
        insert_rows(connection, alert_window, window_rows(replace(outcome.alert, state=outcome.state)))
        return write_firings(connection, [outcome], self._mint, evaluated=True)


def _repeat(connection: Connection, user_id: UUID, key: Key, where: ColumnElement[bool]) -> Repeat | None:
    mine = idempotency_key.c.user_id == user_id, idempotency_key.c.key == key.text
    query = select(idempotency_key.c.request, idempotency_key.c.answer).where(*mine, where)
    return _best([Repeat(*row) for row in connection.execute(query)], key)


def _best(found: Iterable[Repeat | None], key: Key | None) -> Repeat | None:
    """What was made for this very request, else for another one."""
    repeats = [one for one in found if one]
    return next((one for one in repeats if key and one.request == key.request), repeats[0] if repeats else None)


def _of_ref(connection: Connection, made: Alert) -> UUID:
    same = alert.c.user_id == made.user_id, alert.c.ref == made.ref, alert.c.slot == slot_of_id(made.id)
    found: UUID = connection.execute(select(alert.c.id).where(*same)).scalar_one()
    return found
