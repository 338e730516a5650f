"""The circuit of one host."""

import pytest

from fms.channels.breaker import Breaker, Patience, State

PATIENCE = Patience(failures=3, window_seconds=10, rest_seconds=20)


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, PATIENCE)


def broken(breaker: Breaker) -> Breaker:
    for _ in range(PATIENCE.failures):
        breaker.failed()
    return breaker


def test_a_new_circuit_is_closed_and_lets_all_pass(breaker: Breaker) -> None:
    assert breaker.state is State.CLOSED
    assert all(breaker.admits() for _ in range(100))
    assert breaker.rest() == 0


def test_it_opens_at_the_failure_that_is_one_too_many(breaker: Breaker) -> None:
    breaker.failed()
    breaker.failed()
    assert breaker.admits()
    breaker.failed()
    assert breaker.state is State.OPEN
    assert not breaker.admits()
    assert breaker.rest() == 20


def test_few_failures_among_many_successes_do_not_open_it(breaker: Breaker) -> None:
    for _ in range(100):
        breaker.succeeded()
        breaker.succeeded()
        breaker.failed()
    assert breaker.state is State.CLOSED


def test_a_host_that_breaks_down_opens_it_whatever_it_did_long_before(breaker: Breaker, clock: Clock) -> None:
    for _ in range(1_000):
        breaker.succeeded()
    clock.now += 16
    assert broken(breaker).state is State.OPEN


def test_failures_far_apart_do_not_add_up(breaker: Breaker, clock: Clock) -> None:
    for _ in range(20):
        breaker.failed()
        clock.now += 8
        assert breaker.state is State.CLOSED


def test_failures_within_the_window_add_up(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
        clock.now += 4.9
    assert breaker.state is State.OPEN


def test_after_its_rest_one_request_passes_and_no_other(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += 19.9
    assert not breaker.admits()
    clock.now += 0.1
    assert breaker.state is State.HALF_OPEN
    assert [breaker.admits() for _ in range(4)] == [True, False, False, False]
    assert breaker.rest() == 20


def test_the_success_of_that_one_closes_it_and_forgets_the_failures(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += 20
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.state is State.CLOSED
    breaker.failed()
    breaker.failed()
    assert breaker.state is State.CLOSED


def test_the_failure_of_that_one_opens_it_for_another_rest(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += 20
    assert breaker.admits()
    breaker.failed()
    assert breaker.state is State.OPEN
    assert breaker.rest() == 20


def test_outcomes_from_before_it_opened_change_nothing(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += 10
    breaker.succeeded()
    assert not breaker.admits()
    breaker.failed()
    assert breaker.rest() == 10
    clock.now += 10
    breaker.succeeded()
    assert breaker.state is State.HALF_OPEN


def test_a_request_of_which_nothing_is_heard_makes_room_for_another(breaker: Breaker, clock: Clock) -> None:
    broken(breaker)
    clock.now += 20
    assert breaker.admits()
    clock.now += 20
    assert breaker.admits()
