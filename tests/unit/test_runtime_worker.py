"""What a worker does with messages: it carries them through, holds them, puts them off or buries them."""

import pytest

from fms.errors import Fatal, Transient
from fms.ports import Delivery, Headers
from fms.queues.admin import CAME_FROM, REASON
from fms.workers import ATTEMPT, putter_off
from tests.unit.works import DEAD, NEXT, POISON, PRICES, QUEUE, Works


@pytest.fixture
def works() -> Works:
    return Works()


def test_messages_are_carried_through_in_their_order(works: Works) -> None:
    works.publish(*PRICES)
    works.worker().drain()
    assert (works.stage.prices, works.stage.settled) == (list(PRICES), 3)
    assert (works.waiting(QUEUE), works.waiting(NEXT)) == (0, 3)


def test_a_message_that_fails_for_now_is_held_and_nothing_overtakes_it(works: Works) -> None:
    works.publish(*PRICES)
    works.stage.fail(PRICES[0], PRICES[0], PRICES[1])
    works.worker().drain()
    assert works.stage.prices == list(PRICES)
    assert [seconds for _, seconds in works.diary.holds] == [1, 2, 1]


def test_a_next_queue_that_is_full_holds_the_message(works: Works) -> None:
    works.queues.limit = 1
    works.publish(PRICES[0])
    works.broker.publish(NEXT, b"", {})
    hold = works.diary.held

    def make_room(delivery: Delivery, error: Transient, seconds: float) -> None:
        hold(delivery, error, seconds)
        works.queues.waiting[NEXT].clear()

    works.diary.held = make_room  # type: ignore[method-assign]  # the diary of this test
    works.worker().drain()
    assert (works.stage.prices, works.stage.settled, works.waiting(NEXT)) == ([PRICES[0]] * 2, 1, 1)


def test_where_order_does_not_matter_a_message_is_put_off_and_those_behind_it_go_first() -> None:
    works = Works(puts_off=True)
    works.publish(*PRICES)
    works.stage.fail(PRICES[0])
    works.worker().drain()
    assert works.stage.prices == [*PRICES[1:], PRICES[0]]
    assert [seconds for _, seconds in works.diary.holds] == [0]


def test_a_message_that_is_put_off_says_how_often() -> None:
    works = Works(puts_off=True)
    works.publish(PRICES[0])
    works.stage.fail(*PRICES[:1] * 9)
    found = []
    put_off = putter_off(works.broker)

    def noted(delivery: Delivery) -> None:
        found.append(delivery.headers.get(ATTEMPT, 0))
        put_off(delivery)

    works.worker(put_off=noted).drain()
    assert found == list(range(9))


def test_a_message_that_cannot_be_put_off_is_held() -> None:
    works = Works(puts_off=True)
    works.publish(PRICES[0])
    publish = works.broker.publish

    def refuse_what_is_put_off(queue: str, body: bytes, headers: Headers, after: int = 0) -> None:
        if after:
            raise Transient("the queue takes no more messages")
        publish(queue, body, headers, after)

    works.broker.publish = refuse_what_is_put_off  # type: ignore[method-assign]  # the broker of this test
    works.stage.fail(PRICES[0], PRICES[0])
    works.worker().drain()
    assert (works.stage.prices, works.waiting(NEXT)) == ([PRICES[0]], 1)
    assert [seconds for _, seconds in works.diary.holds] == [1, 2]


def test_what_cannot_be_decoded_is_buried_with_the_reason_and_the_rest_goes_on(works: Works) -> None:
    works.broker.publish(QUEUE, POISON, {"fms.run": "x"})
    works.publish(PRICES[0])
    works.worker().drain()
    [(body, headers)] = works.queues.waiting[DEAD]
    assert (body, headers[CAME_FROM], headers["fms.run"]) == (POISON, QUEUE, "x")
    assert "expected a message of change batches" in str(headers[REASON])
    assert (works.diary.buried_bodies, works.stage.prices) == ([POISON], [PRICES[0]])


def test_a_worker_that_would_bury_more_than_the_limit_stops_and_leaves_the_rest(works: Works) -> None:
    for _ in range(3):
        works.broker.publish(QUEUE, POISON, {})
    with pytest.raises(Fatal, match="dead_letter_limit"):
        works.worker(dead=2).drain()
    works.broker.cut()
    assert (works.waiting(DEAD), works.waiting(QUEUE)) == (2, 1)


def test_a_message_whose_connection_is_lost_comes_again(works: Works) -> None:
    works.publish(*PRICES[:2])

    def lose(_price: int) -> None:
        works.stage.before = lambda _price: None
        works.broker.cut()

    works.stage.before = lose
    works.worker().drain()
    assert works.stage.prices == [PRICES[0], *PRICES[:2]]
    assert works.waiting(QUEUE) == 0


def test_a_connection_that_is_lost_while_a_message_is_held_ends_the_hold(works: Works) -> None:
    works.publish(PRICES[0])
    works.stage.fail(PRICES[0])
    works.broker.lost = True
    works.worker().drain()
    assert works.stage.prices == [PRICES[0]]
    assert ("drain", "lost", 1) in works.diary.troubles


def test_a_message_of_another_kind_is_buried(works: Works) -> None:
    works.broker.publish(QUEUE, b"", {"fms.kind": "outbox", "fms.version": 1})
    works.worker().drain()
    assert works.waiting(DEAD) == 1
