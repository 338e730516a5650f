"""What ``fms doctor`` says, as the tests of this folder read it."""

from collections.abc import Mapping

import pytest

from tests.acceptance.commands import Done, fms
from tests.services.postgres import Databases, Postgres

IN_TIME = 25.0
"""Seconds after which doctor must have ended, whatever services do."""


Found = Mapping[tuple[str, str], str]
"""(service, check) → the worst that was found."""


class Made:
    """A site over PostgreSQL, made by ``fms init``."""

    def __init__(self, server: Postgres | Databases, monkeypatch: pytest.MonkeyPatch) -> None:
        self.catalog, self.a, self.b = (server.new_database() for _ in range(3))
        monkeypatch.setenv("FMS_CATALOG_URL", self.catalog)
        fms("init", "--shard", f"a={self.a}", "--shard", f"b={self.b}").checked()


def doctor(code: int = 0) -> Found:
    """What doctor says of the services; the machine may have little memory, and nobody asked for it."""
    done = fms("doctor", "--json")
    assert done.code == code, done.out + done.err
    assert not done.err
    return worst(done)


def worst(done: Done) -> Found:
    order = ("ok", "warning", "error")
    found: dict[tuple[str, str], str] = {}
    for line in done.lines:
        assert set(line) == {"state", "service", "check", "found", "advice"}
        assert bool(line["advice"]) == (line["state"] != "ok")
        key = line["service"].partition(" 127")[0], line["check"]
        found[key] = max(line["state"], found.get(key, "ok"), key=order.index)
    return {key: state for key, state in found.items() if key[0] not in ("machine", "data directory")}


def wrong(found: Found) -> Found:
    """All that is not well."""
    return {key: state for key, state in found.items() if state != "ok"}
