"""Devices over HTTP: whose they are, who may have them, and that nobody sees what they are reached by."""

import base64
import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fms.accounts.devices import Devices, proof_of
from fms.accounts.keys import Keys
from fms.bootstrap import Site
from fms.db.devices import DeviceRows
from fms.db.tables import device as device_table
from fms.errors import Transient
from fms.model.device import ACTIVE, MOVED, RETIRED, UNPROVED, Device, hash_of
from fms.model.ids import parse_id
from fms.shards.engine import reading
from fms.web.devices import DeviceOut, RegisteredOut
from tests.builders import MINT
from tests.web.conftest import MakeApp
from tests.web.people import PASSWORD, Person, neighbour_of


@pytest.fixture
def ben(anna: Person) -> Person:
    """Somebody else beside her."""
    return neighbour_of(anna)


TOKEN = "cZ-1_2:APA91bF-" + "x" * 140
FIELDS = {"id", "provider", "name", "state", "registered_at", "seen_at", "retired_at", "retired_why"}
PHONE = {"provider": "fcm", "name": "Pixel", "token": TOKEN}


def base64url(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


P256DH, AUTH = base64url(b"\x04" + bytes(range(64))), base64url(bytes(range(16)))
SUBSCRIPTION = {"endpoint": "https://push.example.org/wpush/v2/abc", "keys": {"p256dh": P256DH, "auth": AUTH}}
BROWSER = {"provider": "webpush", "name": "Firefox", "subscription": SUBSCRIPTION}


def site_of(app: Flask) -> Site:
    site: Site = app.extensions["fms"].site
    return site


def keys_of(app: Flask) -> Keys:
    keys: Keys = app.extensions["fms"].keys
    return keys


def registered(person: Person, body: dict[str, Any] = PHONE, status: int = 201) -> dict[str, Any]:
    found: dict[str, Any] = person.ask("POST", "/api/devices", body).checked(status)
    assert RegisteredOut().validate(found) == {}
    return found


def listed(person: Person) -> list[dict[str, Any]]:
    page = person.ask("GET", "/api/devices").checked()
    assert page["next"] is None
    return list(page["items"])


def states(person: Person) -> list[str]:
    return [one["state"] for one in listed(person)]


def kept(app: Flask) -> list[Any]:
    """Every row of the table, of every shard."""
    found: list[Any] = []
    for shard in site_of(app).router.all():
        with reading(shard.engine) as connection:
            found += connection.execute(select(device_table)).all()
    return found


def as_kept(person: Person, device_id: str) -> Device:
    site = site_of(person.app)
    rows = DeviceRows(site.router, site.mint, site.clock)
    return rows.get(site.users.find(person.email).id, parse_id(device_id))


def proof_for(person: Person, device_id: str) -> str:
    """What would be pushed to the device."""
    return proof_of(as_kept(person, device_id), keys_of(person.app))


def prove(person: Person, device_id: str, proof: str, status: int = 200) -> Any:
    return person.ask("POST", f"/api/devices/{device_id}/proof", {"proof": proof}).checked(status)


@pytest.mark.parametrize("body", [PHONE, {"provider": "apns", "name": "iPhone", "token": "0aF9" * 16}, BROWSER])
def test_a_device_is_registered_and_what_it_is_reached_by_is_not_told(anna: Person, body: dict[str, Any]) -> None:
    reply = anna.ask("POST", "/api/devices", body)
    made = reply.checked(201)
    assert reply.headers["Location"] == f"/api/devices/{made['id']}"
    assert (made.pop("hint"), made["state"], made["name"]) == (None, ACTIVE, body["name"])
    assert made.keys() == FIELDS == DeviceOut().fields.keys()
    assert listed(anna) == [made]
    [row] = kept(anna.app)
    address = body.get("token", SUBSCRIPTION["endpoint"]).lower()
    exported = anna.ask("GET", "/api/account/export").checked()
    assert exported["devices"] == [made]
    for told in (repr(row), repr(exported), repr(listed(anna)), repr(as_kept(anna, made["id"]))):
        assert address not in told.lower()
        assert P256DH not in told
        assert AUTH not in told
    opened = keys_of(anna.app).decrypt(row.token)
    assert opened == (body["token"].lower() if body["provider"] == "apns" else body.get("token", opened))
    assert body is not BROWSER or json.loads(opened) == SUBSCRIPTION


def test_a_browser_hands_over_its_subscription_as_it_is(anna: Person) -> None:
    padded = {"p256dh": P256DH + "=", "auth": AUTH + "=="}
    registered(anna, BROWSER | {"subscription": SUBSCRIPTION | {"expirationTime": None, "keys": padded}})
    [row] = kept(anna.app)
    assert json.loads(keys_of(anna.app).decrypt(row.token)) == SUBSCRIPTION


def test_a_device_that_is_registered_again_is_the_same_one(anna: Person) -> None:
    made = registered(anna)
    again = registered(anna, PHONE | {"name": "Pixel 2"}, 200)
    assert again["registered_at"] > made["registered_at"]
    assert again["seen_at"] == again["registered_at"]
    assert (again["id"], again["state"], again["name"]) == (made["id"], ACTIVE, "Pixel 2")
    assert len(kept(anna.app)) == 1


def test_a_subscription_that_is_registered_again_has_its_new_keys(anna: Person) -> None:
    registered(anna, BROWSER)
    keys = {"p256dh": base64url(b"\x04" + bytes(64)), "auth": base64url(bytes(16))}
    spelled = {"endpoint": "HTTPS://push.Example.org:443/wpush/v2/abc", "keys": keys}
    registered(anna, BROWSER | {"subscription": spelled}, 200)
    [row] = kept(anna.app)
    assert json.loads(keys_of(anna.app).decrypt(row.token)) == {"endpoint": SUBSCRIPTION["endpoint"], "keys": keys}


WITHOUT_TOKEN = {name: value for name, value in PHONE.items() if name != "token"}


def subscribed(**changes: Any) -> dict[str, Any]:
    return BROWSER | {"subscription": SUBSCRIPTION | changes}


def with_key(name: str, key: str) -> dict[str, Any]:
    return subscribed(keys=SUBSCRIPTION["keys"] | {name: key})  # type: ignore[operator]  # it is a dict


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "/provider"), (PHONE | {"provider": "smoke"}, "/provider"), (WITHOUT_TOKEN, "/token"),
    (PHONE | {"token": ""}, "/token"), (PHONE | {"token": "short"}, "/token"), (PHONE | {"token": 7}, "/token"),
    (PHONE | {"token": TOKEN + "\n"}, "/token"), (PHONE | {"token": TOKEN + "/../x"}, "/token"),
    (PHONE | {"token": "x" * 2_049}, "/token"), (PHONE | {"token": "é" * 40}, "/token"),
    (PHONE | {"provider": "apns"}, "/token"), (PHONE | {"provider": "apns", "token": "0a" * 16 + "0"}, "/token"),
    (PHONE | {"provider": "apns", "token": "0a" * 101}, "/token"), (PHONE | {"provider": "webpush"}, "/subscription"),
    (PHONE | {"subscription": SUBSCRIPTION}, "/subscription"), (BROWSER | {"token": TOKEN}, "/token"),
    (BROWSER | {"provider": "fcm"}, "/token"), (BROWSER | {"subscription": {}}, "/subscription/endpoint"),
    (subscribed(endpoint="http://push.example.org/x"), "/subscription/endpoint"),
    (subscribed(endpoint="https://127.0.0.1/x"), "/subscription/endpoint"),
    (subscribed(endpoint="https://push.example.org/" + "x" * 2_048), "/subscription/endpoint"),
    (subscribed(extra=1), "/subscription/extra"), (subscribed(keys=None), "/subscription/keys"),
    (subscribed(keys={"auth": AUTH}), "/subscription/keys/p256dh"),
    (with_key("p256dh", base64url(b"\x02" + bytes(64))), "/subscription/keys/p256dh"),
    (with_key("p256dh", base64url(b"\x04" + bytes(63))), "/subscription/keys/p256dh"),
    (with_key("p256dh", base64url(b"\x04" + bytes(65))), "/subscription/keys/p256dh"),
    (with_key("p256dh", ""), "/subscription/keys/p256dh"), (with_key("p256dh", "é"), "/subscription/keys/p256dh"),
    (with_key("auth", base64url(bytes(15))), "/subscription/keys/auth"),
    (with_key("auth", base64url(bytes(17))), "/subscription/keys/auth"),
    (with_key("auth", AUTH[:-1]), "/subscription/keys/auth"), (with_key("auth", "!" + AUTH), "/subscription/keys/auth"),
    (PHONE | {"name": ""}, "/name"), (PHONE | {"name": "  "}, "/name"), (PHONE | {"name": "x" * 101}, "/name"),
    (PHONE | {"name": "a\nb"}, "/name"), (PHONE | {"name": None}, "/name"),
    (PHONE | {"state": "active"}, "/state"), (PHONE | {"user_id": "x"}, "/user_id"), (PHONE | {"id": "x"}, "/id"),
]  # fmt: skip


def test_what_is_no_device_is_refused_by_name(anna: Person) -> None:
    for body, pointer in REFUSED:
        refused = anna.ask("POST", "/api/devices", body).checked(422)
        assert pointer in {error["pointer"] for error in refused["errors"]}, body
    assert kept(anna.app) == []


def test_a_token_of_another_account_is_sent_nothing_until_it_is_proved(anna: Person, ben: Person) -> None:
    mine = registered(anna)
    theirs = registered(ben)
    assert (theirs["state"], "prove" in theirs["hint"], theirs["id"] in theirs["hint"]) == (UNPROVED, True, True)
    assert (states(anna), states(ben)) == ([ACTIVE], [UNPROVED])
    proved = prove(ben, theirs["id"], proof_for(ben, theirs["id"]))
    assert DeviceOut().validate(proved) == {}
    assert proved["state"] == ACTIVE
    [lost] = listed(anna)
    assert (lost["id"], lost["state"], lost["retired_why"]) == (mine["id"], RETIRED, MOVED)
    assert lost["retired_at"] is not None


def test_an_account_is_told_nothing_of_the_other_one(anna: Person, ben: Person) -> None:
    registered(anna)
    theirs = registered(ben)
    new = registered(ben, PHONE | {"token": TOKEN + "y"})
    assert theirs.keys() == new.keys()
    assert {name: theirs[name] for name in ("retired_at", "retired_why")} == dict.fromkeys(
        ("retired_at", "retired_why")
    )
    said = json.dumps(listed(ben)) + json.dumps(theirs)
    assert anna.email not in said
    assert str(site_of(anna.app).users.find(anna.email).id) not in said


def test_another_spelling_of_an_endpoint_is_no_way_around_the_proof(anna: Person, ben: Person) -> None:
    registered(anna, BROWSER)
    spelled = subscribed(endpoint="https://PUSH.example.org:443/wpush/v2/abc")
    assert registered(ben, spelled)["state"] == UNPROVED


def test_a_token_of_one_provider_is_not_one_of_another() -> None:
    assert hash_of("fcm", "ab" * 16) != hash_of("apns", "ab" * 16)


def test_a_device_that_moved_away_comes_back_only_by_proof(anna: Person, ben: Person) -> None:
    mine, theirs = registered(anna), registered(ben)
    before = proof_for(anna, mine["id"])
    prove(ben, theirs["id"], proof_for(ben, theirs["id"]))
    prove(anna, mine["id"], before, 422)
    again = registered(anna, PHONE, 200)
    assert (again["id"], again["state"], again["retired_at"]) == (mine["id"], UNPROVED, None)
    assert (states(anna), states(ben)) == ([UNPROVED], [ACTIVE])
    prove(anna, mine["id"], proof_for(anna, mine["id"]))
    assert (states(anna), states(ben)) == ([ACTIVE], [RETIRED])


def test_a_device_is_active_once_nobody_else_has_it(anna: Person, ben: Person) -> None:
    mine, theirs = registered(anna), registered(ben)
    assert anna.ask("DELETE", f"/api/devices/{mine['id']}").status == 204
    again = registered(ben, PHONE, 200)
    assert (again["id"], again["state"], again["hint"]) == (theirs["id"], ACTIVE, None)


def test_a_device_that_was_retired_is_active_again_if_nobody_else_has_it(anna: Person) -> None:
    made = registered(anna)
    site = site_of(anna.app)
    assert DeviceRows(site.router, site.mint, site.clock).retire(as_kept(anna, made["id"]), "gone")
    assert states(anna) == [RETIRED]
    again = registered(anna, PHONE, 200)
    assert (again["id"], again["state"], again["retired_why"]) == (made["id"], ACTIVE, None)


def test_only_the_proof_of_a_devices_last_registration_proves_it(anna: Person, ben: Person) -> None:
    mine, theirs = registered(anna), registered(ben)
    before, of_another = proof_for(ben, theirs["id"]), proof_for(anna, mine["id"])
    registered(ben, PHONE, 200)
    for wrong in (before, of_another, "x", "", "é", "a b", before * 20):
        assert ben.ask("POST", f"/api/devices/{theirs['id']}/proof", {"proof": wrong}).status == 422
    assert (states(anna), states(ben)) == ([ACTIVE], [UNPROVED])
    right = proof_for(ben, theirs["id"])
    assert anna.ask("POST", f"/api/devices/{theirs['id']}/proof", {"proof": right}).status == 404
    assert prove(ben, theirs["id"], right) == prove(ben, theirs["id"], right)


def test_a_proof_that_was_cut_short_leaves_the_device_to_nobody_and_can_be_given_again(
    anna: Person, ben: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(anna)
    theirs = registered(ben)

    def away(*_: object) -> None:
        raise Transient("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(DeviceRows, "activate", away)
        prove(ben, theirs["id"], proof_for(ben, theirs["id"]), 503)
    assert (states(anna), states(ben)) == ([RETIRED], [UNPROVED])
    prove(ben, theirs["id"], proof_for(ben, theirs["id"]))
    assert states(ben) == [ACTIVE]


def test_of_two_accounts_that_bring_one_token_at_once_never_both_have_it(
    anna: Person, ben: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = DeviceRows.others

    def meanwhile(rows: DeviceRows, one: Device) -> Any:
        found = look(rows, one)
        monkeypatch.undo()
        registered(ben)
        return found

    monkeypatch.setattr(DeviceRows, "others", meanwhile)
    registered(anna)
    assert sorted([*states(anna), *states(ben)]) == [ACTIVE, UNPROVED]


def test_a_user_has_at_most_so_many_devices_that_are_not_retired(make_app: MakeApp) -> None:
    anna = Person(make_app(devices_per_user=2)).joined()
    bodies = [PHONE | {"token": TOKEN + str(n)} for n in range(4)]
    first, _ = registered(anna, bodies[0]), registered(anna, bodies[1])
    refused = anna.ask("POST", "/api/devices", bodies[2]).checked(422)
    assert refused["type"] == "urn:fms:problem:limit"
    registered(anna, bodies[0], 200)
    site = site_of(anna.app)
    DeviceRows(site.router, site.mint, site.clock).retire(as_kept(anna, first["id"]), "gone")
    registered(anna, bodies[2])
    assert anna.ask("POST", "/api/devices", bodies[3]).status == 422
    assert anna.ask("POST", "/api/devices", bodies[0]).status == 422  # it would be one more that is not retired
    assert states(anna) == [RETIRED, ACTIVE, ACTIVE]


def test_a_device_is_renamed_seen_and_forgotten(anna: Person) -> None:
    made = registered(anna)
    where = f"/api/devices/{made['id']}"
    renamed = anna.ask("PUT", where, {"name": " Phone "}).checked()
    assert (renamed["name"], renamed["registered_at"]) == ("Phone", made["registered_at"])
    assert renamed["seen_at"] > made["seen_at"]
    for body in ({}, {"name": ""}, {"name": "a\tb"}, {"name": "x", "state": "active"}, {"name": "x", "token": TOKEN}):
        assert anna.ask("PUT", where, body).status == 422
    assert anna.ask("DELETE", where).status == 204
    assert (listed(anna), kept(anna.app)) == ([], [])
    assert anna.ask("DELETE", where).status == 404


def test_a_device_of_somebody_else_is_not_there(anna: Person, ben: Person) -> None:
    theirs = registered(ben)
    before = kept(ben.app)
    for where in (theirs["id"], str(MINT.new(1)), "nothing"):
        for method, path, body in (
            ("PUT", "", {"name": "mine"}),
            ("DELETE", "", None),
            ("POST", "/proof", {"proof": proof_for(ben, theirs["id"])}),
        ):
            assert anna.ask(method, f"/api/devices/{where}{path}", body).status == 404
    assert (listed(anna), kept(ben.app)) == ([], before)


def test_logging_out_keeps_devices_and_the_end_of_the_account_does_not(anna: Person, ben: Person) -> None:
    registered(anna)
    theirs = registered(ben, BROWSER)
    anna.ask("POST", "/api/auth/logout-everywhere").checked(204)
    assert states(anna.logged_in()) == [ACTIVE]
    anna.ask("DELETE", "/api/account", {"password": PASSWORD}).checked(204)
    assert [str(row.id) for row in kept(anna.app)] == [theirs["id"]]


def test_nothing_is_registered_for_an_account_that_is_being_deleted(anna: Person, ben: Person) -> None:
    parts = anna.app.extensions["fms"]
    register = Devices.register

    def late(devices: Devices, *args: Any) -> Any:
        parts.accounts.remove(parts.accounts.find(anna.email))
        return register(devices, *args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Devices, "register", late)
        assert anna.ask("POST", "/api/devices", PHONE).status == 401
    assert kept(anna.app) == []
