"""Stories are lived twice: by the product, and by the row-by-row reference."""

from pathlib import Path

import pytest

from tests.acceptance.harness import ReferenceSite, Rules, Site, World
from tests.acceptance.story import Life

RULES: Rules = {"fx": {"noise_bp": 100}}


@pytest.fixture(params=["reference", "product"])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    world: World = ReferenceSite(RULES) if request.param == "reference" else Site(tmp_path / "site", RULES)
    return Life(world)
