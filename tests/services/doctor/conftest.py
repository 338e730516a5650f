"""Where the tests of this folder look, and a site over a server that keeps what it promises."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.doctor.looking import Made
from tests.services.postgres import Postgres
from tests.services.shared import needed


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands are typed; ``d`` is the data directory."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("FMS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FMS_DATA", "d")
    return tmp_path


@pytest.fixture(scope="module")
def durable() -> Iterator[Postgres]:
    """A server as it is to be; that of other tests has no fsync."""
    with needed(lambda: Postgres(settings={"fsync": "on"})) as server:
        yield server


@pytest.fixture
def site(durable: Postgres, monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(durable, monkeypatch)
