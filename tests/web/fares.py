"""Fares for a site whose API is asked."""

import json
from pathlib import Path
from typing import Any

from flask import Flask

from fms.bootstrap import open_site
from fms.channels.console import Console
from fms.runs import Report, replay
from fms.sources.open import open_source

FARE: dict[str, Any] = {
    "observed_at": "2026-11-02T08:00:00Z",
    "origin": "STN",
    "destination": "BGY",
    "departure_date": "2027-10-05",
    "outbound_flights": ["FR4193"],
    "currency": "GBP",
    "total_amount_minor": 4500,
}


def feed(app: Flask, *changes: dict[str, Any]) -> Report:
    """Run fares through the site of an app, each as it differs from ``FARE``; nothing is printed."""
    data: Path = app.extensions["fms"].site.settings.data
    file = data / "fares.jsonl"
    file.write_text("".join(json.dumps(FARE | change) + "\n" for change in changes))
    with open_site(data) as site, site.exclusive():
        return replay(site, [open_source(str(file))], channel=Console(write=lambda _line: None))
