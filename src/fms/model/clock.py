"""Times are int64 milliseconds since 1970 UTC, dates are ``datetime.date`` or days since 1970. Time is handed in."""

import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from fms.errors import Invalid

SECOND_MS = 1000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

Clock = Callable[[], int]
"""Answers the time in UTC ms."""

_EPOCH = date(1970, 1, 1)
_FIRST, _LAST = (date.min - _EPOCH).days * DAY_MS, ((date.max - _EPOCH).days + 1) * DAY_MS - 1
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII
)


def system_clock() -> int:
    """The system's time in UTC ms."""
    return time.time_ns() // 1_000_000


def parse_date(text: str) -> date:
    """An ISO date, ``YYYY-MM-DD`` and nothing else; raises Invalid, also for 31 February."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid(f"not a date: {text[:40]!r}")


def parse_instant(text: str) -> int:
    """An RFC 3339 time with a zone in UTC ms (further digits are cut); raises Invalid."""
    found = _INSTANT.fullmatch(text)
    if not found:
        raise Invalid(f"not an RFC 3339 time with a zone: {text[:40]!r}")
    day, hour, minute, second, fraction, sign, zone_hour, zone_minute = found.groups()
    try:
        midnight = days_of(parse_date(day)) * DAY_MS
        clock = datetime(1970, 1, 1, int(hour), int(minute), int(second), tzinfo=UTC)
        if sign and (int(zone_hour) > 23 or int(zone_minute) > 59):
            raise ValueError
    except ValueError:
        raise Invalid(f"not an RFC 3339 time with a zone: {text[:40]!r}") from None
    offset = 0 if not sign else (int(zone_hour) * 60 + int(zone_minute)) * 60 * SECOND_MS
    ms = midnight + int(clock.timestamp()) * SECOND_MS + int((fraction or "0").ljust(3, "0")[:3])
    instant = ms + offset if sign == "-" else ms - offset
    if not _FIRST <= instant <= _LAST:
        raise Invalid(f"not within the years 1 to 9999 in UTC: {text[:40]!r}")
    return instant


def format_instant(ms: int) -> str:
    """UTC ms as RFC 3339: ``2026-01-15T23:13:48.000Z``."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def days_of(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH).days


def date_of(days: int) -> date:
    """The date ``days`` after 1970-01-01."""
    return _EPOCH + timedelta(days=days)


def utc_day(ms: int) -> int:
    """The UTC day of a time, in days since 1970."""
    return ms // DAY_MS
