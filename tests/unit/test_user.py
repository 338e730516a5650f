"""When a user may be disturbed."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from fms.errors import Invalid
from fms.model.user import User, held_until, parse_email, zone_of


def user(**changes: Any) -> User:
    return User(UUID(int=7), "me@example.org", **changes)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def test_nothing_holds_a_user_without_preferences() -> None:
    assert held_until(user(), ms("2026-11-02T03:00"), [1, 2, 3]) is None


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-02T21:59", None),
        ("2026-11-02T22:00", "2026-11-03T07:00"),
        ("2026-11-03T06:59", "2026-11-03T07:00"),
        ("2026-11-03T07:00", None),
    ],
)
def test_quiet_hours_through_midnight_end_in_the_morning(now: str, until: str | None) -> None:
    quiet = user(quiet_from=22 * 60, quiet_to=7 * 60)
    assert held_until(quiet, ms(now), []) == (ms(until) if until else None)


def test_quiet_hours_within_a_day_end_that_day() -> None:
    quiet = user(quiet_from=13 * 60, quiet_to=14 * 60)
    assert held_until(quiet, ms("2026-11-02T13:30"), []) == ms("2026-11-02T14:00")
    assert held_until(quiet, ms("2026-11-02T12:30"), []) is None


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-03-28T23:30", "2026-03-29T06:00"),  # clocks go forward in the night: 07:00 is BST
        ("2026-10-24T22:30", "2026-10-25T07:00"),  # and back: 07:00 is GMT
    ],
)
def test_quiet_hours_end_by_the_local_clock_when_clocks_change(now: str, until: str) -> None:
    quiet = user(zone="Europe/London", quiet_from=22 * 60, quiet_to=7 * 60)
    assert held_until(quiet, ms(now), []) == ms(until)


def test_the_daily_cap_counts_pushes_of_the_local_day() -> None:
    capped = user(zone="America/New_York", daily_cap=2)
    now = ms("2026-11-03T03:00")  # 22:00 of the 2nd in New York
    today, yesterday = ms("2026-11-02T12:00"), ms("2026-11-02T04:00")
    assert held_until(capped, now, [today, yesterday]) is None
    assert held_until(capped, now, [today, today + 1]) == ms("2026-11-03T05:00")


def test_a_snooze_holds_until_it_ends() -> None:
    snoozed = user(snoozed_until=5_000)
    assert held_until(snoozed, 4_999, []) == 5_000
    assert held_until(snoozed, 5_000, []) is None


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "Europe"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        zone_of(name)


def test_an_email_is_compared_in_lower_case() -> None:
    assert parse_email(" Me@Example.ORG ") == "me@example.org"


@pytest.mark.parametrize("text", ["", "me", "@x", "me@", "a b@c", "a\n@b", "x" * 250 + "@y.org"])
def test_what_is_no_email_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_email(text)
