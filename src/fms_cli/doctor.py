"""``fms doctor``: whether everything that a site stands on is as it should be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from fms_cli.options import Data, Json
from fms_cli.output import json_line

if TYPE_CHECKING:
    from fms.doctor.findings import Finding

STATES = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "error": typer.colors.RED}


def doctor(data: Data = None, as_json: Json = False) -> None:
    """Look at everything that this site stands on, and say what to do where something is wrong. Changes nothing.

    It looks at the machine, the settings and the data directory, and reaches every service that is configured. It ends
    within half a minute whatever these do, with exit code 4 if there is an error; warnings are none.
    """
    from fms.doctor.examination import examine
    from fms.model.clock import system_clock

    findings = examine(data, system_clock)
    if as_json:
        for one in findings:
            json_line(asdict(one))
    else:
        _show(findings)
    if any(one.state == "error" for one in findings):
        raise typer.Exit(4)


def _show(findings: Sequence["Finding"]) -> None:
    width = max(len(f"{one.service}: {one.check}") for one in findings)
    for one in findings:
        typer.secho(f"{one.state:7}", fg=STATES[one.state], nl=False)
        advice = f" → {one.advice}" if one.advice else ""
        typer.echo(f"  {f'{one.service}: {one.check}':{width}}  {one.found}{advice}")
    counts = Counter(one.state for one in findings)
    typer.echo(f"{counts['error']} errors, {counts['warning']} warnings, {counts['ok']} ok")
