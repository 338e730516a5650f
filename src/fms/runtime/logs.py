"""Log lines on stderr, as text for people or JSON for machines. Set up by whoever runs a worker, never by an import."""

import logging
import sys
from typing import Any, cast

import structlog

from fms.runtime.watching import Log


def log_to_stderr(form: str, **common: Any) -> Log:
    """A log whose lines all carry ``common``. ``form``: ``text`` or ``json``.

    What libraries have to say goes the same way from warnings on, but for pika: its errors are raised here too.
    """
    shared: list[Any] = [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.add_log_level,
    ]
    render: Any = structlog.processors.JSONRenderer()
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
    else:
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            sort_keys=False,
            # The others show the values of variables: secrets are among them.
            exception_formatter=structlog.dev.plain_traceback,
        )
    structlog.configure(
        processors=[*shared, render],
        # Each line in one write, its end too: several processes write to one place.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(render, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("pika").setLevel(logging.CRITICAL + 1)
    return cast("Log", structlog.get_logger().bind(**common))
