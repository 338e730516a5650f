"""The log of an app."""

from typing import Any

import structlog
from flask import Flask, current_app

_NAME = "fms.log"


def keep_log(app: Flask, log: Any) -> None:
    """Let an app write to a log; None: to structlog's own."""
    app.extensions[_NAME] = log or structlog.get_logger()


def app_log() -> Any:
    """The log of the app at work."""
    return current_app.extensions[_NAME]
