"""``fms shard`` as somebody types it: shards come and go, slots move, and whatever happens meanwhile is told."""

import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from fms.bootstrap import open_shards
from fms.rebalance.plan import Plan, PlannedMove
from tests.acceptance.commands import ROOT, Done, Ledger, ended, fms, fms_process, ledger, refused, start, written
from tests.acceptance.feeds import alerts, feed
from tests.services.postgres import Databases
from tests.services.processes import until

STANDS = ("tests.acceptance.killed", "second move")
"""Runs a command that waits when its second move is about to be decided."""


@pytest.fixture(scope="module")
def fired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a site of two files in which something fired, to be copied."""
    folder = tmp_path_factory.mktemp("fired")
    wishes = written(folder / "wishes.jsonl", alerts())
    fares = written(folder / "feed.jsonl", feed(30))
    fms("run", fares, "--alerts", wishes, "--data", folder / "d").checked()
    assert ledger(folder / "d")[1]
    return folder / "d"


@pytest.fixture
def data(fired: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, on which every command of the test works."""
    monkeypatch.setenv("FMS_DATA", str(tmp_path / "d"))
    # A mover that waits is soon given up.
    monkeypatch.setenv("FMS_MOVE_LEASE_SECONDS", "0.5")
    return copytree(fired, tmp_path / "d")


@pytest.fixture
def grown(data: Path) -> Path:
    """The same, with a third file that owns nothing yet."""
    fms("shard", "add", "local2", "sqlite:///local2.sqlite").checked()
    return data


class Gate:
    """Where a rebalance waits under the fence of its second move; see ``killed.Held``."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path = path
        self._end: int | None = None

    def reached(self) -> bool:
        """Whether it waits there."""
        if self._end is None:
            with suppress(OSError):
                self._end = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        return self._end is not None

    def open(self) -> None:
        """Let it go on."""
        if self._end is not None:
            os.close(self._end)
        self._end = None


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setenv("HELD", str(tmp_path / "gate"))
    made = Gate(tmp_path / "gate")
    yield made
    made.open()


@dataclass
class Waiting:
    """A rebalance that waits at a gate."""

    process: "subprocess.Popen[bytes]"
    gate: Gate

    def go_on(self, number: signal.Signals | None = None) -> Done:
        """Let it go on, with a signal; answers how it ended."""
        if number:
            self.process.send_signal(number)
        self.gate.open()
        return ended(self.process)

    def kill(self) -> None:
        self.process.kill()
        assert ended(self.process).code == -signal.SIGKILL


@pytest.fixture
def waiting(grown: Path, gate: Gate) -> Iterator[Waiting]:
    """A rebalance that waits under the fence of its second move."""
    with begun(gate) as made:
        yield made


@contextmanager
def begun(gate: Gate, **env: str) -> Iterator[Waiting]:
    with start("shard", "rebalance", "--yes", program=STANDS, env=env) as process:
        until(gate.reached, "it waits at the gate")
        yield Waiting(process, gate)
        if process.poll() is None:
            process.kill()


def shards() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in fms("shard", "list", "--json").checked().lines}


def status() -> dict[str, Any]:
    return fms("shard", "status", "--json").checked().report


def assert_well(data: Path, before: Ledger) -> None:
    """Nothing is wrong, and lists say what they said."""
    assert fms("shard", "check", "--json").checked().report["faults"] == []
    assert fms("shard", "verify", "--json").checked().report == {"findings": []}
    assert ledger(data) == before


def test_a_site_grows_by_a_file_and_gives_one_up(data: Path) -> None:
    before = ledger(data)
    assert "owns nothing yet" in fms("shard", "add", "local2", "sqlite:///local2.sqlite").checked().out
    assert [(row["slots"], row["share"] > 1) for row in shards().values()] == [(2048, True), (2048, True), (0, False)]
    done = fms("shard", "rebalance", "--yes", "--json").checked().report
    assert (done["state"], done["done"], done["failed"]) == ("done", done["moves"], 0)
    assert 0 < done["pause_p50_ms"] <= done["pause_p99_ms"] <= done["pause_max_ms"]
    assert {one["shard"]: one["slots"] for one in done["balance"]} == {
        name: row["slots"] for name, row in shards().items()
    }
    assert all(0.9 < row["share"] < 1.1 for row in shards().values())
    assert_well(data, before)
    fms("shard", "rebalance", "--drain", "local0", "--yes").checked()
    assert shards()["local0"]["slots"] == 0
    assert sum(row["left_over"] for row in shards().values()) > 0
    assert fms("db", "maintain", "--json").checked().report["moved rows"] > 0
    assert sum(row["left_over"] for row in shards().values()) == 0
    assert fms("shard", "remove", "local0").checked().out == "local0 is no shard any more\n"
    assert list(shards()) == ["local1", "local2"]
    assert_well(data, before)


def test_a_site_of_files_moves_to_a_server(data: Path, postgres: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ledger(data)
    monkeypatch.setenv("PG1", postgres.new_database())
    fms("shard", "add", "pg1", "${PG1}").checked()
    fms("shard", "rebalance", "--drain", "local0", "--drain", "local1", "--yes", "--parallel", "2").checked()
    assert {name: row["slots"] for name, row in shards().items()} == {"local0": 0, "local1": 0, "pg1": 4096}
    assert_well(data, before)
    for name in ("local0", "local1"):
        assert "rows that were moved away still lie in its database" in fms("shard", "remove", name).checked().out
    assert_well(data, before)


def test_a_plan_is_shown_and_kept_and_moves_nothing(grown: Path) -> None:
    before = shards()
    shown = fms("shard", "plan").checked().out.splitlines()
    assert shown[0].startswith("plan 1 moves 1,")
    assert shown[1].split() == ["shard", "slots", "rows", "of", "even"]
    assert [line.split()[0] for line in shown[2:5]] == ["local0", "local1", "local2"]
    assert shown[4].split()[1:3] == ["0", "→"]
    assert shown[5:] == ["fms shard rebalance --plan 1 carries it out"]
    told = fms("shard", "plan", "--drain", "local0", "--json").checked().report
    assert (told["plan"], told["moves"], told["slots"] >= 2048) == (2, len(told["steps"]), True)
    assert {one["shard"]: one["slots"] for one in told["after"]}["local0"] == 0
    assert shards() == before
    assert "plan 2: " in fms("shard", "status").checked().out


def test_what_would_be_moved_is_shown_and_not_kept(grown: Path) -> None:
    assert fms("shard", "rebalance", "--dry-run").checked().out.startswith("this plan moves 1,")
    assert fms("shard", "rebalance", "--dry-run", "--json").checked().report["plan"] is None
    assert status() == {"job": None}


def test_shards_that_are_even_are_left_alone(data: Path) -> None:
    assert fms("shard", "rebalance", "--yes").checked().out.startswith("there is nothing to move")
    assert fms("shard", "plan", "--json").checked().report["plan"] is None
    assert status() == {"job": None}


def test_a_plan_is_carried_out_once_and_only_while_it_holds(grown: Path) -> None:
    fms("shard", "plan").checked()
    fms("shard", "plan", "--drain", "local0").checked()
    fms("shard", "rebalance", "--plan", "1", "--yes").checked()
    assert refused(fms("shard", "rebalance", "--plan", "1", "--yes")).startswith("plan 1 is done")
    assert "plan 2 is out of date" in refused(fms("shard", "rebalance", "--plan", "2", "--yes"))
    assert refused(fms("shard", "rebalance", "--plan", "3", "--yes")) == "there is no plan 3"


def test_a_plan_whose_shard_was_removed_is_out_of_date(grown: Path) -> None:
    fms("shard", "plan").checked()
    fms("shard", "remove", "local2").checked()
    assert "plan 1 is out of date" in refused(fms("shard", "rebalance", "--plan", "1", "--yes"))


def test_a_shard_to_which_slots_are_on_their_way_stays(grown: Path) -> None:
    with open_shards() as found:
        found.journal.start(found.plan().id, {})
    assert refused(fms("shard", "remove", "local2")) == "rebalance 1 has to do with shard local2, and has not ended"


def test_a_rebalance_that_is_killed_is_resumed(waiting: Waiting, data: Path) -> None:
    waiting.kill()
    assert refused(fms("shard", "rebalance", "--yes")).startswith("rebalance 1 is running: fms shard resume or")
    [current] = status()["current"]
    assert (current["number"], current["step"]) == (2, "fenced")
    until(lambda: "nobody is at work on it" in fms("shard", "status").out, "its lease runs out")
    before = ledger(data)
    told = fms("shard", "resume").checked().out
    assert told.startswith("rebalance 1 is done after ")
    assert_well(data, before)


def test_a_rebalance_is_paused_and_resumed(waiting: Waiting, data: Path) -> None:
    assert fms("shard", "pause").checked().out == "rebalance 1 is paused: fms shard resume goes on\n"
    done = waiting.go_on()
    assert (done.code, done.err) == (3, "fms: rebalance 1 was paused: fms shard resume goes on with it\n")
    found = status()
    assert (found["state"], found["done"], found["current"]) == ("paused", 2, [])
    before = ledger(data)
    fms("shard", "pause").checked()
    assert fms("shard", "resume", "--json").checked().report["state"] == "done"
    assert_well(data, before)


def test_a_rebalance_is_aborted_and_what_was_moved_stays(waiting: Waiting, data: Path) -> None:
    waiting.kill()
    assert "--yes does it without being asked" in refused(fms("shard", "abort"))
    told = fms("shard", "abort", "--yes").checked().out.splitlines()
    assert told[0].startswith("rebalance 1 was aborted after ")
    assert f": 1 of {status()['moves']} moves made" in told[0]
    assert shards()["local2"]["slots"] == 256
    assert_well(data, ledger(data))
    assert refused(fms("shard", "resume")) == "no rebalance is under way"
    fms("shard", "rebalance", "--yes").checked()


def test_one_that_was_taken_over_says_how_it_ended(waiting: Waiting, data: Path) -> None:
    fms("shard", "resume").checked()
    done = waiting.go_on()
    assert done.code == 0
    assert "rebalance 1 is done after " in done.out
    assert_well(data, ledger(data))


def test_one_that_was_aborted_by_somebody_says_so(waiting: Waiting, data: Path) -> None:
    fms("shard", "abort", "--yes").checked()
    done = waiting.go_on()
    assert done.code == 1
    assert "rebalance 1 was aborted after " in done.out
    assert_well(data, ledger(data))


def test_one_that_is_under_way_elsewhere_is_not_touched(grown: Path, gate: Gate) -> None:
    with begun(gate, FMS_MOVE_LEASE_SECONDS="60") as waiting:
        told = refused(fms("shard", "resume"), 3)
        assert told.startswith("rebalance 1 is under way elsewhere: move 2 is carried out by ")
        assert waiting.go_on().code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_that_is_asked_to_end_can_be_resumed(
    waiting: Waiting, data: Path, number: signal.Signals, code: int
) -> None:
    done = waiting.go_on(number)
    assert done.code == code
    assert done.err.splitlines()[-1] == ("fms: rebalance 1 has stopped where it was: fms shard resume goes on with it")
    assert status()["done"] == 2, "a move that was under its fence is brought to its end"
    fms("shard", "resume").checked()
    assert_well(data, ledger(data))


def test_one_that_is_asked_twice_ends_at_once(waiting: Waiting, data: Path) -> None:
    waiting.process.send_signal(signal.SIGINT)
    waiting.process.send_signal(signal.SIGTERM)
    done = ended(waiting.process)
    assert done.code in (130, 143)
    assert (done.out.count("\n"), done.err) == (5, ""), "the plan, and nothing after it"
    assert [one["number"] for one in status()["current"]] == [2]
    fms("shard", "resume").checked()
    assert_well(data, ledger(data))


def test_a_rebalance_outlives_its_terminal(grown: Path, gate: Gate) -> None:
    process, terminal = begun_on_terminal("-m", *STANDS, "shard", "rebalance", "--yes")
    shown = read_until(terminal, gate.reached)
    assert "moves" in shown
    assert "move 2, local" in shown
    os.close(terminal)
    gate.open()
    _, how = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(how) == 0
    found = status()
    assert (found["state"], found["done"]) == ("done", found["moves"])


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_a_rebalance_needs_nobody_who_listens(grown: Path, closed: str) -> None:
    command = f"{sys.executable} -m fms_cli shard rebalance --yes {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert status()["state"] == "done"


def test_a_rebalance_asks_first(grown: Path) -> None:
    assert "--yes does it without being asked" in refused(fms_process("shard", "rebalance"))
    assert status() == {"job": None}
    for answer, sentence, state in (
        (b"n\n", "nothing was moved; fms shard rebalance --plan 1 does it", "planned"),
        (b"y\n", "rebalance 2 is done", "done"),
    ):
        process, terminal = begun_on_terminal("-m", "fms_cli", "shard", "rebalance")
        os.write(terminal, answer)
        shown = read_until(terminal, lambda process=process: has_ended(process))  # type: ignore[misc]
        assert "moves? [y/N]: " in shown
        assert sentence in shown
        assert status()["state"] == state
        os.close(terminal)
        os.waitpid(process, 0)


def test_watching_tells_what_changes_until_it_ends(waiting: Waiting) -> None:
    watching = start("shard", "status", "--watch")
    assert watching.stdout is not None
    first = watching.stdout.readline().decode()
    assert first.startswith("rebalance 1: running, 1 of ")
    assert waiting.go_on().code == 0
    lines = ended(watching).checked().out.splitlines()
    assert lines[-1].startswith("rebalance 1: done, ")
    assert len(set(lines)) == len(lines)


def test_watching_on_a_terminal_ends_with_the_rebalance(waiting: Waiting) -> None:
    process, terminal = begun_on_terminal("-m", "fms_cli", "shard", "status", "--watch")
    assert "rebalance 1: running, 1 of " in read_until(terminal, lambda: False, "fenced")
    assert waiting.go_on().code == 0
    shown = read_until(terminal, lambda: has_ended(process))
    assert "rebalance 1: done, " in shown
    assert "writes waited" in shown
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_moves_that_fail_are_told_with_their_reasons(grown: Path) -> None:
    with open_shards() as found:
        found.journal.add(Plan((PlannedMove("local0", "local2", (1, 2, 3), 0),), (), (), ()), {})
    done = fms("shard", "rebalance", "--plan", "1", "--max-pause-ms", "1", "--yes")
    assert done.code == 1
    assert done.out.startswith("rebalance 1 failed after ")
    why = "from local0 to local2 was not made: more than 1 ms under the fence"
    assert done.err == f"move 5 {why}\nfms shard rebalance makes a new plan of what is left\n"
    found_again = status()
    assert (found_again["state"], found_again["moves"], found_again["failed"]) == ("failed", 1, 1)
    assert found_again["failures"] == [{"number": 5, "error": "more than 1 ms under the fence"}]
    assert why in fms("shard", "status").checked().out


def test_a_service_that_does_not_answer_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_CATALOG_URL", "postgres://me:geheim@127.0.0.1:1/fms")
    for command in ("list", "status", "plan", "rebalance --yes", "pause", "resume", "check", "rebuild-map"):
        assert refused(fms("shard", *command.split()), 3).startswith("postgresql://me@127.0.0.1:1/fms: ")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("locate nonsense", "two airports, an e-mail or an id wanted, not 'nonsense'"),
        ("locate JFK L", "not an airport code: 'L'"),
        ("add local1 sqlite:///new.sqlite", "there is a shard local1 already"),
        ("add Two sqlite:///new.sqlite", "shard 1: NAME=URL wanted"),
        ("add two nonsense", "shard two: this kind of database is not supported"),
        ("add two sqlite:///local1.sqlite", "is the database of shard local1"),
        ("add two ${NOT_SET}", "asks for the environment variable NOT_SET, which is not set"),
        ("remove nobody", "there is no shard nobody"),
        ("remove local1", "shard local1 owns 2,048 slots: fms shard rebalance --drain local1 moves them away"),
        ("plan --drain nobody", "there is no shard nobody"),
        ("plan --drain local0 --drain local1", "all shards are to be drained"),
        ("rebalance --plan 7 --drain local0 --yes", "--plan carries out what is planned"),
        ("rebalance --plan 7 --yes", "there is no plan 7"),
        ("rebalance --parallel 0 --yes", "Invalid value for '--parallel'"),
        ("pause", "no rebalance is under way"),
        ("resume", "no rebalance is under way"),
        ("abort --yes", "no rebalance is under way"),
        ("verify 4096", "Invalid value for '[SLOT]'"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(data: Path, command: str, told: str) -> None:
    assert told in refused(fms("shard", *command.split()))


def test_a_slot_is_located_by_what_is_in_it(data: Path) -> None:
    [wish, *_] = fms("alerts", "list", "--json").checked().lines
    route = (wish["origin"], wish["destination"])
    found = fms("shard", "locate", *route, "--json").checked().report
    assert fms("shard", "locate", wish["id"], "--json").checked().report == found
    assert (found["partition"], found["state"], found["epoch"]) == (found["slot"] % 16, "active", 1)
    shard = "local0" if found["slot"] < 2048 else "local1"
    told = fms("shard", "locate", *map(str.lower, route)).checked().out
    assert told == f"slot {found['slot']}, partition {found['partition']}, shard {shard} (active, epoch 1)\n"
    user = fms("shard", "locate", wish["user"], "--json").checked().report
    assert fms("shard", "locate", wish["user"].upper(), "--json").checked().report == user


def test_a_slot_in_hand_says_so(waiting: Waiting) -> None:
    with open_shards() as found:
        [move] = found.journal.open_moves()
        place = found.locate(move.slots[0])
    assert (place.shard, place.state, place.job_id) == (move.source, "fenced", 1)
    assert shards()[move.source]["fenced"] == shards()["local2"]["importing"] == len(move.slots)
    assert fms("shard", "check").checked().out.startswith(f"4,096 slots looked at, {len(move.slots)} of them are being")


def test_a_map_that_is_wrong_is_found_and_made_again(data: Path) -> None:
    with sqlite3.connect(data / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE slot_map SET shard = 'local1' WHERE slot = 7")
        catalog.execute("DELETE FROM slot_map WHERE slot = 4095")
    catalog.close()
    wrong = fms("shard", "check")
    assert wrong.code == 1
    assert "slot 7 is owned by local0, and the map says local1: fms shard rebuild-map" in wrong.out
    assert fms("shard", "rebuild-map").checked().out == "2 slots set right\n"
    assert fms("shard", "rebuild-map").checked().out == "the map was right\n"
    assert fms("shard", "check").checked().out == "4,096 slots looked at\n"


def test_a_shard_that_an_older_catalog_does_not_know_is_brought_back(data: Path) -> None:
    before = ledger(data)
    with sqlite3.connect(data / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE slot_map SET shard = 'local0'")
        catalog.execute("DELETE FROM shard WHERE name = 'local1'")
    catalog.close()
    assert "slot 2048 is owned by no shard" in refused(fms("shard", "rebuild-map"), 4)
    assert (
        fms("shard", "add", "local1", "sqlite:///local1.sqlite")
        .checked()
        .out.startswith("shard local1 is back with 2,048 slots")
    )
    assert fms("shard", "rebuild-map").checked().out == "2,048 slots set right\n"
    assert_well(data, before)
    elsewhere = data.parent / "another"
    fms("alerts", "list", "--data", elsewhere).checked()
    of_another = f"sqlite:///{elsewhere / 'local1.sqlite'}"
    assert "belongs to another shard or site" in refused(fms("shard", "add", "more", of_another))


def test_what_verify_finds_ends_it_with_1(data: Path) -> None:
    with sqlite3.connect(data / "local0.sqlite") as shard:
        shard.execute("UPDATE slot_owner SET state = 'fenced' WHERE slot = 9")
    shard.close()
    found = fms("shard", "verify")
    assert found.code == 1
    assert "slot 9" in found.out
    assert found.out.endswith(" findings\n")
    assert fms("shard", "verify", "10").checked().out == "all is well\n"
    assert fms("shard", "verify", "9", "--json").code == 1


def begun_on_terminal(*arguments: str) -> tuple[int, int]:
    """A process that has a terminal for itself, and our end of it."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(ROOT)
        os.environ |= {"TERM": "xterm", "COLUMNS": "140"}
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  # there is none
    return process, terminal


def has_ended(process: int) -> bool:
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def read_until(terminal: int, condition: Callable[[], bool], wanted: str | None = None) -> str:
    """What a terminal shows until a condition holds or it has shown what is wanted."""
    shown = b""
    os.set_blocking(terminal, False)

    def enough() -> bool:
        nonlocal shown
        over = condition()
        try:
            while data := os.read(terminal, 65_536):
                shown += data
        except OSError:
            pass  # nothing more now, or ever
        return over or (wanted is not None and wanted in shown.decode())

    until(enough, "the terminal shows it")
    return shown.decode()
