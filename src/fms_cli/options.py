"""Options that several commands share, each written once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fms.errors import Invalid
from fms.model.clock import parse_instant

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Directory of all state (or FMS_DATA; default: your data directory).",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per line instead of text.")]
User = Annotated[str | None, typer.Option("--user", metavar="EMAIL", help="Only this user's.", show_default=False)]
Replay = Annotated[
    list[str] | None,
    typer.Option(
        "--replay",
        metavar="FILE",
        help="Fares: .jsonl .csv (.gz) .parquet .arrow, or - for JSON lines on stdin. Further files may follow.",
    ),
]
More = Annotated[list[str] | None, typer.Argument(metavar="FILE", help="More files.", show_default=False)]
Mapping = Annotated[
    Path | None,
    typer.Option("--mapping", metavar="FILE", help="TOML file that says what the columns of a CSV file mean."),
]
ObservedAt = Annotated[
    str | None,
    typer.Option(
        "--observed-at", metavar="TIME", help="When documents that do not say were observed (RFC 3339; default: now)."
    ),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", min=1, help="Fares a batch aims at.", show_default=False)
]
Rejects = Annotated[
    Path | None,
    typer.Option("--rejects", metavar="FILE", help="Where rejected documents go: file, line, reason, raw text."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if a document was rejected.")]

LOCAL_USER = "local@localhost"
"""Whose alerts ``fms run --alerts`` imports."""


def files(replay: list[str] | None, more: list[str] | None) -> list[str]:
    """The files to read, in the order given; raises Invalid if there is none."""
    if replay and len(replay) > 1 and more:
        raise Invalid(f"which order? say --replay before each file, or once before all of them (stray: {more[0]})")
    given = [*(replay or []), *(more or [])]
    if not given:
        raise Invalid("say what to read: --replay FILE")
    return given


def instant(text: str | None) -> int | None:
    """A time given on the command line in UTC ms; raises Invalid."""
    try:
        return None if text is None else parse_instant(text)
    except Invalid as error:
        raise Invalid(f"--observed-at: {error}") from None


def one_of(text: str | None, words: Sequence[str], option: str) -> None:
    """Check a word given on the command line; raises Invalid."""
    if text is not None and text not in words:
        raise Invalid(f"{option}: one of {', '.join(words)} wanted, not {text!r}")
