"""Your devices: what your pushes are sent to."""

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify
from marshmallow import ValidationError, fields, validate, validates_schema

from fms.accounts.devices import (
    Address,
    TooManyDevices,
    address_of_subscription,
    address_of_token,
    checked_auth,
    checked_point,
)
from fms.accounts.endpoints import LONGEST, checked_endpoint
from fms.errors import Invalid, NotFound
from fms.model.clock import format_instant
from fms.model.device import PROVIDERS, STATES, UNPROVED, WEBPUSH, Device, checked_name, checked_token
from fms.web.fields import Closed, Pattern, by_rule
from fms.web.parts import id_in_path, me, parts
from fms.web.problems import Problem
from fms.web.routes import Routes

routes = Routes("devices", "/api/devices", "What your pushes are sent to.")

_NAME: list[Callable[[Any], Any]] = [validate.Length(1, 100), by_rule(checked_name)]


class KeysIn(Closed):
    """Keys of a subscription to web push (RFC 8291), in base64url."""

    p256dh = fields.String(required=True, validate=by_rule(checked_point))
    auth = fields.String(required=True, validate=by_rule(checked_auth))


class SubscriptionIn(Closed):
    """A browser's ``PushSubscription`` as it writes itself as JSON."""

    endpoint = fields.String(
        required=True, validate=[validate.Length(1, LONGEST), by_rule(checked_endpoint)], metadata={"format": "uri"}
    )
    keys = fields.Nested(KeysIn, required=True)
    expirationTime = fields.Float(allow_none=True, metadata={"description": "Not minded."})  # noqa: N815  # its name


class DeviceIn(Closed):
    """A device: with a token, or for webpush with a subscription."""

    provider = fields.String(required=True, validate=validate.OneOf(PROVIDERS))
    name = fields.String(required=True, validate=_NAME)
    token = fields.String(validate=validate.Length(1, 2_048), metadata={"description": "Of fcm or apns."})
    subscription = fields.Nested(SubscriptionIn, metadata={"description": "Of webpush."})

    @validates_schema(skip_on_field_errors=True)
    def check_address(self, data: dict[str, Any], **_options: Any) -> None:
        """Each provider has its own kind of address, and no other."""
        wanted, other = ("subscription", "token") if data["provider"] == WEBPUSH else ("token", "subscription")
        if wanted not in data:
            raise ValidationError(f"wanted for {data['provider']}", wanted)
        if other in data:
            raise ValidationError(f"not for {data['provider']}", other)
        if wanted == "token":
            try:
                checked_token(data["provider"], data["token"])
            except Invalid as error:
                raise ValidationError(str(error), "token") from None


class NameIn(Closed):
    """What you call it."""

    name = fields.String(required=True, validate=_NAME)


class ProofIn(Closed):
    """What was pushed to the device."""

    proof = fields.String(required=True, validate=Pattern(r"^[A-Za-z0-9_-]{1,100}$"))


class DeviceOut(Closed):
    """A device, without what it is reached by."""

    id = fields.String(required=True, metadata={"format": "uuid"})
    provider = fields.String(required=True, validate=validate.OneOf(PROVIDERS))
    name = fields.String(required=True)
    state = fields.String(
        required=True,
        validate=validate.OneOf(STATES),
        metadata={"description": "It is sent pushes; nothing but the proof that is asked for; nothing at all."},
    )
    registered_at = fields.String(required=True, metadata={"format": "date-time"})
    seen_at = fields.String(required=True, metadata={"format": "date-time"})
    retired_at = fields.String(required=True, allow_none=True, metadata={"format": "date-time"})
    retired_why = fields.String(required=True, allow_none=True)


class RegisteredOut(DeviceOut):
    """A device that was registered."""

    hint = fields.String(required=True, allow_none=True, metadata={"description": "What is to be done; null: nothing."})


class DevicesOut(Closed):
    """Your devices, the one registered first first."""

    items = fields.List(fields.Nested(DeviceOut), required=True)
    next = fields.String(required=True, allow_none=True)


@routes.view("POST", "", answer=RegisteredOut, status=201, body=DeviceIn, problems=("limit",))
@routes.alt_response(200, schema=RegisteredOut, description="It was registered before.")  # type: ignore[untyped-decorator]  # as flask-smorest is
def register(body: dict[str, Any]) -> Response:
    """Register a device; do it whenever your app starts. One that you have registered stays the same device."""
    try:
        device, is_new = parts().devices.register(me().id, _address(body), body["name"])
    except TooManyDevices as error:
        raise Problem("limit", str(error)) from None
    except NotFound:
        raise Problem("unauthenticated", "the session of this token has ended: log in again") from None
    response = jsonify(device_answer(device) | {"hint": _hint(device)})
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/devices/{device.id}"
    return response


def _address(body: dict[str, Any]) -> Address:
    if body["provider"] != WEBPUSH:
        return address_of_token(body["provider"], body["token"])
    return address_of_subscription(body["subscription"])


def _hint(device: Device) -> str | None:
    if device.state != UNPROVED:
        return None
    return f"prove that it is yours: POST the proof that is pushed to it to /api/devices/{device.id}/proof"


def device_answer(device: Device) -> dict[str, Any]:
    """One device for its owner."""
    return {
        "id": str(device.id),
        "provider": device.provider,
        "name": device.name,
        "state": device.state,
        "registered_at": format_instant(device.registered_at),
        "seen_at": format_instant(device.seen_at),
        "retired_at": None if device.retired_at is None else format_instant(device.retired_at),
        "retired_why": device.retired_why,
    }


@routes.view("GET", "", answer=DevicesOut)
def list_() -> dict[str, Any]:
    """List your devices, also those that were retired lately."""
    return {"items": [device_answer(one) for one in parts().devices.all(me().id)], "next": None}


@routes.view("PUT", "/<device_id>", answer=DeviceOut, body=NameIn)
def rename(body: dict[str, str], device_id: str) -> dict[str, Any]:
    """Call a device otherwise; it was seen."""
    return device_answer(parts().devices.rename(me().id, id_in_path(device_id), body["name"]))


@routes.view("POST", "/<device_id>/proof", answer=DeviceOut, body=ProofIn)
def prove(body: dict[str, str], device_id: str) -> dict[str, Any]:
    """Prove that a device is yours with what was pushed to it; other accounts lose it."""
    return device_answer(parts().devices.prove(me().id, id_in_path(device_id), body["proof"]))


@routes.view("DELETE", "/<device_id>", status=204)
def delete(device_id: str) -> None:
    """Forget a device; it is sent nothing any more."""
    if not parts().devices.delete(me().id, id_in_path(device_id)):
        raise NotFound("no such device")
