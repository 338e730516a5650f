"""How many requests a provider takes in a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fms.channels.pace import Pace


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_passes_at_once_and_no_more(clock: Clock) -> None:
    pace = Pace(10, 5, clock)
    assert [pace.take() for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]
    assert pace.rest() == pytest.approx(0.1, abs=1e-5)


def test_many_are_given_as_far_as_they_go(clock: Clock) -> None:
    pace = Pace(10, 5, clock)
    assert (pace.take(3), pace.take(9), pace.take(9)) == (3, 2, 0)


def test_it_fills_as_time_passes_and_never_above_its_burst(clock: Clock) -> None:
    pace = Pace(10, 5, clock)
    pace.take(5)
    clock.now += 0.3
    assert pace.take(5) == 3
    clock.now += 3_600
    assert pace.take(100) == 5


def test_whoever_waits_as_long_as_it_says_is_served(clock: Clock) -> None:
    pace = Pace(7, 1, clock)
    for _ in range(1_000):
        assert pace.take() == 1
        assert pace.take() == 0
        clock.now += pace.rest()


def test_a_provider_that_asks_for_a_pause_gets_it_and_no_burst_after_it(clock: Clock) -> None:
    pace = Pace(10, 5, clock)
    pace.hold(60)
    pace.hold(1)
    clock.now += 59.9
    assert pace.take() == 0
    assert pace.rest() == pytest.approx(0.2, abs=1e-5)
    clock.now += 0.2
    assert pace.take(5) == 1


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 40)), max_size=40))
def test_no_pattern_of_asking_gets_more_than_the_rate_allows(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    pace = Pace(4, 10, clock)
    given_so_far = 0
    for seconds, wanted in steps:
        clock.now += seconds
        given_so_far += pace.take(wanted)
        assert given_so_far <= 10 + 4 * (clock.now - 1_000) + 0.001
