"""The time by which a site tells: that of the newest observation it was ever given, kept in a file beside its data."""

from pathlib import Path

from fms.errors import Fatal


class ReplayClock:
    """Never runs backwards, also not from one run to the next."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """UTC ms; 0 before anything was observed. Raises Fatal if the file is damaged."""
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise Fatal(f"{self._path}: {error}") from None

    def advance(self, to: int | None) -> int:
        """Move on to ``to`` (UTC ms) if that is later; answers the time then."""
        now = self.read()
        if to is None or to <= now:
            return now
        partial = self._path.with_suffix(".partial")
        partial.write_text(str(to))
        partial.replace(self._path)
        return to
