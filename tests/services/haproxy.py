"""A private HAProxy, configured by the file that is shipped."""

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.services.processes import Server, free_port, program

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "haproxy.cfg"


class HAProxy(Server):
    """HAProxy in front of three servers.

    Args:
        servers: their ports on the loopback.
        folder, owner: see ``Server``.
    """

    def __init__(self, servers: tuple[int, int, int], folder: Path | None = None, *, owner: int | None = None) -> None:
        self._program = program("haproxy", [Path("/usr/sbin")])
        super().__init__(folder, owner=owner)
        self._servers = servers
        self._stats = free_port()

    @property
    def states(self) -> dict[str, str]:
        """What it believes of each server: ``UP``, ``DOWN`` or something between."""
        with urlopen(f"http://127.0.0.1:{self._stats}/;csv", timeout=10) as page:
            rows = csv.DictReader(StringIO(page.read().decode().removeprefix("# ")))
            return {row["svname"]: row["status"] for row in rows if row["svname"].startswith("api")}

    def _environment(self) -> dict[str, str]:
        places: Mapping[str, int] = {f"API{number}": port for number, port in enumerate(self._servers, 1)}
        places = {"BIND": self.port, "STATS": self._stats, **places}
        return super()._environment() | {name: f"127.0.0.1:{port}" for name, port in places.items()}

    def _command(self) -> list[str]:
        return [str(self._program), "-db", "-f", str(CONFIGURATION)]

    def _answers(self) -> bool:
        try:
            return bool(self.states)
        except URLError:
            return False
