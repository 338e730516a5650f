"""What people do with their devices: register, prove, rename and delete them."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from fms.accounts.endpoints import checked_endpoint
from fms.accounts.keys import Keys
from fms.db.devices import DeviceRows, Registration
from fms.errors import Invalid
from fms.model.device import ACTIVE, MOVED, UNPROVED, WEBPUSH, Device, checked_name, checked_token, hash_of


class TooManyDevices(Invalid):
    """The user has as many devices as there may be."""


@dataclass(frozen=True)
class Address:
    """What a device is reached by: ``secret`` is enough to push to it."""

    provider: str
    secret: str = field(repr=False)
    hash: str


def address_of_token(provider: str, token: str) -> Address:
    """The address of a token of FCM or APNs; raises Invalid."""
    kept = checked_token(provider, token)
    return Address(provider, kept, hash_of(provider, kept))


def address_of_subscription(subscription: Mapping[str, Any]) -> Address:
    """The address of a subscription to web push (``endpoint``, and ``keys`` of RFC 8291); raises Invalid.

    Its secret is JSON of the same form, the endpoint and the keys each written in one way.
    """
    endpoint, keys = checked_endpoint(subscription["endpoint"]), subscription["keys"]
    kept = {"p256dh": checked_point(keys["p256dh"]), "auth": checked_auth(keys["auth"])}
    secret = json.dumps({"endpoint": endpoint, "keys": kept}, separators=(",", ":"))
    return Address(WEBPUSH, secret, hash_of(WEBPUSH, endpoint))


def checked_point(text: str) -> str:
    """The public key of a subscription, ``p256dh``, in base64url without padding; raises Invalid."""
    key = _decoded(text)
    if len(key) != 65 or key[0] != 4:
        raise Invalid("an uncompressed point of 65 bytes in base64url wanted")
    return _encoded(key)


def checked_auth(text: str) -> str:
    """The secret of a subscription, ``auth``, in base64url without padding; raises Invalid."""
    key = _decoded(text)
    if len(key) != 16:
        raise Invalid("16 bytes in base64url wanted")
    return _encoded(key)


def _decoded(text: str) -> bytes:
    """The bytes of a text in base64url, padded or not; none if it is something else."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _encoded(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def proof_of(device: Device, keys: Keys) -> str:
    """What proves that somebody hears what is pushed to the device since it was registered last.

    Whoever tells ``unproved`` devices pushes it to the token itself, and shows it to nobody else: the client hands it
    back by ``Devices.prove``. It is the same however often it is asked for, until the device is registered again.
    """
    return keys.proof(_claim(device))


def _claim(device: Device) -> str:
    return f"{device.id}:{device.registered_at}"


class Devices:
    """The devices of a site's users.

    Args:
        rows: where they are kept.
        keys: encrypt what they are reached by, and make the proofs.
        most: how many a user may have that are not retired.
    """

    def __init__(self, rows: DeviceRows, keys: Keys, most: int) -> None:
        self._rows = rows
        self._keys = keys
        self._most = most

    def register(self, user_id: UUID, address: Address, name: str) -> tuple[Device, bool]:
        """Register a device, or once more one that the user has; answers it, and whether it is new.

        It is ``unproved``, and is sent nothing, if another account has one of the same token. Raises Invalid for the
        name, TooManyDevices, and NotFound if the account is being deleted.
        """
        secret = self._keys.encrypt(address.secret)
        brought = Registration(address.provider, checked_name(name), secret, address.hash)
        device, is_new = self._rows.register(user_id, brought, self._most)
        if device is None:
            raise TooManyDevices(f"you have {self._most} devices, and no more are allowed: delete some first")
        # Written first and looked for then: of two accounts that bring one token at once, at least one sees the other.
        if device.state == UNPROVED and not self._rows.others(device) and self._rows.activate(device):
            device = replace(device, state=ACTIVE)
        return device, is_new

    def prove(self, user_id: UUID, device_id: UUID, proof: str) -> Device:
        """Make an unproved device active with what was pushed to it; those of other accounts are retired.

        Raises Invalid if it is not its proof, or the device was retired; NotFound.
        """
        device = self._rows.get(user_id, device_id)
        if not self._keys.is_proof(_claim(device), proof):
            raise Invalid("proof: not what was pushed to this device since it was registered last")
        if device.state == UNPROVED:
            # The others first: cut short between, nobody is sent what is somebody else's, and it can be done again.
            for other in self._rows.others(device):
                self._rows.retire(other, MOVED)
            self._rows.activate(device)
            device = self._rows.get(user_id, device_id)
        if device.state != ACTIVE:
            raise Invalid("proof: the device is retired, or was registered again meanwhile: register it again")
        return device

    def rename(self, user_id: UUID, device_id: UUID, name: str) -> Device:
        """Call a device otherwise; raises Invalid and NotFound."""
        return self._rows.rename(user_id, device_id, checked_name(name))

    def all(self, user_id: UUID) -> Sequence[Device]:
        """A user's devices, the one registered first first."""
        return self._rows.all(user_id)

    def delete(self, user_id: UUID, device_id: UUID) -> bool:
        """Forget a device; False: the user has no such device."""
        return self._rows.delete(user_id, device_id)
