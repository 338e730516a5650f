"""What a user reads, registers and prefers, in shards of both kinds, also by several at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from uuid import UUID

import pytest

from fms.accounts.devices import Devices, TooManyDevices, address_of_token, proof_of
from fms.accounts.keys import Keys
from fms.db.accounts import AccountRows
from fms.db.devices import DeviceRows
from fms.db.inbox_pages import InboxFilter, InboxPages
from fms.db.users import Users
from fms.errors import Invalid, NotFound
from fms.model.change import FELL
from fms.model.clock import HOUR_MS, system_clock
from fms.model.device import ACTIVE, MOVED, RETIRED, UNPROVED, Device
from fms.model.ids import slot_of_id
from fms.model.user import User
from tests.builders import MINT, MONDAY, change, change_batch
from tests.contracts.homes import harm
from tests.contracts.town import SqlTown

TOKEN = address_of_token("fcm", "x" * 40)
TICKS = count(1)


@pytest.fixture
def rows(town: SqlTown) -> DeviceRows:
    return DeviceRows(town.router, MINT, lambda: next(TICKS))


@pytest.fixture
def devices(rows: DeviceRows) -> Devices:
    return Devices(rows, KEYS, 3)


KEYS = Keys(("k" * 32,))


def people(town: SqlTown, number: int = 2) -> list[User]:
    """Users of slots that lie in different shards, if there are several."""
    return [town.users.find_or_add(f"user{n}@example.org") for n in range(number)]


def inbox(town: SqlTown) -> InboxPages:
    return InboxPages(town.router, lambda: MONDAY)


def fired(town: SqlTown, times: int) -> UUID:
    """An alert fires in so many hours; answers its user."""
    made = town.add()
    [first] = town.match.process(change_batch([change(FELL, 90_000, price=39_000)])).rows()
    slot = slot_of_id(made.id)
    later = [replace(first, notification_id=MINT.new(slot), hour=first.hour + hour) for hour in range(1, times)]
    assert town.notifications.hand_over([first, *later]) == times
    return made.user_id


def test_an_inbox_is_read_page_by_page_the_newest_first(town: SqlTown) -> None:
    user_id, found, after = fired(town, 5), [], None
    while True:
        page = inbox(town).page(user_id, InboxFilter(), limit=2, after=after)
        found.append([row.message.hour - MONDAY // HOUR_MS for row in page.rows])
        if page.after is None:
            break
        after = page.after
    assert found == [[4, 3], [2, 1], [0]]


def test_what_was_read_is_marked_once_and_counted_no_more(town: SqlTown) -> None:
    user_id = fired(town, 3)
    page = inbox(town).page(user_id, InboxFilter(), limit=10, after=None)
    newest, middle, _ = [row.message.notification_id for row in page.rows]
    assert inbox(town).unread(user_id) == 3
    assert inbox(town).mark(user_id, newest, read=True).read_at == MONDAY
    assert InboxPages(town.router, lambda: MONDAY + 1).mark(user_id, newest, read=True).read_at == MONDAY
    assert inbox(town).mark_all(user_id, middle) == 0
    assert inbox(town).mark(user_id, middle, read=False).read_at is None
    assert inbox(town).unread(user_id) == 1
    assert [
        row.message.notification_id
        for row in inbox(town).page(user_id, InboxFilter(unread=True), limit=10, after=None).rows
    ] == [middle]


def test_a_notification_of_somebody_else_is_not_there(town: SqlTown) -> None:
    user_id, stranger = fired(town, 1), town.users.find_or_add("stranger@example.org").id
    [row] = inbox(town).page(user_id, InboxFilter(), limit=10, after=None).rows
    theirs = row.message.notification_id
    for ask in (
        lambda: inbox(town).get(stranger, theirs),
        lambda: inbox(town).mark(stranger, theirs, read=True),
        lambda: inbox(town).mark_all(stranger, theirs),
    ):
        with pytest.raises(NotFound):
            ask()
    assert inbox(town).unread(user_id) == 1


def test_reading_and_telling_at_once_leave_everything_told_and_read(town: SqlTown) -> None:
    user_id = fired(town, 6)
    with ThreadPoolExecutor(2) as pool:
        telling = pool.submit(town.notify.deliver, MONDAY + 6 * HOUR_MS)
        left = [inbox(town).mark_all(user_id, None) for _ in range(5)]
        telling.result()
    assert left == [0] * 5
    assert {status for _, status in town.statuses()} == {"superseded", "sent"}
    assert inbox(town).unread(user_id) == 0


def test_a_token_is_found_in_every_shard_and_moves_by_proof(town: SqlTown, devices: Devices) -> None:
    users = people(town, 4)
    registered = [devices.register(user.id, TOKEN, "phone")[0] for user in users]
    assert [one.state for one in registered] == [ACTIVE, UNPROVED, UNPROVED, UNPROVED]
    proved = devices.prove(users[2].id, registered[2].id, proof_of(registered[2], KEYS))
    assert proved.state == ACTIVE
    after = [devices.all(user.id)[0] for user in users]
    assert [(one.state, one.retired_why) for one in after] == [(RETIRED, MOVED)] * 2 + [(ACTIVE, None)] + [
        (RETIRED, MOVED)
    ]


LEFT = (
    "INSERT INTO device (id, slot, user_id, provider, token, token_hash, name, state, registered_at, seen_at, version)"
    " VALUES (:id, :slot, :user_id, 'fcm', '', :token_hash, 'phone', 'active', 1, 1, 1)"
)


def test_a_row_that_a_move_left_behind_holds_nobody_back(town: SqlTown, devices: Devices) -> None:
    anna, ben = people(town)
    slot = slot_of_id(anna.id)
    for shard in town.router.all():
        if shard.name != town.router.of(slot).name:
            row = {"id": MINT.new(slot).hex, "slot": slot, "user_id": anna.id.hex, "token_hash": TOKEN.hash}
            harm(shard.engine, LEFT, **row)
    assert devices.register(ben.id, TOKEN, "phone")[0].state == ACTIVE


def test_of_many_accounts_that_bring_one_token_at_once_at_most_one_has_it(town: SqlTown, devices: Devices) -> None:
    users = people(town, 6)
    for n in range(5):
        token = address_of_token("fcm", f"{n}" * 40)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda user, token=token: devices.register(user.id, token, "phone"), users))
        mine = [one for user in users for one in devices.all(user.id) if one.token_hash == token.hash]
        assert sum(one.state == ACTIVE for one in mine) <= 1
        for user in users:
            for one in devices.all(user.id):
                devices.delete(user.id, one.id)


def test_of_many_who_prove_one_token_at_once_at_most_one_has_it(town: SqlTown, devices: Devices) -> None:
    users = people(town, 5)
    registered = [devices.register(user.id, TOKEN, "phone")[0] for user in users]

    def prove(one: Device) -> None:
        with suppress(Invalid):
            devices.prove(one.user_id, one.id, proof_of(one, KEYS))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(prove, registered[1:]))
    assert sum(devices.all(user.id)[0].state == ACTIVE for user in users) <= 1


def test_a_limit_holds_for_many_who_register_at_once(town: SqlTown, devices: Devices) -> None:
    [user] = people(town, 1)

    def register(n: int) -> bool:
        try:
            devices.register(user.id, address_of_token("fcm", f"{n}" * 40), "phone")
        except TooManyDevices:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(register, range(1, 9))) == 3
    assert len(devices.all(user.id)) == 3


def test_a_device_that_was_registered_again_is_not_made_active_by_an_older_look(
    town: SqlTown, rows: DeviceRows, devices: Devices
) -> None:
    anna, ben = people(town)
    devices.register(anna.id, TOKEN, "phone")
    seen, _ = devices.register(ben.id, TOKEN, "phone")
    devices.register(ben.id, TOKEN, "phone")
    assert not rows.activate(seen)
    assert rows.get(ben.id, seen.id).state == UNPROVED


def test_nothing_is_registered_for_an_account_that_is_closed(town: SqlTown, devices: Devices) -> None:
    [user] = people(town, 1)
    AccountRows(town.router, MINT, lambda: MONDAY).close(user.id)
    with pytest.raises(NotFound):
        devices.register(user.id, TOKEN, "phone")
    with pytest.raises(NotFound):
        devices.register(MINT.new(1), TOKEN, "phone")
    assert devices.all(user.id) == []


def test_no_change_of_preferences_is_lost(town: SqlTown) -> None:
    users = Users(town.router, MINT, system_clock)
    [user] = people(town, 1)

    def one_more(_: int) -> None:
        users.change_with(user.id, lambda now: replace(now, daily_cap=(now.daily_cap or 0) + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one_more, range(24)))
    changed = users.find(user.email)
    assert (changed.daily_cap, changed.version) == (24, user.version + 24)
    assert users.change_with(user.id, lambda now: now) == changed
    with pytest.raises(NotFound):
        users.change_with(MINT.new(1), lambda now: now)
