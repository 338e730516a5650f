"""A run killed at any moment and repeated gives the ledger that an undisturbed run gives."""

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from copy import copy
from pathlib import Path
from random import Random
from shutil import copytree
from time import monotonic

import pytest

from tests.acceptance.commands import Done, Ledger, ended, fms, fms_process, ledger, start, written
from tests.acceptance.feeds import alerts, feed, peopled
from tests.acceptance.killed import MAKING, RUNNING, TELLING, Scaffold

LONG, SHORT = 62, 10


class Case:
    """A feed and alerts, a data directory in which users wait for them, and what an undisturbed run makes of it.

    Args:
        folder: where everything lives.
        steps: length of the feed.
        users: whether other users have alerts before the run.
    """

    def __init__(self, folder: Path, steps: int, *, users: bool = True) -> None:
        self.folder = folder
        self.alerts = written(folder / "alerts.jsonl", alerts())
        self.files = [
            written(folder / "one.jsonl", feed(steps)),
            written(folder / "two.jsonl", feed(2, 2, steps, off=3_000)),
        ]
        self._begin = peopled(folder) if users else None
        undisturbed = self.begun("undisturbed")
        began = monotonic()
        fms_process(*self.run(undisturbed)).checked()
        self.seconds = monotonic() - began
        self.batches = batches_done(undisturbed)
        self.told = fms_process(*self.next_run(undisturbed)).checked().report["told"]
        self.expected = ledger(undisturbed)

    def begun(self, name: str) -> Path:
        """A data directory before the run."""
        data = self.folder / name
        if self._begin:
            copytree(self._begin, data)
        return data

    def run(self, data: Path, size: int = 20) -> list[str | Path]:
        """The run that is disturbed."""
        return ["run", "--replay", self.files[0], "--alerts", self.alerts, "--data", data, "--batch-size", str(size)]

    def next_run(self, data: Path) -> list[str | Path]:
        """The run after it."""
        return ["run", "--replay", self.files[1], "--data", data, "--json"]

    def finished(self, data: Path, size: int = 20) -> Ledger:
        """The ledger after the disturbed run was repeated to its end, and the next run."""
        fms(*self.run(data, size)).checked()
        fms(*self.next_run(data)).checked()
        return ledger(data)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("long"), LONG)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("short"), SHORT)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("fresh"), SHORT, users=False)


@pytest.fixture(scope="module")
def scaffold() -> Iterator[Scaffold]:
    with Scaffold() as opened:
        yield opened


def batches_done(data: Path) -> int:
    """How many batches the price book of a directory has taken, over all runs."""
    with closing(sqlite3.connect(data / "prices.sqlite")) as book:
        (found,) = book.execute("SELECT coalesce(sum(version), 0) FROM partition_version").fetchone()
        return int(found)


def stopped(case: Case, data: Path, part: float, by: signal.Signals = signal.SIGKILL, **env: str) -> Done:
    """A run that is sent a signal when it has done a part of its batches."""
    goal = batches_done(data) + int(part * case.batches)
    process = start(*case.run(data), env=env)
    while batches_done(data) < goal and process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.005)
    process.send_signal(by)
    return ended(process)


def test_the_feed_makes_alerts_of_every_kind_fire_learn_and_rearm(long: Case) -> None:
    listed, rows = long.expected
    assert {row["kind"] for row in rows} == {"target", "drop_percent", "drop_amount", "new_low"}
    assert {one["state"] for one in listed} == {"armed", "fired"}
    assert {"sent", "superseded", "gone", "held", "cooling"} == {row["status"] for row in rows}
    assert len(rows) > 1_000
    assert any(row["unusual"] for row in rows)
    assert max(row["revision"] for row in rows) > 1
    assert all(one["reference_minor"] for one in listed if one["kind"] != "target")
    assert {"sent", "held"} <= long.told.keys()


@pytest.mark.parametrize("parts", [[0.05, 0.3, 0.6, 0.9], [0.97, 0.5, 0.2, 0.8]], ids=["ever later", "here and there"])
def test_a_run_killed_several_times_ends_as_if_nothing_had_happened(
    long: Case, tmp_path: Path, parts: list[float]
) -> None:
    data = copytree(long.begun(tmp_path.name), tmp_path / "data")
    codes = [stopped(long, data, part).code for part in parts]
    assert codes == [-signal.SIGKILL] * len(parts)
    assert long.finished(data) == long.expected


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_a_run_killed_many_times_ends_as_if_nothing_had_happened(long: Case, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    data = copytree(long.begun(tmp_path.name), tmp_path / "data")
    hits = 0
    for _ in range(25):
        process = start(*long.run(data))
        with suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0, 1.1) * long.seconds)
        process.kill()
        hits += ended(process).code == -signal.SIGKILL
    assert hits > 5
    assert long.finished(data, random.choice((3, 20, 10_000))) == long.expected


@pytest.mark.parametrize("point", [*RUNNING, *TELLING])
def test_a_run_killed_at_its_worst_moment_ends_as_if_nothing_had_happened(
    short: Case, scaffold: Scaffold, point: str
) -> None:
    data = short.begun(point)
    scaffold.kill(point, *short.run(data))
    assert short.finished(data) == short.expected


@pytest.mark.parametrize("point", MAKING)
def test_a_run_killed_while_it_makes_what_it_needs_ends_as_if_nothing_had_happened(
    fresh: Case, scaffold: Scaffold, point: str
) -> None:
    data = fresh.begun(point)
    scaffold.kill(point, *fresh.run(data))
    assert fresh.finished(data) == fresh.expected


@pytest.mark.parametrize("sizes", [(20, 10_000), (10_000, 20)], ids=str)
def test_a_killed_run_may_be_repeated_with_batches_of_another_size(
    short: Case, scaffold: Scaffold, sizes: tuple[int, int]
) -> None:
    data = short.begun(f"sizes {sizes}")
    scaffold.kill("after the second match", *short.run(data, sizes[0]))
    assert short.finished(data, sizes[1]) == short.expected


def test_a_finished_run_repeated_changes_nothing(short: Case) -> None:
    data = short.begun("repeated")
    fms(*short.run(data)).checked()
    before = ledger(data)
    report = fms(*short.run(data), "--json").checked().report
    assert (report["first_seen"], report["moved"], report["unchanged"], report["gone"]) == (0, 0, 0, 0)
    assert report["told"] == {}
    assert ledger(data) == before


def test_what_was_sent_but_not_noted_is_sent_again_under_the_same_group(short: Case, scaffold: Scaffold) -> None:
    data = short.begun("sent twice")
    first = scaffold.kill("after a push", *short.run(data))
    again = fms(*short.run(data)).checked()
    pushes = [line for line in first.out.splitlines() if ": " in line and not line.startswith(" ")]
    assert pushes[-1] in again.out.splitlines()
    fms(*short.next_run(data)).checked()
    assert ledger(data) == short.expected


def test_an_interrupted_run_says_so_in_one_line_and_can_be_repeated(long: Case, tmp_path: Path) -> None:
    data = copytree(long.begun(tmp_path.name), tmp_path / "data")
    done = stopped(long, data, 0.5, signal.SIGINT)
    assert done.code == 130
    # Typer ends the line that ^C stands on.
    assert done.err.strip() == "fms: interrupted: run the same command again to finish"
    assert long.finished(data) == long.expected


def test_a_run_killed_while_a_second_process_reads_ahead_can_be_repeated_at_once(long: Case, tmp_path: Path) -> None:
    data = copytree(long.begun(tmp_path.name), tmp_path / "data")
    padded = [line if isinstance(line, str) else line | {"note": "x" * 1_000} for line in feed(LONG)]
    large = written(tmp_path / "large.jsonl", padded)
    assert large.stat().st_size > 1_000_000
    case = copy(long)
    case.files = [large, *long.files[1:]]
    for part in (0.1, 0.5, 0.9):
        done = stopped(case, data, part, FMS_READ_AHEAD_MB="1")
        assert done.code == -signal.SIGKILL, done.err
    assert long.finished(data) == long.expected
