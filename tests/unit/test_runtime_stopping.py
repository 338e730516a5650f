"""When a worker does its chores, and when it ends."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from fms.errors import Disconnected, Fatal, Transient
from fms.ports import Delivery
from fms.runtime.job import Chore
from tests.unit.works import NEXT, PRICES, QUEUE, Works


@pytest.fixture
def works() -> Works:
    return Works()


def test_the_wish_to_stop_lets_the_message_at_hand_be_finished(works: Works) -> None:
    works.publish(*PRICES)

    def stop(_price: int) -> None:
        works.shutdown.wanted = True

    works.stage.before = stop
    works.worker().run()
    assert (works.stage.prices, works.waiting(QUEUE), works.waiting(NEXT)) == ([PRICES[0]], 2, 1)


def test_the_wish_to_stop_ends_a_hold_and_the_message_comes_again(works: Works) -> None:
    works.publish(PRICES[0])

    def stop(_price: int) -> None:
        works.shutdown.wanted = True
        raise Transient("away")

    works.stage.before = stop
    works.worker().run()
    works.broker.cut()
    assert (works.stage.prices, works.waiting(QUEUE)) == ([], 1)


def test_a_drained_worker_begins_before_the_first_message_and_finishes_after_the_last(works: Works) -> None:
    works.publish(*PRICES)
    seen: list[str] = []
    works.job = replace(works.job, begin=lambda: seen.append("begin"), finish=lambda: seen.append("finish"))
    works.stage.before = lambda price: seen.append(str(price))
    works.worker().drain()
    assert seen == ["begin", *map(str, PRICES), "finish"]


def test_what_fails_for_now_at_the_begin_is_tried_again_before_the_first_message(works: Works) -> None:
    works.publish(PRICES[0])
    left = deque([True, True])

    def begin() -> None:
        assert not works.stage.prices
        if left:
            left.pop()
            raise Transient("away")

    works.job = replace(works.job, begin=begin)
    works.worker().drain()
    assert works.stage.prices == [PRICES[0]]
    assert [what for what, _, _ in works.diary.troubles] == ["begin", "begin"]


def test_a_worker_is_drained_only_when_its_queues_are_empty(works: Works) -> None:
    works.publish(*PRICES)
    takes = works.broker.next
    empty_handed = deque([True] * 5)

    def slow(seconds: float) -> Delivery | None:
        """Messages may be on their way to whoever asks."""
        if empty_handed:
            empty_handed.pop()
            works.broker.wait(seconds)
            return None
        return takes(seconds)

    works.broker.next = slow  # type: ignore[method-assign]  # the broker of this test
    works.worker().drain()
    assert works.stage.prices == list(PRICES)


def test_a_message_that_comes_when_the_queue_already_counts_without_it_is_not_left(works: Works) -> None:
    takes = works.broker.next
    asked = iter(range(3))

    def late(seconds: float) -> Delivery | None:
        if next(asked, None) == 1:
            works.publish(PRICES[0])
        return takes(seconds)

    works.broker.next = late  # type: ignore[method-assign]  # the broker of this test
    works.worker().drain()
    assert works.stage.prices == [PRICES[0]]


def test_chores_are_done_when_they_are_due(works: Works) -> None:
    times: list[float] = []
    works.job = replace(works.job, chores=[Chore("look", 2.0, lambda: times.append(works.time.seconds))])
    works.stop_when_idle(beats=24)
    works.worker().run()
    assert len(times) == 3
    assert all(2 <= after - before < 2.5 for before, after in pairwise(times))


def test_a_chore_that_fails_for_now_stops_nothing(works: Works) -> None:
    def fail() -> None:
        raise Transient("away")

    works.publish(*PRICES)
    works.job = replace(works.job, chores=[Chore("look", 5.0, fail)])
    works.stop_when_idle()
    works.worker().run()
    assert (works.stage.prices, works.diary.troubles) == (list(PRICES), [("look", "away", 5.0)])


def test_a_long_chore_is_done_a_second_at_a_time_between_messages_and_due_again_after_its_last_step(
    works: Works,
) -> None:
    seen: list[tuple[str, float]] = []

    def steps() -> Iterator[None]:
        seen.append(("begun", works.time.seconds))
        for _ in range(10):
            works.time.seconds += 0.4
            works.publish(PRICES[0])
            yield
        seen.append(("through", works.time.seconds))

    works.stage.before = lambda _price: seen.append(("message", works.time.seconds))
    works.job = replace(works.job, chores=[Chore("tell", 5.0, steps)])
    works.stop_when_idle(beats=40)
    works.worker().run()
    first = seen[: seen.index(("through", 4.25)) + 1]
    begun = [seconds for what, seconds in seen if what == "begun"]
    assert Counter(what for what, _ in first) == {"begun": 1, "message": 3, "through": 1}
    assert begun == [0.25, 9.25]
    assert len(works.stage.prices) == 20


def test_a_long_chore_that_fails_for_now_begins_anew_when_it_is_due(works: Works) -> None:
    begun: list[float] = []

    def steps() -> Iterator[None]:
        begun.append(works.time.seconds)
        works.time.seconds += 1.0
        yield
        raise Transient("away")

    works.job = replace(works.job, chores=[Chore("tell", 5.0, steps)])
    works.stop_when_idle(beats=25)
    works.worker().run()
    assert works.diary.troubles[0] == ("tell", "away", 5.0)
    assert begun == [0.25, 6.25]


def test_what_nobody_can_mend_ends_the_worker_with_its_message_left(works: Works) -> None:
    def fail(_price: int) -> None:
        raise Fatal("no")

    works.publish(PRICES[0])
    works.stage.before = fail
    with pytest.raises(Fatal):
        works.worker().run()
    works.broker.cut()
    assert works.waiting(QUEUE) == 1


def test_a_broker_that_is_away_is_waited_for(works: Works) -> None:
    works.publish(PRICES[0])
    takes = works.broker.next
    away = deque([True] * 3)

    def absent(seconds: float) -> Delivery | None:
        if away:
            away.pop()
            raise Disconnected("away")
        return takes(seconds)

    works.broker.next = absent  # type: ignore[method-assign]  # the broker of this test
    works.stop_when_idle(beats=40)
    works.worker().run()
    assert works.stage.prices == [PRICES[0]]
    assert works.diary.troubles == [("broker", "away", seconds) for seconds in (1, 2, 4)]
