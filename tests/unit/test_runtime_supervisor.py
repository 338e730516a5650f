"""A supervisor of real child processes, itself a process as it is in life."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.services.processes import until

SUPERVISE = """
import json, sys
from fms.runtime.retry import Backoff
from fms.runtime.shutdown import Shutdown, Stopped
from fms.runtime.supervisor import Supervisor

class Log:
    def info(self, event, **fields): print(event, fields, flush=True)
    warning = error = info

shutdown = Shutdown(30)
with shutdown.listening():
    try:
        code = Supervisor(json.loads(sys.argv[1]), shutdown, Log(), backoff=Backoff(first=0.01, most=0.02)).run()
    except Stopped:
        code = 130
sys.exit(code)
"""

LIVE = """
import os, pathlib, signal, sys
folder, told = pathlib.Path(sys.argv[1]), []
def tell(number, frame):
    told.append(number)
    (folder / f"told {os.getpid()}").write_text(str(len(told)))
    if len(told) == int(sys.argv[2]):
        sys.exit(0)
signal.signal(signal.SIGTERM, tell)
(folder / f"lives {os.getpid()}").touch()
while sys.stdin.buffer.read(1) != b"":
    pass
(folder / f"alone {os.getpid()}").touch()
"""
"""Lives until it is told so many times to end, or its stdin is closed."""


class Family:
    """A supervisor and its children."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self, *commands: list[str]) -> None:
        line = [sys.executable, "-c", SUPERVISE, json.dumps(commands)]
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)

    def living(self, words: int = 1) -> list[str]:
        """A child that lives until it is told so often."""
        return [sys.executable, "-S", "-c", LIVE, str(self.folder), str(words)]

    def noted(self, what: str) -> set[int]:
        """The processes that noted something of themselves."""
        return {int(path.name.removeprefix(f"{what} ")) for path in self.folder.glob(f"{what} *")}

    def wait_for(self, count: int, what: str = "lives") -> set[int]:
        until(lambda: len(self.noted(what)) >= count, f"{count} {what}")
        return self.noted(what)

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        assert self.process
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
        for child in self.noted("lives"):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path)
    yield made
    made.close()


def exits(code: int) -> list[str]:
    return [sys.executable, "-S", "-c", f"raise SystemExit({code})"]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_ends_when_every_child_has_done_its_work(family: Family) -> None:
    family.start(exits(0), exits(0))
    assert family.end() == (0, "")


def test_a_killed_child_is_started_again(family: Family) -> None:
    family.start(family.living())
    [first] = family.wait_for(1)
    os.kill(first, signal.SIGKILL)
    [second] = family.wait_for(2) - {first}
    family.signal(signal.SIGTERM)
    code, said = family.end()
    assert code == 0
    assert "process died, started again" in said
    assert family.noted("told") == {second}


def test_every_child_is_told_to_end(family: Family) -> None:
    family.start(family.living(), family.living())
    children = family.wait_for(2)
    family.signal(signal.SIGTERM)
    assert family.end() == (0, "")
    assert family.noted("told") == children


def test_a_child_that_cannot_go_on_stops_them_all(family: Family) -> None:
    waits = f"while not list(__import__('pathlib').Path({str(family.folder)!r}).glob('lives *')): pass"
    family.start(family.living(), [sys.executable, "-c", f"exec({waits!r})\nraise SystemExit(4)"])
    code, said = family.end()
    assert code == 4
    assert "process cannot go on" in said
    assert family.noted("told") == family.noted("lives") != set()


def test_whoever_is_asked_twice_asks_its_children_twice_and_ends(family: Family) -> None:
    family.start(family.living(words=2))
    [child] = family.wait_for(1)
    family.signal(signal.SIGTERM)
    family.wait_for(1, "told")
    family.signal(signal.SIGTERM)
    assert family.end()[0] == 130
    until(lambda: not is_running(child), "the child ends")


def test_children_end_when_their_supervisor_is_killed(family: Family) -> None:
    family.start(family.living(), family.living())
    children = family.wait_for(2)
    family.signal(signal.SIGKILL)
    assert family.wait_for(2, "alone") == children
    until(lambda: not any(map(is_running, children)), "the children end")


def test_a_child_knows_whether_its_supervisor_is_gone() -> None:
    asks = "from fms.runtime.supervisor import parent_is_gone\nprint(parent_is_gone(), flush=True)\n"
    waits = "import select\nselect.select([0], [], [])\n"
    line = [sys.executable, "-c", asks + waits + asks]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "False\n"
        assert child.stdin
        child.stdin.close()
        assert child.stdout.readline() == "True\n"
