"""The command line as a program: every command there is, its version, completion, pipes, terminals and databases."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import fms as package
from fms.bootstrap import open_shards
from fms_cli.app import EXIT_CODES, app
from tests.acceptance.commands import ROOT, ended, fms, fms_process, refused, start, written
from tests.acceptance.feeds import alerts, feed
from tests.acceptance.story import day, fare

WISH: dict[str, Any] = {
    "ref": "mine", "kind": "target", "target_minor": 30_000, "origin": "JFK", "destination": "LHR", "currency": "USD",
    "depart_from": str(day(120)), "depart_to": str(day(130)),
}  # fmt: skip
TOUR = [
    "demo --data demo", "db upgrade", "db current", "run fares.jsonl --alerts alerts.jsonl",
    "ingest fares.jsonl --out fares", "diff fares --out changes", "match changes --out fired", "notify fired",
    "alerts import alerts.jsonl --user ann@example.org", "alerts list", "alerts show mine --user ann@example.org",
    "alerts pause mine --user ann@example.org", "alerts resume mine --user ann@example.org",
    "alerts edit mine --user ann@example.org --set max_stops=1", "alerts explain mine --user ann@example.org",
    "alerts snooze mine 2026-01-01T00:00:00Z --user ann@example.org", "alerts delete mine --yes --user ann@example.org",
    "notifications list", f"prices show JFK LHR {day(120)}", "users set --daily-cap 3", "users show",
    "users add zoe@example.org --password-stdin", "users password zoe@example.org --password-stdin",
    "users role zoe@example.org operator", "users list", "users delete zoe@example.org --yes", "db maintain",
    "config show", "config check", "doctor", "init --data another",
    "shard list", "shard locate JFK LHR", "shard add more sqlite:///more.sqlite", "shard plan", "shard status",
    "shard rebalance --yes", "shard check", "shard verify", "shard rebuild-map", "shard rebalance --drain local0 --yes",
    "shard remove local0",
]  # fmt: skip
"""Every command that needs no broker once, in an order in which each has something to do."""

TOUR_OF_WORKERS = [
    "queues declare", "ingest fares.jsonl", "worker ingest --follow arriving --once", "queues status",
    "worker price --once", "worker alert --once", "worker notify --once", "queues retry",
    "queues purge fms.fare.dead --yes",
]  # fmt: skip
"""Those that do."""

TOUR_OF_MOVES = ["shard pause", "shard resume", "shard abort --yes"]
"""Those that go with a rebalance that was left."""

TOUR_OF_SERVICES = ["serve --port 0"]
"""The others: they stay until they are told to end."""


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command of the help, with its group."""
    found = getattr(command or get_command(app), "commands", None)
    if found is None:
        yield " ".join(path)
    for name, one in (found or {}).items():
        yield from commands(one, (*path, name))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMS_DATA", str(tmp_path / "data"))
    written(tmp_path / "fares.jsonl", [fare(250, at="d0 06:00"), fare(310, "AA1", at="d0 06:00")])
    written(tmp_path / "alerts.jsonl", [WISH])
    return tmp_path


def test_every_command_does_its_work(folder: Path) -> None:
    for line in TOUR:
        done = fms(*line.split(), send=b"correct horse battery staple\n").checked()
        assert done.out, line
        assert "\x1b" not in done.out + done.err, line


def test_every_command_that_needs_a_broker_does_its_work(
    folder: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMS_BROKER_URL", broker_url)
    (folder / "arriving").mkdir()
    for line in TOUR_OF_WORKERS:
        done = fms(*line.split()).checked()
        assert done.out, line
        assert "\x1b" not in done.out + done.err, line


def test_every_command_that_needs_a_rebalance_does_its_work(folder: Path) -> None:
    fms("shard", "add", "more", "sqlite:///more.sqlite").checked()
    for line in TOUR_OF_MOVES:
        with open_shards() as shards:
            if shards.journal.open_job() is None:
                shards.journal.start(shards.plan(["more"] if line == "shard abort --yes" else []).id, {})
        done = fms(*line.split()).checked()
        assert done.out, line
        assert "\x1b" not in done.out + done.err, line


def test_every_command_that_stays_does_its_work_until_it_is_told_to_end(folder: Path) -> None:
    for line in TOUR_OF_SERVICES:
        process = start(*line.split(), env={"FMS_UNREADY_SECONDS": "0"})
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"listening on "), line
        process.terminate()
        assert ended(process).code == 0, line


def test_the_tours_leave_no_command_out() -> None:
    lines = [f"{line} " for line in (*TOUR, *TOUR_OF_WORKERS, *TOUR_OF_MOVES, *TOUR_OF_SERVICES)]
    assert {one for one in commands() if any(line.startswith(f"{one} ") for line in lines)} == {*commands()}


@pytest.mark.parametrize("command", [*commands(), "", "alerts", "db"])
def test_every_command_has_help(command: str) -> None:
    done = fms(*command.split(), "--help").checked()
    assert f"Usage: fms {command}".rstrip() in done.out
    assert done.out == fms(*command.split(), "-h").out


@pytest.mark.parametrize("group", ["alerts", "notifications", "prices", "users", "db"])
def test_a_listing_in_json_is_objects_and_nothing_else(folder: Path, group: str) -> None:
    fms("run", "fares.jsonl", "--alerts", "alerts.jsonl").checked()
    shown = {"prices": f"prices show JFK LHR {day(120)}", "users": "users show", "db": "db current"}
    rows = fms(*shown.get(group, f"{group} list").split(), "--json").checked().lines
    assert rows
    assert all(isinstance(row, dict) for row in rows)


def test_help_tells_the_exit_codes() -> None:
    told = " ".join(fms("--help").checked().out.split())
    assert all(f"{code} " in told.partition("Exit codes:")[2] for code in EXIT_CODES)


def test_the_version_is_that_of_the_package() -> None:
    assert fms("--version").checked().out == f"fms {package.__version__}\n"
    assert fms_process("--version").checked().out == f"fms {package.__version__}\n"


def test_the_shell_can_complete_commands() -> None:
    assert "_FMS_COMPLETE=complete_bash" in fms_process("--show-completion", "bash").checked().out
    words = {"_FMS_COMPLETE": "complete_bash", "COMP_WORDS": "fms alerts ex", "COMP_CWORD": "2"}
    assert fms_process(env=words).out.split() == ["explain"]


def test_databases_are_brought_to_the_newest_revision_and_shown(folder: Path) -> None:
    assert fms("db", "current").checked().out.endswith("data: no databases yet\n")
    assert not (folder / "data").exists()
    fms("db", "upgrade").checked()
    rows = fms("db", "current", "--json").checked().lines
    assert [row["database"] for row in rows] == ["catalog.sqlite", "local0.sqlite", "local1.sqlite"]
    assert all(row["revision"] == row["newest"] for row in rows)
    assert fms("db", "upgrade", "--json").checked().lines == rows


def test_maintaining_drops_pages_of_flights_that_departed(folder: Path) -> None:
    fares = [fare(250, at="d0 06:00", departs=1), fare(250, at="d9 06:00", departs=120)]
    fms("run", written(folder / "old.jsonl", fares)).checked()
    assert fms("db", "maintain", "--json").checked().report["page"] == 1
    assert fms("prices", "show", "JFK", "LHR", str(day(1)), "--json").out == ""
    assert len(fms("prices", "show", "JFK", "LHR", str(day(120)), "--json").lines) == 1
    assert fms("db", "maintain", "--json").checked().report["page"] == 0


def test_a_reader_that_has_had_enough_is_no_error(folder: Path) -> None:
    many = [WISH | {"ref": f"alert {number}"} for number in range(2_000)]
    fms("alerts", "import", written(folder / "many.jsonl", many)).checked()
    process = start("alerts", "list", "--json")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b'{"id"')
    process.stdout.close()
    with process:
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_pipe_gets_no_progress_bar_and_no_colours(folder: Path) -> None:
    written(folder / "feed.jsonl", feed(20))
    done = fms_process("run", folder / "feed.jsonl").checked()
    assert "\x1b" not in done.out + done.err
    assert "\r" not in done.err
    assert done.err.strip().startswith("warning: ")


def test_a_terminal_gets_a_progress_bar_with_its_rate(folder: Path) -> None:
    file = written(folder / "feed.jsonl", feed(40))
    written(folder / "wishes.jsonl", alerts())
    command = [sys.executable, "-m", "fms_cli", "run", str(file), "--alerts", str(folder / "wishes.jsonl"), "--json"]
    terminal, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        shown = "".join(read_to_end(terminal))
        assert process.stdout is not None
        report = process.stdout.read()
    assert process.returncode == 0
    assert b"\x1b" not in report
    assert "/s" in shown
    assert "feed.jsonl" in shown


def read_to_end(terminal: int) -> Iterator[str]:
    """What is written to a terminal until its last writer has gone."""
    try:
        while data := os.read(terminal, 4096):
            yield data.decode(errors="replace")
    except OSError:
        pass  # Linux says so when nobody is left on the other side
    finally:
        os.close(terminal)


def test_a_question_is_asked_before_an_alert_is_deleted(folder: Path) -> None:
    fms("alerts", "import", "alerts.jsonl").checked()
    no = ended(start("alerts", "delete", "mine", stdin=subprocess.PIPE), b"n\n")
    assert no.code == 0
    assert no.out == "delete mine of local@localhost? [y/N]: nothing was deleted\n"
    assert fms("alerts", "show", "mine").code == 0
    assert ended(start("alerts", "delete", "mine", stdin=subprocess.PIPE), b"y\n").code == 0
    assert refused(fms("alerts", "show", "mine")) == "no alert 'mine'"


def test_a_demo_begins_afresh_each_time_and_leaves_other_directories_alone(folder: Path) -> None:
    first = fms("demo", "--data", "demo").checked().out
    assert "Try next:" in first
    without_time = [line for line in first.splitlines() if " documents in " not in line]
    again = fms("demo", "--data", "demo").checked().out
    assert [line for line in again.splitlines() if " documents in " not in line] == without_time
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("keep")
    fms("demo", "--data", "mine")
    assert (folder / "mine" / "notes.txt").read_text() == "keep"
