"""The stages as jobs of their own: what they tell together is what one run tells, wherever they are killed."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.commands import Ledger, ended, fms, ledger, refused, start, written
from tests.acceptance.feeds import alerts, feed
from tests.acceptance.killed import STAGES, Scaffold

LOCAL = "local@localhost"
Command = list[str | Path]
# Only diff has a price book to flush.
KILLS = [("ingest", "before the file is in place")]
KILLS += [("match", point) for point in STAGES if "file" in point]
KILLS += [("diff", point) for point in STAGES]


class Jobs:
    """Files and commands of the four stages over one data directory."""

    def __init__(self, folder: Path, feed_file: Path, alert_file: Path) -> None:
        self.data, self.feed = folder / "data", feed_file
        self.fares, self.changes, self.fired = (folder / name for name in ("fares", "changes", "fired"))
        fms("alerts", "import", alert_file, "--user", LOCAL, "--data", self.data).checked()

    def commands(self) -> Iterator[Command]:
        """The stages in order."""
        yield ["ingest", "--replay", self.feed, "--out", self.fares, "--batch-size", "20", "--data", self.data]
        yield ["diff", self.fares, "--out", self.changes, "--data", self.data]
        yield ["match", self.changes, "--out", self.fired, "--data", self.data]
        yield ["notify", self.fired, "--data", self.data]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("stages")
    return written(folder / "feed.jsonl", feed(6)), written(folder / "alerts.jsonl", alerts())


@pytest.fixture(scope="module")
def expected(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    data = tmp_path_factory.mktemp("run")
    fms("run", "--replay", files[0], "--alerts", files[1], "--data", data).checked()
    return ledger(data)


@pytest.fixture(scope="module")
def scaffold() -> Iterator[Scaffold]:
    with Scaffold() as opened:
        yield opened


@pytest.fixture
def jobs(files: tuple[Path, Path], tmp_path: Path) -> Jobs:
    return Jobs(tmp_path, *files)


def test_the_stages_one_after_the_other_tell_what_a_run_tells(jobs: Jobs, expected: Ledger) -> None:
    for command in jobs.commands():
        fms(*command).checked()
    assert ledger(jobs.data) == expected


def test_every_stage_may_be_repeated_before_the_next(jobs: Jobs, expected: Ledger) -> None:
    for command in jobs.commands():
        fms(*command).checked()
        fms(*command).checked()
    assert ledger(jobs.data) == expected


def test_a_result_made_for_another_data_directory_is_made_anew(
    jobs: Jobs, expected: Ledger, files: tuple[Path, Path], tmp_path: Path
) -> None:
    ingest, diff, *rest = jobs.commands()
    fms(*ingest).checked()
    other = tmp_path / "other"
    fms("run", "--replay", files[0], "--data", other).checked()
    fms("diff", jobs.fares, "--out", jobs.changes, "--data", other).checked()
    for command in (diff, *rest):
        fms(*command).checked()
    assert ledger(jobs.data) == expected


@pytest.mark.parametrize(("stage", "point"), KILLS)
def test_a_stage_that_was_killed_and_repeated_loses_nothing(
    jobs: Jobs, expected: Ledger, scaffold: Scaffold, stage: str, point: str
) -> None:
    for command in jobs.commands():
        if command[0] == stage:
            scaffold.kill(point, *command)
        fms(*command).checked()
    assert ledger(jobs.data) == expected


def test_stages_pass_batches_through_pipes(jobs: Jobs, expected: Ledger) -> None:
    taken: bytes | None = None
    for command in jobs.commands():
        taken = piped(command, taken)
    assert ledger(jobs.data) == expected


def piped(command: Command, given: bytes | None) -> bytes:
    """A stage's stdout, with files of batches replaced by stdin and stdout."""
    words = ["-" if isinstance(word, Path) and word.name in ("fares", "changes", "fired") else word for word in command]
    process = start(*words, stdin=subprocess.PIPE)
    with process:
        out, err = process.communicate(given)
    assert process.returncode == 0, err.decode()
    return out


def test_ingest_alone_checks_a_file_and_prints_the_counts(files: tuple[Path, Path], tmp_path: Path) -> None:
    done = fms("ingest", "--replay", files[0], "--data", tmp_path / "data", "--json").checked()
    assert done.report["documents"] == done.report["accepted"] + done.report["rejected"]
    assert done.report["rejected"] == sum(done.report["rejected_by_reason"].values()) > 0
    assert not (tmp_path / "data").exists()
    told = fms("ingest", "--replay", files[0], "--data", tmp_path / "data").checked()
    assert f"{done.report['documents']:,} documents" in told.out
    assert fms("ingest", "--replay", files[0], "--data", tmp_path / "data", "--strict").code == 1


@pytest.mark.parametrize("stage", ["diff", "match", "notify"])
@pytest.mark.parametrize("kind", ["missing", "directory", "another kind", "cut off", "empty"])
def test_a_stage_says_in_one_line_what_it_cannot_read(jobs: Jobs, tmp_path: Path, stage: str, kind: str) -> None:
    fms(*next(jobs.commands())).checked()
    given = tmp_path / "given"
    if kind == "directory":
        given.mkdir()
    elif kind == "another kind":
        given.write_bytes(jobs.feed.read_bytes())
    elif kind != "missing":
        given.write_bytes(jobs.fares.read_bytes()[:2_000] if kind == "cut off" else b"")
    out: Command = [] if stage == "notify" else ["--out", tmp_path / "out"]
    assert str(given) in refused(fms(stage, given, *out, "--data", jobs.data))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_a_stage_whose_result_cannot_be_written_changes_nothing(jobs: Jobs, expected: Ledger, tmp_path: Path) -> None:
    ingest, diff, *rest = jobs.commands()
    fms(*ingest).checked()
    nowhere = tmp_path / "missing" / "changes"
    assert str(nowhere) in refused(fms("diff", jobs.fares, "--out", nowhere, "--data", jobs.data), 4)
    for command in (diff, *rest):
        fms(*command).checked()
    assert ledger(jobs.data) == expected


def test_stages_count_in_json_what_they_did(jobs: Jobs) -> None:
    counts = [fms(*command, "--json").checked().report for command in jobs.commands()]
    assert counts[0]["accepted"] == sum(counts[1].values()) - counts[1]["gone"]
    assert counts[2]["fired"] >= counts[3]["notifications"] > 0


def test_a_result_on_stdout_has_its_words_on_stderr(jobs: Jobs) -> None:
    process = start("ingest", "--replay", jobs.feed, "--out", "-", "--data", jobs.data, "--json")
    with process:
        out, err = process.communicate()
    assert process.returncode == 0
    jobs.fares.write_bytes(out)
    assert b"documents" in err
    fms("diff", jobs.fares, "--out", jobs.changes, "--data", jobs.data).checked()


def test_a_result_goes_into_a_named_pipe_and_leaves_it_a_pipe(jobs: Jobs, tmp_path: Path) -> None:
    fms(*next(jobs.commands())).checked()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start("ingest", "--replay", jobs.feed, "--batch-size", "20", "--out", pipe, "--data", jobs.data)
    assert pipe.read_bytes() == jobs.fares.read_bytes()
    assert ended(process).code == 0
    assert pipe.is_fifo()


def test_a_result_goes_where_a_link_points_and_leaves_the_link(jobs: Jobs, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    fms("ingest", "--replay", jobs.feed, "--out", link, "--data", jobs.data).checked()
    assert link.is_symlink()
    assert (tmp_path / "elsewhere").stat().st_size > 0
