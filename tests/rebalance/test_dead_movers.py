"""Movers that are killed, stand still or are told to abort, at the commits that they make, while people write.

In a short run some of the commits are chosen, in the soak it is every one, on both sides.
"""

import signal
from collections.abc import Sequence

import pytest

from fms.rebalance.journal import Job
from tests.rebalance.dying import STANDS, Fate, Movers
from tests.rebalance.ground import Ground, under_fire

FEWEST, COMMITS = 15, 28
"""Fewer, and more, than a mover makes for one move."""

SOME = pytest.param(9, id="some")
EACH = pytest.param(1, id="each", marks=[pytest.mark.soak, pytest.mark.timeout(1_800)])


def fates(every: int) -> Sequence[Fate]:
    """Before and after a commit, for some of them."""
    return [Fate(place // 2 + 1, before=place % 2 == 0) for place in range(0, COMMITS * 2, every)]


def ended(movers: Movers, ground: Ground, job: Job, act: str = "carry") -> str:
    """Let other movers go on until the job has ended; answers the end of its move."""
    for _ in range(10):
        if ground.job(job.id)[0].state not in ("running", "aborting"):
            break
        movers.run(ground.options, Fate(), act)
    now, moves = ground.job(job.id)
    assert now.state in ("done", "aborted"), [(move.state, move.error) for move in moves]
    return moves[-1].state


@pytest.mark.timeout(300)
@pytest.mark.parametrize("every", [SOME, EACH])
def test_a_mover_killed_at_any_commit_leaves_a_move_that_another_one_ends(
    ground: Ground, movers: Movers, every: int
) -> None:
    codes = []
    with under_fire(ground):
        for fate in fates(every):
            job = ground.begin()
            codes.append(movers.run(ground.options, fate))
            assert ended(movers, ground, job) == "done"
    # How many commits it makes depends on what people write meanwhile.
    met = [code == -signal.SIGKILL for code in codes]
    assert all(met[: 2 * FEWEST // every])
    assert set(codes) == {-signal.SIGKILL, 0}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("every", [SOME, EACH])
def test_a_move_whose_mover_was_killed_at_any_commit_can_be_aborted_until_it_is_decided(
    ground: Ground, movers: Movers, every: int
) -> None:
    ends = []
    with under_fire(ground):
        for fate in fates(every):
            job = ground.begin()
            movers.run(ground.options, fate)
            ends.append(ended(movers, ground, job, "abort"))
    # What nobody had begun is not made, and what was decided before is brought to its end.
    assert set(ends) == {"cancelled", "aborted", "done"}
    assert (ends[0], ends[-1]) == ("cancelled", "done")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("every", [SOME, EACH])
def test_a_mover_that_wakes_up_after_another_has_ended_its_move_changes_nothing(
    ground: Ground, movers: Movers, every: int
) -> None:
    with under_fire(ground):
        for nth in range(3, COMMITS, every):
            jobs = [ground.begin()]
            # Not in the middle of a transaction: in a file that would keep everybody else out.
            asleep = movers.begin(ground.options, Fate(nth, before=False, by=signal.SIGSTOP), "one move")
            stands = movers.ended(asleep) == STANDS
            assert ended(movers, ground, jobs[0]) == "done"
            if not stands:
                break
            jobs.append(ground.begin())
            assert ended(movers, ground, jobs[1]) == "done"
            movers.wake(asleep)
            assert movers.ended(asleep) != STANDS
            assert [ground.job(one.id)[0].state for one in jobs] == ["done", "done"]
