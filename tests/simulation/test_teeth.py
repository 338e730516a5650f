"""The simulation finds what goes wrong without a guard: each of these bugs within its ordinary number of lives."""

from collections import Counter
from collections.abc import Callable

import pytest

from fms.stages.concerning import RouteChanges
from tests.forgetful import ForgetfulPageStore
from tests.simulation import bugs
from tests.simulation.processes import Making
from tests.simulation.schedules import FORGETFUL, lived
from tests.simulation.shortcuts import Shortcuts
from tests.simulation.test_simulation import LIVES
from tests.simulation.world import Kind

GUARDS: dict[str, Callable[[], Making]] = {
    "changes are confirmed before the price book has them": bugs.SettledTooEarly,
    "a message is acknowledged last": bugs.AcknowledgedTooEarly,
    "a message is published again until it is confirmed": bugs.Unconfirmed,
    "pages are put if the partition is as it was read": bugs.PagesOverwritten,
    "states are recorded if the alert is as it was read": bugs.AlertsOverwritten,
    "match asks whether another worker has taken its place": bugs.NeverReplaced,
    "the outboxes are swept": bugs.Unswept,
    "who tells a user has them alone": bugs.Unleased,
}


def is_found(making: Making | None = None, kind: Kind | None = None) -> bool:
    """Whether some life ends as it must not."""
    shortcuts = Shortcuts()
    with shortcuts.taken():
        for seed in range(2 * LIVES):
            try:
                lived(seed, Counter(), shortcuts, making, kind)
            except AssertionError:
                return True
    return False


@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_some_life_ends_as_it_must_not(guard: str) -> None:
    assert is_found(GUARDS[guard]())


def test_without_the_last_change_some_life_ends_as_it_must_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RouteChanges, "_after", lambda _self, _last_change: 0)
    assert is_found()


def test_if_nobody_notices_that_a_book_was_restarted_some_life_ends_as_it_must_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restart = ForgetfulPageStore.restart

    def unnoticed(self: ForgetfulPageStore, dump: object = None) -> None:
        restart(self, dump)
        self.incarnation = 1

    monkeypatch.setattr(ForgetfulPageStore, "restart", unnoticed)
    assert is_found(kind=FORGETFUL)
