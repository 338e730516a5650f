"""``fms run``: what it prints, what it takes, what it leaves for the next run, and that there is one at a time."""

import gzip
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import Ledger, ended, fms, fms_process, ledger, refused, start, written
from tests.acceptance.feeds import alerts, feed
from tests.acceptance.story import fare

KEYS = [
    "documents", "accepted", "rejected", "rejected_by_reason", "duplicates", "late", "unchanged", "first_seen", "moved",
    "gone", "notifications", "seconds",
]  # fmt: skip
MINE = {
    "ref": "mine", "kind": "target", "target_minor": 30_000, "origin": "JFK", "destination": "LHR", "currency": "USD",
    "depart_from": fare(1)["departure_date"], "depart_to": fare(1)["departure_date"],
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two files of fares and the alerts on them."""
    folder = tmp_path_factory.mktemp("run")
    one = written(folder / "one.jsonl", feed(5))
    return one, written(folder / "two.jsonl", feed(5, first=5)), written(folder / "alerts.jsonl", alerts())


@pytest.fixture(scope="module")
def expected(files: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return after(tmp_path_factory.mktemp("plain"), files, "--replay", files[0], "--replay", files[1])


def after(data: Path, files: tuple[Path, ...], *arguments: str | Path) -> Ledger:
    """The ledger of a directory after a run with the alerts and these arguments."""
    fms("run", *arguments, "--alerts", files[-1], "--data", data).checked()
    return ledger(data)


def test_the_last_line_in_json_has_the_keys_of_the_contract_and_adds_up(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    done = fms("run", "--replay", files[0], "--alerts", files[2], "--data", tmp_path, "--json").checked()
    report = json.loads(done.out.splitlines()[-1])
    assert [key for key in report if key in KEYS] == KEYS
    assert report["documents"] == report["accepted"] + report["rejected"] > 100
    assert report["rejected"] == sum(report["rejected_by_reason"].values()) > 0
    parts = ("duplicates", "late", "unchanged", "first_seen", "moved")
    assert report["accepted"] == sum(report[name] for name in parts)
    assert report["notifications"] == len(fms("notifications", "list", "--data", tmp_path, "--json").lines) > 0


@pytest.mark.parametrize("form", ["{0} {1}", "--replay {0} {1}", "{0} --replay {1}"])
def test_files_may_follow_each_other_in_several_ways(files: tuple[Path, Path, Path], tmp_path: Path, form: str) -> None:
    report = fms("run", *form.format(*files).split(), "--data", tmp_path, "--json").checked().report
    assert report["documents"] == sum(bool(line) for file in files[:2] for line in file.read_text().splitlines())


def test_files_after_one_option_are_replayed_as_with_an_option_each(
    files: tuple[Path, Path, Path], expected: Ledger, tmp_path: Path
) -> None:
    assert after(tmp_path, files, "--replay", files[0], files[1]) == expected


def test_a_packed_file_is_replayed_as_the_plain_one(
    files: tuple[Path, Path, Path], expected: Ledger, tmp_path: Path
) -> None:
    packed = tmp_path / "both.jsonl.gz"
    packed.write_bytes(gzip.compress(files[0].read_bytes() + files[1].read_bytes()))
    assert after(tmp_path / "data", files, "--replay", packed) == expected


@pytest.mark.parametrize("packed", [False, True])
def test_stdin_is_replayed_as_the_file(
    files: tuple[Path, Path, Path], expected: Ledger, tmp_path: Path, packed: bool
) -> None:
    given = files[0].read_bytes() + files[1].read_bytes()
    arguments = ("run", "--replay", "-", "--alerts", files[2], "--data", tmp_path)
    fms_process(*arguments, send=gzip.compress(given) if packed else given).checked()
    assert ledger(tmp_path) == expected


def test_the_same_input_gives_the_same_lists_apart_from_ids(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    both = []
    for name in ("one", "another"):
        data = tmp_path / name
        fms("run", "--replay", files[0], files[1], "--alerts", files[2], "--data", data).checked()
        both.append([without_ids(fms(group, "list", "--json", "--data", data).lines) for group in GROUPS])
        assert fms("notifications", "list", "--data", data).checked().out.count("\n") > 10
    assert both[0] == both[1]


GROUPS = ("alerts", "notifications")


def without_ids(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as text, without ids; alerts, which are sorted by id, by ref."""
    named = ("id", "alert_id", "notification_id")
    texts = [json.dumps({name: value for name, value in row.items() if name not in named}) for row in rows]
    return sorted(texts) if rows and "id" in rows[0] else texts


def test_state_carries_over_to_the_next_run(files: tuple[Path, Path, Path], expected: Ledger, tmp_path: Path) -> None:
    first = fms("run", "--replay", files[0], "--data", tmp_path, "--alerts", files[2], "--json").checked().report
    assert first["first_seen"] > 0
    second = fms("run", "--replay", files[1], "--data", tmp_path, "--json").checked().report
    assert second["moved"] + second["unchanged"] > 0
    again = fms("run", "--replay", files[0], "--data", tmp_path, "--json").checked().report
    assert (again["first_seen"], again["moved"]) == (0, 0)
    assert [one["trigger_minor"] for one in ledger(tmp_path)[0]] == [one["trigger_minor"] for one in expected[0]]


def test_what_was_primed_is_no_news_to_the_next_run(tmp_path: Path) -> None:
    known = written(tmp_path / "known.jsonl", [fare(250, at="d0 06:00")])
    fallen = written(tmp_path / "fallen.jsonl", [fare(250, at="d0 12:00"), fare(240, at="d0 18:00")])
    wishes, data = written(tmp_path / "alerts.jsonl", [MINE]), tmp_path / "data"
    primed = fms("run", "--replay", known, "--data", data, "--prime", "--alerts", wishes, "--json").checked().report
    assert (primed["first_seen"], primed["notifications"]) == (1, 0)
    report = fms("run", "--replay", fallen, "--data", data, "--json").checked().report
    assert (report["first_seen"], report["unchanged"], report["moved"], report["notifications"]) == (0, 1, 1, 1)


def test_documents_without_a_time_are_observed_when_the_option_says(tmp_path: Path) -> None:
    file = written(tmp_path / "fares.jsonl", [fare(250)])
    at = fare(250, at="d3 06:00")["observed_at"]
    fms("run", "--replay", file, "--data", tmp_path, "--observed-at", at).checked()
    one = fare(250)
    listed = fms("prices", "show", "JFK", "LHR", one["departure_date"], "--data", tmp_path, "--json").lines
    assert [row["observed_at"] for row in listed] == [at]


def test_rejected_documents_are_an_error_only_if_strict(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    lax = fms("run", "--replay", files[0], "--data", tmp_path)
    strict = fms("run", "--replay", files[0], "--data", tmp_path, "--strict", "--json")
    assert (lax.code, strict.code) == (0, 1)
    assert "warning: " in lax.err
    assert strict.report["rejected"] > 0
    clean = written(tmp_path / "clean.jsonl", [fare(250, at="d0 06:00")])
    assert fms("run", "--replay", clean, "--data", tmp_path, "--strict").code == 0


@pytest.mark.parametrize(("text", "documents"), [("", 0), ("\n\n", 0), ("{\n[]\n", 2)])
def test_a_file_without_a_fare_is_an_ordinary_file(tmp_path: Path, text: str, documents: int) -> None:
    file = tmp_path / "fares.jsonl"
    file.write_text(text)
    report = fms("run", "--replay", file, "--data", tmp_path / "data", "--json").checked().report
    assert (report["documents"], report["accepted"], report["rejected"]) == (documents, 0, documents)


@contextmanager
def run_at_work(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run that holds the directory and waits for fares on stdin."""
    process = start("run", "--replay", "-", "--data", data, "--json", stdin=subprocess.PIPE)
    try:
        wait_for_lock(data / "run.lock", process)
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_lock(lock: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when the process says in its lock file that it has it."""
    while not (lock.exists() and lock.read_text() == str(process.pid)):
        assert process.poll() is None, "the run ended"


def test_a_second_run_says_that_there_is_one_and_leaves_it_alone(tmp_path: Path) -> None:
    data, wishes = tmp_path / "data", written(tmp_path / "alerts.jsonl", [MINE])
    file = written(tmp_path / "fares.jsonl", [fare(250, at="d0 06:00")])
    fms("db", "upgrade", "--data", data).checked()
    with run_at_work(data) as process:
        busy = refused(fms("run", "--replay", file, "--data", data), 3)
        assert str(data) in busy
        assert f"process {process.pid}" in busy
        imported = fms("alerts", "import", wishes, "--user", "ann@example.org", "--data", data).checked()
        assert "1 added" in imported.out
        assert "is at work here: a run evaluates the alerts" in imported.err
        done = ended(process, file.read_bytes()).checked()
    assert done.report["notifications"] == 1
    assert [row["status"] for row in ledger(data)[1]] == ["sent"]
    assert fms("run", "--replay", file, "--data", data).code == 0
