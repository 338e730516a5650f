"""How long to wait before the next try."""

from itertools import pairwise

from fms.runtime.retry import Backoff


def waits(backoff: Backoff, tries: int) -> list[float]:
    return [backoff.seconds(number) for number in range(1, tries + 1)]


def test_waits_double_up_to_the_longest() -> None:
    assert waits(Backoff(first=1, most=6, chance=lambda: 0.0), 5) == [1, 2, 4, 6, 6]


def test_chance_shortens_a_wait_by_up_to_a_half() -> None:
    assert waits(Backoff(first=1, most=6, chance=lambda: 1.0), 4) == [0.5, 1, 2, 3]
    assert all(0.05 <= wait <= 0.1 for wait in waits(Backoff(), 1))


def test_ever_so_many_tries_wait_the_longest_time() -> None:
    assert Backoff(chance=lambda: 0.0).seconds(100_000) == Backoff().most


def test_no_wait_is_shorter_than_half_the_one_before() -> None:
    found = waits(Backoff(), 40)
    assert all(after >= before / 2 for before, after in pairwise(found))
