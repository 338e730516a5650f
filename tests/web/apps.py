"""An app that the tests of a module share: such as only ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

from fms.bootstrap import Site
from fms.settings import Settings
from fms.web.app import create_app
from tests.web.conftest import OPEN_LIMITS


@contextmanager
def app_of(folder: Path, **settings: Any) -> Iterator[Flask]:
    """The API of a new site of files, with settings of the test's choice."""
    with Site(Settings(**{"data": folder / "site", **OPEN_LIMITS, **settings}), served=True) as site:
        app = create_app(site)
        app.testing = False
        yield app
