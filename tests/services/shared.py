"""Servers that the processes of one test run share, and what to do where a program is missing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from fms.runlock import exclusive
from tests.services.processes import Missing

Made = TypeVar("Made")


def needed(make: Callable[[], Made]) -> Made:
    """What is made; where a program is missing for it the test is skipped, in CI it fails."""
    try:
        return make()
    except Missing as error:
        if os.environ.get("CI"):
            pytest.fail(f"{error}, and CI skips nothing")
        pytest.skip(str(error))


class Shared:
    """Servers that all processes of a run share: the first to need one starts it, it ends when the run does.

    Args:
        folder: one for the run.
        owner: the process whose end is the run's.
    """

    def __init__(self, folder: Path, owner: int) -> None:
        self._folder = folder
        self._owner = owner

    def place(self, name: str, start: Callable[[int], str]) -> str:
        """How to reach the server of that name, as ``start`` said: it is called once, with the owner."""
        note = self._folder / f"{name}.place"
        with exclusive(self._folder / f"{name}.lock", wait=True):
            if not note.exists():
                note.write_text(needed(lambda: start(self._owner)))
            return note.read_text()


def worker() -> int | None:
    """Number of this process among those that pytest-xdist made for the run; None if it is alone."""
    name = os.environ.get("PYTEST_XDIST_WORKER")
    return None if name is None else int(name.removeprefix("gw"))
