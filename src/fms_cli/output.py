"""What commands print: JSON lines for programs, tables and sentences for people, progress on a terminal only."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fms.model.document import Block, Source


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


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a plain table."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        shown.add_column(name.replace("_", " "), overflow="fold", no_wrap=False)
    for row in rows:
        shown.add_row(*row)
    # A pipe has no width: let lines be as long as they need to be.
    width = None if sys.stdout.isatty() else 240
    Console(width=width, highlight=False, markup=False).print(shown)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return str(value) if not isinstance(value, list) else "+".join(map(str, value))


class Watched:
    """A source that reports to a progress bar how far it was read."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.name = source.name
        self._source = source
        self._progress = progress

    def blocks(self) -> Iterator[Block]:
        """The blocks of the source."""
        task = self._progress.add_task(self.name, total=None, rate="")
        documents = 0
        for block in self._source.blocks():
            yield block
            documents += len(block.numbers)
            spent = self._progress.tasks[task].elapsed or 0
            rate = f"{documents / spent:,.0f}/s" if spent else ""
            self._progress.update(
                task, completed=block.bytes_done, total=block.bytes_total, rate=f"{documents:,} {rate}"
            )


@contextmanager
def watched(sources: Sequence[Source]) -> Iterator[Sequence[Source]]:
    """The sources, with a progress bar on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        yield sources
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield [Watched(source, progress) for source in sources]
