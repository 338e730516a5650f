"""The command line under test: in this process where that is enough, else in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

from tests.acceptance.harness import Line, Site

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
"""Seconds after which a process that should have ended is a failure."""

Ledger = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The lines of stdout as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def report(self) -> dict[str, Any]:
        """The last line of stdout as JSON."""
        found: dict[str, Any] = self.lines[-1]
        return found

    def checked(self) -> "Done":
        """Itself, if the command succeeded."""
        assert self.code == 0, f"{self.code}\n{self.out}\n{self.err}"
        return self


def fms(*arguments: str | Path, send: bytes | None = None) -> Done:
    """One command in this process, whatever comes of it; ``send`` is its stdin, which is no terminal."""
    from fms_cli.app import main

    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), _stdin(send):
        code = main([str(one) for one in arguments])
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def _stdin(send: bytes | None) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = before if send is None else TextIOWrapper(BytesIO(send))
    try:
        yield
    finally:
        sys.stdin = before


def start(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
    program: Sequence[str] = ("fms_cli",),
) -> subprocess.Popen[bytes]:
    """One command in a process of its own; its stdout is a pipe. ``program``: the module that runs it."""
    command = [sys.executable, "-m", *program, *map(str, arguments)]
    places = os.environ | (env or {})
    return subprocess.Popen(command, cwd=ROOT, env=places, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr)


def ended(process: subprocess.Popen[bytes], send: bytes | None = None) -> Done:
    """How a process ended; stdin, if it is a pipe, is given ``send`` and closed."""
    with process:
        out, err = process.communicate(send, timeout=PATIENCE)
    return Done(process.returncode, (out or b"").decode(), (err or b"").decode())


def fms_process(*arguments: str | Path, send: bytes | None = None, env: Mapping[str, str] | None = None) -> Done:
    """One command in a process of its own, to its end."""
    stdin = subprocess.DEVNULL if send is None else subprocess.PIPE
    return ended(start(*arguments, stdin=stdin, env=env), send)


def refused(done: Done, code: int = 2) -> str:
    """The one line that a failed command leaves on stderr, without its ``fms: ``."""
    assert done.code == code, f"{done.code}\n{done.out}\n{done.err}"
    assert done.err.startswith("fms: "), done.err
    assert done.err.count("\n") == 1, done.err
    assert "Traceback" not in done.err
    return done.err.removeprefix("fms: ").rstrip("\n")


def written(path: Path, lines: Iterable[Line]) -> Path:
    """A file of JSON lines, or of lines as they are."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def ledger(data: Path) -> Ledger:
    """Everything that lists say of a data directory's alerts and notifications, apart from ids."""
    site = Site(data)
    return site.alerts(), site.notifications()
