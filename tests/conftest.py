"""Real servers, folders in memory, and profiles of hypothesis: ``HYPOTHESIS_PROFILE=soak`` for the long search."""

import os
from collections.abc import Iterator
from functools import cache

import pytest
import typer.main
from hypothesis import HealthCheck, Phase, settings

from tests.services.processes import memory

pytest_plugins = ["tests.services.fixtures"]

settings.register_profile("ordinary", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", parent=settings.get_profile("ordinary"), max_examples=2_000)
settings.register_profile(
    "quick", parent=settings.get_profile("ordinary"), phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ordinary"))


def pytest_configure() -> None:
    """Make folders of tests in memory where there is room: on a disk each commit of a SQLite file waits for it."""
    if found := memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(found))


@pytest.fixture(scope="session", autouse=True)
def _commands_made_once() -> Iterator[None]:
    """Typer makes its tree of all commands for each that is run in this process: a third of the time of most."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        yield
