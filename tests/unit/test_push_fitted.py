"""A push that must fit."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fms.channels.fitted import ROOMY, SMALLEST, TIGHT, Text, fitted
from fms.channels.words import lines
from fms.model.facts import Facts, Mark, Others
from fms.model.money import MAX_MINOR
from fms.model.notification import Notification, Push
from tests.builders import MONDAY, fare
from tests.unit.told_rows import push, row

ALL = Facts(Mark(39_500, MONDAY), Mark(37_000, MONDAY), Others(12, 39_100), Mark(44_000, MONDAY))


def wordy(count: int, ref: str, brand: str = "light") -> Push:
    one = fare(price=38_000, fare_brand=brand, children=1)
    rows = [row("drop_amount", notification_id=UUID(int=number), ref=ref, fare=one) for number in range(count)]
    return push(*rows, facts=ALL)


def has_bodies(text: Text) -> bool:
    return "seen" in text.body


def bytes_of(text: Text) -> int:
    """As a payload has them: JSON in UTF-8."""
    payload = json.dumps({"title": text.title, "body": text.body}, ensure_ascii=False)
    return len(payload.encode()) - len('{"title": , "body": }')


def rows_of(text: Text) -> int:
    return text.body.count("under your drop") + 1


def test_one_row_is_its_title_and_its_body() -> None:
    assert fitted(push(row()), MONDAY) == Text(
        "JFK-LHR 380.00 USD, 20.00 under your 400.00",
        "Tue 01 Dec 2026, BA178, economy, from default, seen just now, was 450.00 on this flight",
    )


def test_five_rows_of_forty_with_all_that_is_known_have_room() -> None:
    text = fitted(wordy(40, "mine"), MONDAY, ROOMY)
    assert (rows_of(text), has_bodies(text), text.body.splitlines()[-1]) == (5, True, "+35 in your inbox")


def test_first_rows_go_then_bodies() -> None:
    asked = wordy(40, "mine")
    whole = bytes_of(fitted(asked, MONDAY))
    forms: list[tuple[int, bool]] = []
    for most in range(whole, SMALLEST - 1, -1):
        text = fitted(asked, MONDAY, most)
        assert bytes_of(text) <= most
        assert text.body.splitlines()[-1] == f"+{40 - rows_of(text)} in your inbox"
        forms += [form for form in [(rows_of(text), has_bodies(text))] if form not in forms]
    with_bodies = [(count, True) for count in (5, 4, 3, 2, 1)]
    assert forms[:5] == with_bodies
    assert forms[5:] == sorted(forms[5:], reverse=True)
    assert forms[5:]
    assert not any(bodies for _, bodies in forms[5:])


@pytest.mark.parametrize("most", [ROOMY, TIGHT, SMALLEST])
@given(ref=st.text(min_size=1, max_size=200), brand=st.text(max_size=64), count=st.integers(1, 40))
def test_every_line_is_whole_whatever_it_says(most: int, ref: str, brand: str, count: int) -> None:
    asked = wordy(count, ref, brand)
    text = fitted(asked, MONDAY, most)
    assert bytes_of(text) <= most
    said = {line.strip() for line in lines(asked, MONDAY)} | {f"+{count - rows_of(text)} in your inbox"}
    assert {line.strip() for line in text.body.split("\n") if line} <= said
    assert f"{text.title}\n".endswith("under your drop to 400.00\n")


def test_long_refs_of_four_byte_characters_are_there_as_a_whole_or_not_at_all() -> None:
    plane = "\N{AIRPLANE DEPARTURE}"
    for most in range(SMALLEST, ROOMY):
        text = fitted(wordy(5, plane * 200), MONDAY, most)
        assert bytes_of(text) <= most
        assert text.body.count(plane) == 200 * (rows_of(text) - 1)


@pytest.mark.parametrize("kind", ["target", "drop_percent", "new_low"])
def test_the_longest_title_fits_the_smallest_room(kind: str) -> None:
    dear: Notification = row(
        kind, fare=fare(price=MAX_MINOR // 2, currency="CLF"), threshold=MAX_MINOR, trigger=MAX_MINOR, unusual=True
    )
    text = fitted(push(*[dear] * 999), MONDAY, SMALLEST)
    assert bytes_of(text) <= SMALLEST
    assert text.title.endswith("(may be a mistake)")


def test_less_than_a_title_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        fitted(push(row()), MONDAY, SMALLEST - 1)
