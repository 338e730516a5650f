"""What commands print: JSON lines for programs, tables and sentences for people, progress on a terminal only."""

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TextIO

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn


def json_line(document: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    typer.echo(json.dumps(document, ensure_ascii=False, separators=(", ", ": ")))


def listing(rows: Iterable[Mapping[str, Any]], *, as_json: bool, columns: Sequence[str], nothing: str) -> None:
    """Print rows: all keys as JSON lines, or the named columns as a table."""
    found = list(rows)
    if as_json:
        for row in found:
            json_line(row)
    elif not found:
        typer.echo(nothing)
    else:
        table(columns, [[_cell(row.get(name)) for name in columns] for row in found])


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at a stream, or types into it; Python has None for one that was closed at its start."""
    return stream is not None and stream.isatty()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a plain table without its empty columns.

    Where the terminal is too narrow a wordy last column is wrapped, else each row is printed over several lines.
    """
    cells = list(rows)
    used = [n for n in range(len(columns)) if any(row[n] not in ("", "-") for row in cells)]
    heads = [columns[n].replace("_", " ") for n in used]
    shown = [[row[n] for n in used] for row in cells]
    widths = [max(map(cell_len, column)) for column in zip(heads, *shown, strict=True)]
    # A pipe has no width: let lines be as long as they need to be.
    room = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else sum(widths) + _GAP * len(widths)
    left = room - sum(width + _GAP for width in widths[:-1])
    if left < min(widths[-1], _WORDY):
        for row in shown:
            _block(heads, row, room)
        return
    typer.secho(_line(heads, widths), bold=True)
    for row in shown:
        for line in _lines(row, widths, left):
            typer.echo(line)


_GAP = 2
"""Blanks between columns."""

_WORDY = 30
"""A column of so many characters may be wrapped to as many."""


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True))
    return (" " * _GAP).join(padded).rstrip()


def _lines(cells: Sequence[str], widths: Sequence[int], left: int) -> list[str]:
    *before, last = cells
    first, *more = textwrap.wrap(last, left) or [""]
    blanks = ["" for _ in before]
    return [_line([*before, first], widths), *(_line([*blanks, part], widths) for part in more)]


def _block(heads: Sequence[str], row: Sequence[str], room: int) -> None:
    """A row as its first cell, and the others by name under it; what is empty is left out."""
    typer.secho(row[0], bold=True)
    others = [f"{name} {cell}" for name, cell in zip(heads[1:], row[1:], strict=True) if cell not in ("", "-")]
    # Blanks within a part must not break: they are restored after wrapping.
    text = ", ".join(part.replace(" ", _TIE) for part in others)
    for line in textwrap.wrap(text, room, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False):
        typer.echo(line.replace(_TIE, " "))


_TIE = "\N{NO-BREAK SPACE}"

_INSTANT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}):\d{2}\.\d{3}Z", re.ASCII)


def short_instant(text: str) -> str:
    """RFC 3339 in UTC as people read it, to the minute: ``2026-11-02 00:17``; any other text as it is."""
    return _INSTANT.sub(r"\1 \2", text)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return short_instant(str(value)) if not isinstance(value, list) else "+".join(map(str, value))


class Bar:
    """A progress bar on stderr if that is a terminal, and nothing otherwise. No thread: it moves when it is told to.

    ``unit``: what is counted.
    """

    def __init__(self, unit: str = "documents") -> None:
        self._unit = unit
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
        )
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, auto_refresh=False)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Callable[[str, int, int | None, int], None] | None:
        if not is_terminal(sys.stderr):
            return None
        self._progress.start()
        return self._show

    def __exit__(self, *_error: object) -> None:
        # Stopping prints a line even if nothing was started.
        if is_terminal(sys.stderr):
            self._progress.stop()

    def _show(self, name: str, done: int, total: int | None, count: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, rate="")
        task = self._tasks[name]
        spent = self._progress.tasks[task].elapsed or 0
        rate = f"{count:,} {self._unit}" + (f", {count / spent:,.0f}/s" if spent else "")
        self._progress.update(task, completed=done, total=total, rate=rate, refresh=True)
