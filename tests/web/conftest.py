"""Sites with an API, each in a folder of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from fms.bootstrap import Site
from fms.settings import Settings
from fms.web.app import create_app
from tests.web.blank import put_blank_site
from tests.web.people import Person

MakeApp = Callable[..., Flask]

OPEN_LIMITS = {"rate_limit": "100000/minute", "login_rate_limit": "100000/minute", "fast_passwords": True}
"""Settings with which nothing is slowed down."""


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Makes the API of the test's site with settings of the test's choice."""
    with ExitStack() as closing:

        def make(**settings: Any) -> Flask:
            put_blank_site(tmp_path / "site")
            site = Site(Settings(**{"data": tmp_path / "site", **OPEN_LIMITS, **settings}), served=True)
            closing.callback(site.close)
            app = create_app(site)
            app.testing = False
            return app

        yield make


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """The API of a new site of files."""
    return make_app()


@pytest.fixture
def anna(app: Flask) -> Person:
    """Somebody with an account."""
    return Person(app).joined()


@pytest.fixture
def ben(app: Flask) -> Person:
    """Somebody else with an account."""
    return Person(app).joined()
