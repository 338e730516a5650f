"""Tables on terminals of any width, and in pipes."""

import os
import sys

import pytest

from fms_cli.output import listing, short_instant, table

ROWS = [("bergamo", "STN-BGY", "the price is zero or negative"), ("a", "-", "a field of another type")]


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, 24)))


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines printed, without what makes some of them bold."""
    return [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in capsys.readouterr().out.splitlines()]


def test_a_table_in_a_pipe_is_as_wide_as_it_needs_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    table(("ref", "route", "why_not"), ROWS)
    assert printed(capsys) == [
        "ref      route    why not",
        "bergamo  STN-BGY  the price is zero or negative",
        "a        -        a field of another type",
    ]


def test_a_table_that_fits_is_printed_the_same_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(monkeypatch, 47)
    table(("ref", "route", "why_not"), ROWS)
    assert "bergamo  STN-BGY  the price is zero or negative\n" in capsys.readouterr().out


def test_columns_with_nothing_in_them_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    table(("ref", "was", "unusual", "asked"), [("a", "-", "", "1"), ("b", "-", "", "2")])
    assert printed(capsys) == ["ref  asked", "a    1", "b    2"]


def test_a_wordy_last_column_is_wrapped_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(monkeypatch, 40)
    table(("line", "because"), [("12", "more columns than the header has, or fewer")])
    assert printed(capsys) == [
        "line  because",
        "12    more columns than the header has,",
        "      or fewer",
    ]


def test_a_row_that_does_not_fit_takes_several_lines_and_names_its_cells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(monkeypatch, 34)
    table(
        ("ref", "route", "last_price", "trigger"),
        [("bergamo", "STN-BGY", "38.00 GBP", "36.10 GBP"), ("x", "-", "1", "2")],
    )
    assert printed(capsys) == [
        "bergamo",
        "    route STN-BGY,",
        "    last price 38.00 GBP,",
        "    trigger 36.10 GBP",
        "x",
        "    last price 1, trigger 2",
    ]


def test_times_are_listed_to_the_minute(capsys: pytest.CaptureFixture[str]) -> None:
    listing([{"seen": "2026-11-02T00:17:00.000Z", "n": 1}], as_json=False, columns=("seen", "n"), nothing="none")
    assert capsys.readouterr().out.splitlines()[1] == "2026-11-02 00:17  1"
    assert short_instant("at 2026-11-02 00:17") == "at 2026-11-02 00:17"


def test_an_empty_listing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    listing([], as_json=False, columns=("seen",), nothing="no fares")
    assert capsys.readouterr().out == "no fares\n"
