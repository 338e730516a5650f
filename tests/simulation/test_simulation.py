"""Whatever strikes the workers, what becomes of alerts and messages is what would have become of them undisturbed."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.simulation.faults import STEPS
from tests.simulation.schedules import FORGETFUL, lived
from tests.simulation.shortcuts import Shortcuts
from tests.simulation.strands import Strands
from tests.simulation.world import Kind

ONE_SEED = os.environ.get("FMS_SIM_SEED")
"""``FMS_SIM_SEED=1234 pytest tests/simulation/test_simulation.py`` lives the life of one seed again."""

LIVES = 500
MANY_LIVES = 64 * LIVES
LEAST_AT_A_POINT, LEAST_OF_A_SORT = 20, 3
"""In a thousand lives."""
FORGOTTEN = ("restarted", "gone back", "emptied", "lost")


@pytest.fixture
def shortcuts() -> Iterator[Shortcuts]:
    made = Shortcuts()
    with made.taken():
        yield made


def live(seeds: Sequence[int], shortcuts: Shortcuts, kind: Kind | None = None) -> Counter[str] | None:
    """Live many lives; answers what struck. A seed that was asked for is lived alone, and answers nothing."""
    struck: Counter[str] = Counter()
    for seed in [int(ONE_SEED)] if ONE_SEED else seeds:
        try:
            lived(seed, struck, shortcuts, kind=kind)
        except Exception as error:
            error.add_note(f"FMS_SIM_SEED={seed} lives this life again")
            raise
    return None if ONE_SEED else struck


def check_not_blind(struck: Counter[str], lives: int) -> None:
    """Faults struck at every point, and every sort of fault where it belongs."""
    share = lives / 1_000
    points = Counter({point: sum(n for what, n in struck.items() if what.startswith(f"{point}: ")) for point in STEPS})
    seldom = {point: n for point, n in points.items() if n < LEAST_AT_A_POINT * share}
    sorts = {f"{point}: {sort}" for point, some in STEPS.items() for sort in some}
    assert not seldom | {sort: struck[sort] for sort in sorts if struck[sort] < LEAST_OF_A_SORT * share}


@pytest.mark.parametrize("first", [0, LIVES])
def test_whatever_strikes_nothing_is_lost_and_nothing_is_doubled(first: int, shortcuts: Shortcuts) -> None:
    struck = live(range(first, first + LIVES), shortcuts)
    if struck is not None:
        check_not_blind(struck, LIVES)


def test_whatever_the_price_book_forgets_no_firing_is_missing(shortcuts: Shortcuts) -> None:
    struck = live(range(LIVES // 2), shortcuts, FORGETFUL)
    if struck is not None:
        assert min(struck[f"book: {what}"] for what in FORGOTTEN) > LIVES // 20


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("kind", [None, FORGETFUL])
def test_in_tens_of_thousands_of_lives_nothing_is_lost_either(kind: Kind | None, shortcuts: Shortcuts) -> None:
    live(range(MANY_LIVES), shortcuts, kind)


def test_a_life_is_the_same_whenever_it_is_lived(shortcuts: Shortcuts, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    run = Strands.run

    def noted(self: Strands, *works: object) -> None:
        run(self, *works)  # type: ignore[arg-type]  # whatever works
        turns.append(self.turns)

    monkeypatch.setattr(Strands, "run", noted)
    found = []
    for _ in range(2):
        struck: Counter[str] = Counter()
        for seed in range(40, 60):
            lived(seed, struck, shortcuts)
        found.append((list(turns), struck))
        turns.clear()
    assert found[0] == found[1]
