"""Fares as they arrive: files put into a directory, lines on a stream."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from fms.errors import Fatal
from fms.sources.following import DONE, FAILED, Inbox, pieces_of


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path, settled=0)


def test_files_wait_by_name_and_those_still_written_do_not(inbox: Inbox, tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.csv.gz", ".hidden", "c.jsonl.partial", "d.tmp"):
        (tmp_path / name).write_text("")
    assert [path.name for path in inbox.waiting()] == ["a.csv.gz", "b.jsonl"]


def test_a_file_that_just_changed_is_still_being_written(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("")
    (tmp_path / "new.jsonl").write_text("")
    os.utime(tmp_path / "old.jsonl", (1, 1))
    assert [path.name for path in Inbox(tmp_path, settled=60).waiting()] == ["old.jsonl"]


def test_files_are_put_away_under_names_that_are_free(inbox: Inbox, tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        (tmp_path / "fares.jsonl").write_text("x")
        names.append(inbox.put_away(tmp_path / "fares.jsonl", DONE).name)
    assert names == ["fares.jsonl", "fares-2.jsonl", "fares-3.jsonl"]
    (tmp_path / "odd").write_text("x")
    assert inbox.put_away(tmp_path / "odd", FAILED) == tmp_path / FAILED / "odd"
    assert inbox.waiting() == []


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="nowhere: No such file"):
        Inbox(tmp_path / "nowhere")


class Pipe:
    """A stream, and whoever writes to it in another thread."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def write(self, *parts: bytes) -> Thread:
        def write_all() -> None:
            for part in parts:
                os.write(self.writer, part)
            os.close(self.writer)

        thread = Thread(target=write_all)
        thread.start()
        return thread


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reader)


def lines_of(pipe: Pipe, tick: Callable[[], bool] = lambda: True) -> list[tuple[int, str]]:
    """The documents of a stream: number of the line, and what is said against it (none of these is a document)."""
    found = []
    for piece in pieces_of(pipe.reader, "stdin", tick):
        for block in piece.blocks():
            found += [(reject.number, reject.raw) for reject in block.rejects]
    return found


def test_lines_of_a_stream_keep_their_numbers_however_they_are_cut(pipe: Pipe) -> None:
    writing = pipe.write(b"one\ntw", b"o\nthree\nfo", b"ur")
    assert lines_of(pipe) == [(1, "one"), (2, "two"), (3, "three"), (4, "four")]
    writing.join()


def test_a_stream_without_lines_has_no_documents(pipe: Pipe) -> None:
    os.close(pipe.writer)
    assert lines_of(pipe) == []


def test_a_stream_is_left_when_it_is_told_so(pipe: Pipe) -> None:
    asked = iter([True, False])
    assert lines_of(pipe, lambda: next(asked)) == []
    os.close(pipe.writer)


def test_a_line_without_an_end_is_set_aside_and_those_behind_it_are_read(pipe: Pipe) -> None:
    writing = pipe.write(*[b"x" * (1 << 20)] * 6, b"\nnext\n")
    found = lines_of(pipe)
    writing.join()
    assert found[-1][1] == "next"
    assert all(set(raw) == {"x"} for _, raw in found[:-1])
