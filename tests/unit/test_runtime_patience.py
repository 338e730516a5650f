"""Trying again, for as long as it takes."""

from collections.abc import Callable

import pytest

from fms.errors import Disconnected, Fatal, Transient
from fms.queues.memory import MemoryQueues
from fms.runtime.patience import TICK_SECONDS, Patience
from fms.runtime.shutdown import Shutdown
from tests.unit.runtime_tools import STEADY, Diary, Time, WaitingBroker


class Room:
    """Patience, and all around it."""

    def __init__(self) -> None:
        self.time = Time()
        self.broker = WaitingBroker(MemoryQueues())
        self.broker.time = self.time
        self.shutdown = Shutdown()
        self.diary = Diary()
        self.patience = Patience(self.broker, self.shutdown, self.diary, self.time.now, STEADY)


@pytest.fixture
def room() -> Room:
    return Room()


def failing(times: int) -> Callable[[], None]:
    left = iter(range(times))

    def do() -> None:
        if next(left, None) is not None:
            raise Transient("away")

    return do


def test_what_succeeds_is_done_once(room: Room) -> None:
    assert room.patience.insist("it", failing(0))
    assert (room.time.seconds, room.diary.troubles) == (0, [])


def test_what_fails_for_now_is_done_until_it_succeeds_with_waits_that_grow(room: Room) -> None:
    assert room.patience.insist("it", failing(5))
    assert room.diary.troubles == [("it", "away", seconds) for seconds in (1, 2, 4, 8, 8)]
    assert room.time.seconds == 23


def test_while_it_waits_the_process_gives_signs_of_life(room: Room) -> None:
    room.patience.wait(10)
    assert room.diary.beats >= 10 / TICK_SECONDS


def test_the_wish_to_stop_ends_every_try(room: Room) -> None:
    def ask_and_fail() -> None:
        room.shutdown.wanted = True
        raise Transient("away")

    assert not room.patience.insist("it", ask_and_fail)
    assert room.time.seconds == 0
    assert not room.patience.insist("it", failing(0))


def test_a_connection_that_is_lost_while_it_waits_is_not_minded(room: Room) -> None:
    room.broker.lost = True
    assert room.patience.insist("it", failing(1))
    assert room.diary.troubles == [("it", "away", 1), ("broker", "lost", 0)]


def test_whoever_waits_by_itself_is_told_that_the_connection_is_lost(room: Room) -> None:
    room.broker.lost = True
    with pytest.raises(Disconnected):
        room.patience.wait(1)


def test_what_cannot_be_mended_is_not_tried_again(room: Room) -> None:
    def do() -> None:
        raise Fatal("no")

    with pytest.raises(Fatal):
        room.patience.insist("it", do)
