"""Notes are cut to what a provider takes: by lines, then the title, and never inside a character."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fms.channels.note import LONGEST_TTL_SECONDS, Note, compact_json, cut_to_fit
from fms.errors import Invalid
from tests.unit.push_tools import NOTE


def written(note: Note) -> bytes:
    return compact_json({"t": note.title, "b": note.body, "g": note.tag})


def read(note: Note, most: int) -> str:
    return cut_to_fit(note, most, written).decode()


def test_what_fits_is_left_as_it_is() -> None:
    assert cut_to_fit(NOTE, len(written(NOTE)), written) == written(NOTE)


def test_lines_are_left_out_as_a_whole_from_the_end() -> None:
    note = Note("title", "first\nsecond\nthird", "x", "")
    size = len(written(note))
    assert read(note, size - 1) == '{"t":"title","b":"first\\nsecond","g":"x"}'
    assert read(note, size - len("\\nthird")) == '{"t":"title","b":"first\\nsecond","g":"x"}'
    assert read(note, size - len("\\nthird") - 1) == '{"t":"title","b":"first","g":"x"}'
    assert read(note, size - len("\\nsecond\\nthird") - 1) == '{"t":"title","b":"","g":"x"}'


def test_a_title_is_cut_where_there_is_no_room_for_a_body() -> None:
    note = Note("éééé", "body", "x", "")
    assert read(note, len('{"t":"é…","b":"","g":"x"}'.encode()) + 1) == '{"t":"é…","b":"","g":"x"}'


def test_of_a_title_more_is_left_than_dots() -> None:
    with pytest.raises(Invalid):
        read(Note("title", "", "x", ""), len('{"t":"…","b":"","g":"x"}'.encode()))


def test_without_room_for_a_title_there_is_no_push() -> None:
    with pytest.raises(Invalid):
        read(Note("title", "body", "x" * 30, ""), 30)


@given(st.text(min_size=1, max_size=60), st.text(max_size=200), st.integers(40, 300))
def test_whatever_it_says_it_fits_and_is_text(title: str, body: str, most: int) -> None:
    cut = read(replace(NOTE, title=title, body=body, tag="x"), most)
    assert len(cut.encode()) <= most


@given(st.lists(st.text("aé🛫", max_size=9), min_size=1, max_size=9), st.integers(30, 300))
def test_as_many_lines_are_kept_as_fit(lines: list[str], most: int) -> None:
    def with_lines(count: int) -> bytes:
        return written(Note("t", "\n".join(lines[:count]), "x", ""))

    best = max(count for count in range(len(lines) + 1) if len(with_lines(count)) <= most)
    assert cut_to_fit(Note("t", "\n".join(lines), "x", ""), most, written) == with_lines(best)


def test_half_a_character_does_not_stop_a_push() -> None:
    assert b'"t":"a?b"' in written(Note("a\ud83db", "", "x", ""))


def test_nothing_is_kept_longer_than_providers_do_or_less_than_not_at_all() -> None:
    lives = [replace(NOTE, ttl_seconds=seconds).ttl for seconds in (-1, 0, 60, 10**9)]
    assert lives == [0, 0, 60, LONGEST_TTL_SECONDS]
