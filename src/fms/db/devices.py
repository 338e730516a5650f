"""Devices, each in the slot of its user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, func, select

from fms.db.tables import device, user_account
from fms.errors import NotFound
from fms.model.clock import Clock
from fms.model.device import ACTIVE, RETIRED, UNPROVED, Device
from fms.model.ids import IdMint, slot_of_id
from fms.shards.ownership import is_owned
from fms.shards.router import Router

_DEVICE = (
    "id", "user_id", "provider", "name", "token_hash", "state", "registered_at", "seen_at", "retired_at", "retired_why",
)  # fmt: skip
_RAISED = device.c.version + 1
_LIVE = device.c.state != RETIRED


@dataclass(frozen=True)
class Registration:
    """What a client registers; ``token`` is encrypted."""

    provider: str
    name: str
    token: str
    token_hash: str


class DeviceRows:
    """The devices over every shard."""

    def __init__(self, router: Router, mint: IdMint, clock: Clock) -> None:
        self._router = router
        self._mint = mint
        self._clock = clock

    def register(self, user_id: UUID, brought: Registration, most: int) -> tuple[Device | None, bool]:
        """Write what a user's client brought; answers the device, and whether it is new.

        A new one is ``unproved``, and one that was retired is so again; an active one stays so. No device: the user
        has ``most`` that are not retired. Raises NotFound if the account is gone, or is being deleted.
        """

        def write(connection: Connection) -> tuple[Device | None, bool]:
            _lock_user(connection, user_id)
            same = select(device).where(device.c.user_id == user_id, device.c.token_hash == brought.token_hash)
            before = connection.execute(same.with_for_update()).first()
            if (before is None or before.state == RETIRED) and _live(connection, user_id) >= most:
                return None, False
            if before is None:
                return self._insert(connection, user_id, brought), True
            return self._renew(connection, _device_of(before), brought), False

        return self._router.write(slot_of_id(user_id), write)

    def _insert(self, connection: Connection, user_id: UUID, brought: Registration) -> Device:
        now, slot = self._clock(), slot_of_id(user_id)
        made = Device(
            self._mint.new(slot), user_id, brought.provider, brought.name, brought.token_hash, UNPROVED, now, now
        )
        row = {name: getattr(made, name) for name in _DEVICE} | {"slot": slot, "token": brought.token, "version": 1}
        connection.execute(device.insert(), row)
        return made

    def _renew(self, connection: Connection, before: Device, brought: Registration) -> Device:
        now = self._clock()
        state = ACTIVE if before.state == ACTIVE else UNPROVED
        values: dict[str, Any] = {
            "name": brought.name,
            "state": state,
            "registered_at": now,
            "seen_at": now,
            "retired_at": None,
            "retired_why": None,
        }
        # Its keys may be others, though the address is the same; and ours may be, by which it is encrypted.
        _update(connection, device.c.id == before.id, values | {"token": brought.token})
        return replace(before, **values)

    def others(self, one: Device) -> Sequence[Device]:
        """The devices of other users that have the same token and are not retired."""
        query = select(device).where(
            device.c.token_hash == one.token_hash, device.c.user_id != one.user_id, _LIVE, is_owned(device)
        )
        found = self._router.read_all(lambda connection: connection.execute(query).all())
        return [_device_of(row) for row in chain.from_iterable(found)]

    def activate(self, one: Device) -> bool:
        """Make an unproved device active; False: it was registered again since it was read, retired or deleted."""
        same = (device.c.registered_at == one.registered_at) & (device.c.state == UNPROVED)
        return self._change(one, same, {"state": ACTIVE})

    def retire(self, one: Device, why: str) -> bool:
        """Have a device sent nothing any more; False: it was not sent anything before."""
        return self._change(one, _LIVE, {"state": RETIRED, "retired_at": self._clock(), "retired_why": why})

    def rename(self, user_id: UUID, device_id: UUID, name: str) -> Device:
        """Call a user's device otherwise; its client was seen. Raises NotFound."""

        def write(connection: Connection) -> Device:
            _update(connection, _mine(user_id, device_id), {"name": name, "seen_at": self._clock()})
            return _read(connection, user_id, device_id)

        return self._router.write(slot_of_id(user_id), write)

    def get(self, user_id: UUID, device_id: UUID) -> Device:
        """A device of a user; raises NotFound."""
        return self._router.read(slot_of_id(user_id), lambda connection: _read(connection, user_id, device_id))

    def all(self, user_id: UUID) -> Sequence[Device]:
        """A user's devices, the one registered first first."""
        query = select(device).where(device.c.user_id == user_id).order_by(device.c.id)
        rows = self._router.read(slot_of_id(user_id), lambda connection: connection.execute(query).all())
        return [_device_of(row) for row in rows]

    def delete(self, user_id: UUID, device_id: UUID) -> bool:
        """Delete a device of a user; False: they have no such device."""
        statement = device.delete().where(_mine(user_id, device_id))
        return self._router.write(slot_of_id(user_id), lambda connection: connection.execute(statement).rowcount > 0)

    def _change(self, one: Device, when: ColumnElement[bool], values: dict[str, Any]) -> bool:
        which = _mine(one.user_id, one.id) & when
        return self._router.write(slot_of_id(one.user_id), lambda connection: _update(connection, which, values) > 0)


def _lock_user(connection: Connection, user_id: UUID) -> None:
    """Have the user's devices to oneself until the transaction ends; raises NotFound."""
    # It also orders this with the end of the account, after which nothing of it may be left.
    open_one = user_account.c.id == user_id, user_account.c.closed_at.is_(None)
    if connection.execute(select(user_account.c.id).where(*open_one).with_for_update()).first() is None:
        raise NotFound(f"no user {user_id}")


def _live(connection: Connection, user_id: UUID) -> int:
    count = select(func.count()).select_from(device).where(device.c.user_id == user_id, _LIVE)
    return connection.execute(count).scalar_one()


def _mine(user_id: UUID, device_id: UUID) -> ColumnElement[bool]:
    return (device.c.id == device_id) & (device.c.user_id == user_id)


def _update(connection: Connection, which: ColumnElement[bool], values: dict[str, Any]) -> int:
    return connection.execute(device.update().where(which).values(**values, version=_RAISED)).rowcount


def _read(connection: Connection, user_id: UUID, device_id: UUID) -> Device:
    row = connection.execute(select(device).where(_mine(user_id, device_id))).one_or_none()
    if row is None:
        raise NotFound(f"no device {device_id}")
    return _device_of(row)


def _device_of(row: Row[Any]) -> Device:
    return Device(**{name: getattr(row, name) for name in _DEVICE})
