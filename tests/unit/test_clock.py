"""Times and dates are read strictly."""

import pytest

from fms.errors import Invalid
from fms.model.clock import date_of, days_of, format_instant, parse_date, parse_instant, utc_day


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-15T23:13:48Z", "2026-01-15T23:13:48.000Z"),
        ("2026-01-15t23:13:48.5z", "2026-01-15T23:13:48.500Z"),
        ("2026-01-15T23:13:48.123456789Z", "2026-01-15T23:13:48.123Z"),
        ("2026-01-16T01:13:48+02:00", "2026-01-15T23:13:48.000Z"),
        ("2026-01-15T20:43:48-02:30", "2026-01-15T23:13:48.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_is_read_with_its_zone_and_shown_in_utc(text: str, shown: str) -> None:
    assert format_instant(parse_instant(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-15", "2026-01-15T23:13:48", "2026-02-31T00:00:00Z", "2026-01-15T24:00:00Z",
     "2026-01-15T23:13:48+24:00",
     "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01",
     "2026-01-15 23:13:48Z", "2026-01-15T23:13Z", "2026-01-15T23:13:60Z", "yesterday"],
)  # fmt: skip
def test_an_instant_without_zone_or_off_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_instant(text)


@pytest.mark.parametrize(
    "text", ["", "2026-02-31", "2026-1-5", "20260105", "05/01/2026", "2026-01-05T00:00", "0000-01-01"]
)
def test_a_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_date(text)


def test_days_are_counted_from_1970_in_utc() -> None:
    assert days_of(parse_date("1970-01-02")) == 1
    assert date_of(days_of(parse_date("2028-02-29"))).isoformat() == "2028-02-29"
    assert utc_day(parse_instant("2026-01-15T23:59:59.999Z")) + 1 == utc_day(parse_instant("2026-01-16T00:00:00Z"))
