"""All checks, made side by side."""

from functools import partial
from pathlib import Path

from fms.doctor.broker import broker
from fms.doctor.databases import databases
from fms.doctor.findings import Finding, error, flat, together
from fms.doctor.machine import directory, machine
from fms.doctor.prices import price_book
from fms.doctor.settings import settings
from fms.errors import Fatal
from fms.model.clock import Clock
from fms.settings import load_configuration

SECONDS = 20.0
"""How long everything together may take."""


def examine(data: Path | None, clock: Clock) -> list[Finding]:
    """Everything that is found out about the site that the settings name; nothing is raised, and nothing changed."""
    try:
        configuration = load_configuration(data)
    except Fatal as wrong:
        return [*machine(clock), error("settings", "loaded", str(wrong), "correct it: nothing works before that")]
    set_so = configuration.settings
    tasks = {
        "machine": partial(machine, clock),
        "settings": partial(settings, configuration),
        "data directory": partial(directory, set_so.data),
        "catalog": partial(databases, set_so, clock),
        "price book": partial(price_book, set_so, clock),
        "broker": partial(broker, set_so),
    }
    return flat(together(tasks, SECONDS).values())
