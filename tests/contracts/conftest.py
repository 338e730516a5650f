"""What several suites of this folder stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.town import Town


@pytest.fixture(params=[1, 2])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, request.param)
    yield made
    made.router.close()
