"""How one alert is made by somebody who may ask again: with its Idempotency-Key, in one transaction."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select

from fms.db.given import insert_rows
from fms.db.rows import alert_values
from fms.db.tables import alert, idempotency_key
from fms.model.alert import Alert
from fms.model.clock import Clock
from fms.model.ids import IdMint, slot_of_id
from fms.shards.ownership import is_owned
from fms.shards.router import Router


@dataclass(frozen=True)
class Key:
    """An Idempotency-Key, and a hash of what is asked for with it."""

    text: str
    request: str


@dataclass(frozen=True)
class Repeat:
    """What was made with a key before.

    Attributes:
        request: the hash of what was asked for then.
        alert_id: what was made.
        answer: the first answer, JSON; None: it was never finished.
    """

    request: str
    alert_id: UUID
    answer: str | None


@dataclass(frozen=True)
class Census:
    """What a user has: how many alerts, which one of a ref, and what was made with a key."""

    alerts: int
    same_ref: UUID | None
    repeat: Repeat | None


class AlertCreation:
    """Makes alerts one by one."""

    def __init__(self, router: Router, mint: IdMint, clock: Clock) -> None:
        self._router = router
        self._mint = mint
        self._clock = clock

    def census(self, user_id: UUID, ref: str, key: Key | None) -> Census:
        """What the user has, of all shards."""
        mine = alert.c.user_id == user_id, is_owned(alert)
        count = select(func.count()).select_from(alert).where(*mine)
        same = select(alert.c.id).where(*mine, alert.c.ref == ref)

        def read(connection: Connection) -> Census:
            repeat = None if key is None else _repeat(connection, user_id, key)
            found = connection.execute(count).scalar_one(), connection.execute(same).scalar()
            return Census(*found, repeat)

        found = self._router.read_all(read)
        return Census(
            sum(one.alerts for one in found),
            next((one.same_ref for one in found if one.same_ref), None),
            next((one.repeat for one in found if one.repeat), None),
        )

    def add(self, made: Alert, key: Key | None) -> Repeat | UUID | None:
        """Write a new alert, whose evaluation is owed from then on, and with what key it was made.

        Nothing is written if the key was used in its slot before, or the ref: answers what was made with it.
        """
        slot = slot_of_id(made.id)
        owed = {"created_at": self._clock(), "evaluate_at": self._clock(), "evaluate_resumed": False}

        def write(connection: Connection) -> Repeat | UUID | None:
            if key is not None and not self._claimed(connection, made, key):
                return _repeat(connection, made.user_id, key, slot)
            row = alert_values(made) | owed
            unless = "ON CONFLICT (user_id, ref, slot) DO NOTHING RETURNING version"
            if insert_rows(connection, alert, [row], unless).first() is None:
                connection.execute(idempotency_key.delete().where(idempotency_key.c.alert_id == made.id, _here(slot)))
                return _of_ref(connection, made)
            return None

        return self._router.write(slot, write)

    def _claimed(self, connection: Connection, made: Alert, key: Key) -> bool:
        row = {
            "id": self._mint.new(slot_of_id(made.id)),
            "slot": slot_of_id(made.id),
            "user_id": made.user_id,
            "key": key.text,
            "request": key.request,
            "alert_id": made.id,
            "created_at": self._clock(),
            "version": 1,
        }
        unless = "ON CONFLICT (user_id, key, slot) DO NOTHING RETURNING version"
        return insert_rows(connection, idempotency_key, [row], unless).first() is not None

    def answered(self, made: Alert, key: Key, answer: str) -> str:
        """Keep the first answer to a key; answers the one that is kept."""
        mine = idempotency_key.c.user_id == made.user_id, idempotency_key.c.key == key.text
        values = {
            "answer": func.coalesce(idempotency_key.c.answer, answer),
            "version": idempotency_key.c.version + 1,
        }
        keep = (
            idempotency_key.update()
            .where(*mine, _here(slot_of_id(made.id)))
            .values(**values)
            .returning(idempotency_key.c.answer)
        )
        kept = self._router.write(slot_of_id(made.id), lambda connection: connection.execute(keep).scalar())
        return kept or answer


def _here(slot: int) -> ColumnElement[bool]:
    return idempotency_key.c.slot == slot


def _repeat(connection: Connection, user_id: UUID, key: Key, slot: int | None = None) -> Repeat | None:
    mine = idempotency_key.c.user_id == user_id, idempotency_key.c.key == key.text
    here = is_owned(idempotency_key) if slot is None else _here(slot)
    columns = idempotency_key.c.request, idempotency_key.c.alert_id, idempotency_key.c.answer
    row = connection.execute(select(*columns).where(*mine, here)).one_or_none()
    return None if row is None else Repeat(*row)


def _of_ref(connection: Connection, made: Alert) -> UUID | None:
    same = alert.c.user_id == made.user_id, alert.c.ref == made.ref, alert.c.slot == slot_of_id(made.id)
    return connection.execute(select(alert.c.id).where(*same)).scalar()
