"""A price book that forgets or goes back in time in the middle of a life."""

from typing import Any

from fms.pricebook.memory import MemoryPageStore
from tests.forgetful import ForgetfulPageStore
from tests.simulation.faults import Faults

OFTEN = 0.02


class Forgetting:
    """Happens to a book, if it is one that forgets.

    Attributes:
        faults: counts what happened, and says whether it may.
    """

    def __init__(self, pages: MemoryPageStore, faults: Faults) -> None:
        self._pages = pages if isinstance(pages, ForgetfulPageStore) else None
        self._faults = faults
        self._saved: Any = self._pages and self._pages.saved()

    def tick(self) -> None:
        """Time passes: something may happen, or the present state is saved."""
        if self._pages is None or not self._faults.left or self._faults.random.random() >= OFTEN:
            return
        what = self._faults.random.choice(("saved", "saved", "restarted", "gone back", "emptied", "lost"))
        if what == "saved":
            self._saved = self._pages.saved()
            return
        self._faults.note(f"book: {what}")
        if what == "restarted":
            self._pages.restart()
        elif what == "gone back":
            self._pages.restart(self._saved)
        elif what == "emptied":
            self._pages.lose()
        else:
            self._pages.lose(sorted(self._pages.keys())[:1])
