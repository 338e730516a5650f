"""How far a rebalance has come, in numbers."""

from typing import Any
from uuid import UUID

from fms.rebalance.journal import Job, Move
from fms.rebalance.progress import Pauses, pauses_of, progress_of

BLANK = Move(
    UUID(int=0), 1, 1, "a", "b", (1,), 100, "planned", "planned", 1, 0, None, 0, 0, 0, None, None, None, 0
)  # fmt: skip


def move(number: int, **changes: Any) -> Move:
    """A move of the slot of its number."""
    values: dict[str, Any] = {"number": number, "slots": (number,)}
    return Move(**(vars(BLANK) | values | changes))


def done(number: int, **changes: Any) -> Move:
    values: dict[str, Any] = {"state": "done", "copied_rows": 100, "copy_ms": 900, "pause_ms": 110}
    return move(number, **(values | changes))


def job(state: str = "running", **options: Any) -> Job:
    return Job(1, state, (), (), (), options, 0, 0)


def test_a_job_that_was_not_begun_has_nothing_to_go_by() -> None:
    found = progress_of(job("planned"), [move(1), move(2)], 0)
    assert (found.moves, found.done, found.slots, found.rows) == (2, 0, 2, 200)
    assert (found.rows_per_second, found.seconds_left, found.pauses, found.current) == (None, None, None, ())


def test_what_is_left_takes_as_long_as_what_is_done() -> None:
    found = progress_of(job(), [done(1), move(2), move(3)], 0)
    assert found.seconds_left == 2 * 1.01
    half = move(2, state="copying", copied_rows=50, copy_ms=450)
    assert progress_of(job(), [done(1), half], 0).seconds_left == 1.01 * 51 / 101
    assert progress_of(job("done"), [done(1)], 0).seconds_left == 0


def test_before_a_move_is_done_its_own_speed_counts() -> None:
    found = progress_of(job(), [move(1, state="copying", copied_rows=40, copy_ms=1000)], 0)
    assert (found.rows_per_second, found.seconds_left) == (40, 61 / 40)


def test_moves_at_once_count_where_their_shards_are_not_the_same() -> None:
    left = [move(2), move(3, source="c", target="d")]
    assert progress_of(job(parallel=8), [done(1), *left], 0).seconds_left == 1.01
    assert progress_of(job(parallel=8), [done(1), move(2), move(3)], 0).seconds_left == 2.02


def test_a_move_begun_anew_counts_once_and_by_its_last_try() -> None:
    tries = [move(1, state="aborted", error="slow"), move(3, slots=(1,), attempt=2, state="aborted", error="slower")]
    found = progress_of(job("failed"), [*tries, done(2)], 0)
    assert (found.moves, found.done, found.failed, found.rows) == (2, 1, 1, 200)
    assert [one.error for one in found.failures] == ["slower"]
    again = progress_of(job(), [*tries, done(4, slots=(1,), attempt=3)], 0)
    assert (again.moves, again.done, again.failed) == (1, 1, 0)


def test_moves_under_way_whose_leases_ran_out_are_left() -> None:
    held = move(1, state="copying", lease_until=500)
    assert not progress_of(job(), [held], 499).is_left
    assert progress_of(job(), [held], 500).is_left
    assert not progress_of(job(), [move(1)], 500).is_left, "between two moves nobody has one"


def test_pauses_are_told_by_rank() -> None:
    assert pauses_of([]) is None
    assert pauses_of([7]) == Pauses(7, 7, 7)
    assert pauses_of([*range(200, 0, -1)]) == Pauses(100, 198, 200)
