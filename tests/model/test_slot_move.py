"""The move of a slot is right in every order of its steps, and each guard of it is needed, or said not to be.

What is asserted of a guard that is taken away comes with the shortest way to the fault.
"""

from dataclasses import replace
from itertools import product

import pytest

from tests.model.exploring import BACK, STALE, STUCK, explore
from tests.model.worlds import ABORTED, DONE, Rules

THERE, AND_BACK = Rules(), Rules(moves=2, leases=3)

NEEDED = {
    "the owner is tested in the transaction of the write": (Rules(owner_tested_in_write=False), STALE),
    "there is a second compare, or at least a proof": (Rules(second_compare=False, proof=False), STALE),
    "the target is written with the newest token only": (Rules(token_on_target=False), STALE),
    "the target is tested in the transaction that writes to it": (Rules(target_tested_in_write=False), STALE),
    "a mover that does not know whether its write will land is over": (Rules(unsure_is_over=False), STALE),
    "the catalog decides before the target is activated": (Rules(commit_before_activate=False), STALE),
    "the source is retired before the target is activated": (Rules(retire_before_activate=False), STALE),
    "a fence does not run out": (Rules(fence_never_runs_out=False), STUCK),
    "a successor leaves the fence until it knows the decision": (Rules(successor_keeps_fence=False), STUCK),
    "a sync deletes what the source has lost": (Rules(sync_deletes=False, proof=False), BACK),
    "a proof stops a sync that deletes nothing, and the move cannot go on": (Rules(sync_deletes=False), STUCK),
    "what lies at the target is deleted before the move": (
        Rules(prepare_deletes=False, sync_deletes=False, proof=False, quiet_moves=True, moves=2),
        BACK,
    ),
    "the catalog decides once": (Rules(commit_asks_token=False, commit_asks_state=False), STUCK),
    "the source is fenced by its own move only": (Rules(token_on_source=False, move_on_source=False), STUCK),
    "an abort leaves the copy of a later move alone": (
        Rules(undo_asks_token=False, writes=0, moves=2, leases=3),
        STUCK,
    ),
    "an abort leaves its token at the target": (Rules(abort_leaves_row=False), STUCK),
    "cleaning leaves the owner row": (Rules(cleaning_leaves_row=False), STUCK),
    "the tokens of a later move are higher": (Rules(tokens_of_one_counter=False, writes=0, moves=2, leases=3), STUCK),
    "a higher token counts whatever its move": (Rules(tokens_of_all_moves=False, writes=0, moves=2, leases=3), STUCK),
    "a successor takes an active target for what it is": (Rules(active_target_is_fine=False), STUCK),
    "a version of a key never returns, even if the key is made again": (Rules(versions_never_return=False), STALE),
}
"""What must be found, if nobody sees to what the sentence says."""

SPARE = {
    "the proof finds what no second compare has made equal": Rules(second_compare=False),
    "the second compare leaves nothing for the proof to find": Rules(proof=False),
    "the move on the source does for its token": Rules(token_on_source=False),
    "the token on the source does for its move": Rules(move_on_source=False),
    "a commit that asks for the state need not ask for the token": Rules(commit_asks_token=False),
    "a commit that asks for the token need not ask for the state": Rules(commit_asks_state=False),
    "whoever comes to the end of a move may close it": Rules(close_asks_token=False),
    "a sync deletes what lay at the target before the move": Rules(prepare_deletes=False, moves=2),
    "leftovers gone, a sync has nothing to delete between quiet moves": Rules(
        sync_deletes=False, proof=False, quiet_moves=True, moves=2
    ),
}
"""Guards that others stand in for: without any one of them nothing goes wrong in this scope."""


def check_all_ends(rules: Rules) -> None:
    """Nothing goes wrong, and that is not for want of ends: every move is done in some lives and aborted in others."""
    outcome = explore(rules)
    assert not outcome.fault, str(outcome)
    assert outcome.ends == {ends for moves in range(rules.moves) for ends in product((DONE, ABORTED), repeat=moves + 1)}


def check_spare(guard: str, rules: Rules) -> None:
    outcome = explore(rules)
    assert not outcome.fault, f"not so: {guard}: {outcome}"


@pytest.mark.parametrize("rules", [THERE, AND_BACK], ids=["there", "there and back"])
def test_a_move_is_right_in_every_order_of_its_steps(rules: Rules) -> None:
    check_all_ends(rules)


@pytest.mark.parametrize("guard", NEEDED)
def test_without_a_guard_the_fault_is_found(guard: str) -> None:
    rules, fault = NEEDED[guard]
    outcome = explore(rules)
    assert (outcome.fault, bool(outcome.steps)) == (fault, True), f"{guard}: {outcome}"


@pytest.mark.parametrize("guard", SPARE)
def test_a_guard_that_another_stands_in_for_is_spare(guard: str) -> None:
    check_spare(guard, SPARE[guard])


@pytest.mark.soak
@pytest.mark.parametrize("rules", [replace(THERE, writes=3, leases=3), replace(AND_BACK, writes=3, leases=4)])
def test_a_move_is_right_with_more_writes_and_more_movers(rules: Rules) -> None:
    check_all_ends(rules)


@pytest.mark.soak
@pytest.mark.parametrize("guard", SPARE)
def test_a_spare_guard_is_spare_with_more_writes_there_and_back(guard: str) -> None:
    check_spare(guard, replace(SPARE[guard], writes=3, moves=2, leases=3))
