"""The adapters in memory: what the contract suites, which run on them too, do not see."""

import subprocess
import sys

import pytest

from fms.db.memory.notifications import MemoryNotifications
from fms.db.memory.shard import MemoryShard
from fms.db.memory.users import MemoryUsers
from fms.errors import NotFound
from fms.model.user import User
from fms.ports import Pushed
from tests.builders import MINT, MONDAY
from tests.contracts.town import MemoryTown


def test_they_need_no_sql() -> None:
    modules = ["alerts", "matching", "notifications", "users"]
    lines = ["import sys", *[f"import fms.db.memory.{name}" for name in modules], "print('sqlalchemy' in sys.modules)"]
    done = subprocess.run([sys.executable, "-c", "; ".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_user_is_found_by_an_address_in_any_case_and_made_once() -> None:
    users = MemoryUsers(MemoryShard(), MINT)
    made = users.find_or_add("Me@Example.org")
    assert users.find_or_add("me@example.org") == made
    assert users.find("ME@example.org") == made
    with pytest.raises(NotFound):
        users.find("you@example.org")


def test_a_user_who_is_not_there_is_not_changed_into_being() -> None:
    shard = MemoryShard()
    MemoryUsers(shard, MINT).change(User(MINT.new(1), "me@example.org"))
    assert shard.users == {}


def test_what_is_not_in_an_inbox_any_more_is_not_written_into_it() -> None:
    town, emptied = MemoryTown(), MemoryShard()
    town.add()
    town.falls(price=39_000)
    town.notify.sweep()
    [row] = town.notifications.all()
    MemoryNotifications(emptied).write(row.message.user_id, [row], Pushed(MINT.new(1), MONDAY))
    assert (emptied.inbox, len(emptied.pushes)) == ({}, 1)
