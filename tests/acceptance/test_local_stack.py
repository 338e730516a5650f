"""``examples/local-stack.sh`` shows the whole with real servers, and leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import pytest

from tests.acceptance.commands import ROOT, Done
from tests.services.processes import Missing, until
from tests.services.shared import needed

SCRIPT = ROOT / "examples" / "local-stack.sh"
PATIENCE = 200
BASICS = ("bash", "basename", "dirname", "sort", "tail")


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory that everybody may reach: as root, PostgreSQL runs as somebody else."""
    with TemporaryDirectory(prefix="fms-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def started(place: Path) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # A broker that nobody is: the settings of another site must not matter.
    env = {"PATH": path, "HOME": str(place), "TMPDIR": str(place), "FMS_BROKER_URL": "amqp://nobody.invalid/"}
    return subprocess.Popen([SCRIPT], cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(script: subprocess.Popen[bytes]) -> Done:
    """How it ended; where a program is missing the test is skipped, in CI it fails."""
    with script:
        out, err = (text.decode() for text in script.communicate(timeout=PATIENCE))
    return needed(lambda: complete(Done(script.returncode, out, err)))


def complete(done: Done) -> Done:
    if done.code == 2:
        raise Missing(done.err.strip())
    return done


def left_behind(place: Path) -> list[str]:
    """The commands of processes that have to do with a directory: by their words, environment or place."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (entry / "environ").read_bytes().decode(errors="replace")
            cwd = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(place) in command + environment + cwd:
            found.append(command)
    return found


def test_it_shows_what_fired_and_ends_all_that_it_started(place: Path) -> None:
    done = ended(started(place))
    assert (done.code, done.err) == (0, ""), done.out
    for wanted in (
        "a     postgresql://fms@127.0.0.1",
        "b     postgresql://fms@127.0.0.1",
        "55 queues are there",
        "8 added",
        "london-before-christmas: JFK-LHR 289.00 USD",
        "2026-11-05 00:04  london-before-christmas  sent  ",
        "fms.document.dead  1 ",
        "\nready\n",
        'fms_messages_total{outcome="done",stage="price"}',
        "10 rows fired",
    ):
        assert wanted in done.out, wanted
    assert left_behind(place) == []
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked to end", "killed"])
def test_its_servers_end_with_it(place: Path, number: signal.Signals) -> None:
    script = started(place)
    assert script.stdout is not None
    while (line := script.stdout.readline()) and not line.startswith(b"A site"):
        pass
    script.send_signal(number)
    done = ended(script)
    assert done.code == {signal.SIGTERM: 143, signal.SIGKILL: -9}[number], done.err
    until(lambda: left_behind(place) == [], "all that it started has ended")
    assert number == signal.SIGKILL or list(place.iterdir()) == []


def test_it_names_the_packages_of_missing_programs(place: Path) -> None:
    for name in BASICS:
        (place / name).symlink_to(which(name) or name)
    done = subprocess.run(
        [place / "bash", SCRIPT], env={"PATH": str(place)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "local-stack: missing: redis-server (Debian package redis-server)\n" in done.stderr
    assert done.stdout == ""


def test_it_is_listed_among_the_examples() -> None:
    assert "[local-stack.sh](local-stack.sh)" in (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
