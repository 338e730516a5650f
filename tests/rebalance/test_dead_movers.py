"""Movers that are killed, stand still or are told to abort, at every commit that they make, while people write."""

import signal
from collections.abc import Iterator

import pytest

from fms.rebalance.journal import Job
from tests.rebalance.dying import REFUSED, STANDS, Fate, Movers
from tests.rebalance.ground import Ground, under_fire

MOST_COMMITS = 40


def fates(request: pytest.FixtureRequest, by: int = signal.SIGKILL) -> Iterator[Fate]:
    """Before and after each commit; on files, where it takes longer, at every third of these in a short run."""
    step = 1 if "postgres" in request.node.name or request.node.get_closest_marker("soak") else 3
    for place in range(0, MOST_COMMITS * 2, step):
        yield Fate(place // 2 + 1, before=place % 2 == 0, by=by)


def ended(movers: Movers, ground: Ground, job: Job, act: str = "carry") -> str:
    """Let other movers go on until the job has ended; answers how."""
    for _ in range(10):
        if ground.job(job.id)[0].state not in ("running", "aborting"):
            break
        movers.run(ground.options, Fate(), act)
    now, moves = ground.job(job.id)
    assert now.state in ("done", "aborted"), [(move.state, move.error) for move in moves]
    return now.state


@pytest.mark.timeout(900)
def test_a_mover_killed_at_any_commit_leaves_a_move_that_another_one_ends(
    ground: Ground, movers: Movers, request: pytest.FixtureRequest
) -> None:
    struck = 0
    with under_fire(ground):
        for fate in fates(request):
            job = ground.begin()
            code = movers.run(ground.options, fate)
            assert ended(movers, ground, job) == "done"
            if code == 0:
                break
            assert code == -signal.SIGKILL
            struck += 1
    assert struck > 10


@pytest.mark.timeout(900)
def test_a_move_whose_mover_was_killed_at_any_commit_can_be_aborted_until_it_is_decided(
    ground: Ground, movers: Movers, request: pytest.FixtureRequest
) -> None:
    ends = []
    with under_fire(ground):
        for fate in list(fates(request))[::2]:
            job = ground.begin()
            code = movers.run(ground.options, fate)
            if code == 0:
                break
            ends.append(ended(movers, ground, job, "abort"))
    # What was decided before is brought to its end.
    assert {*ends} == {"aborted", "done"}
    assert ends == sorted(ends)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("nth", [2, 5, 8, 10, 11, 12, 13, 14])
def test_a_mover_that_wakes_up_after_another_has_ended_its_move_changes_nothing(
    ground: Ground, movers: Movers, nth: int
) -> None:
    with under_fire(ground):
        job = ground.begin()
        # Not in the middle of a transaction: in a file that would keep everybody else out.
        asleep = movers.begin(ground.options, Fate(nth, before=False, by=signal.SIGSTOP))
        assert movers.ended(asleep) == STANDS
        assert ended(movers, ground, job) == "done"
        again = ground.begin()
        assert ended(movers, ground, again) == "done"
        movers.wake(asleep)
        assert movers.ended(asleep) in (0, REFUSED)
        assert [ground.job(one.id)[0].state for one in (job, again)] == ["done", "done"]
