"""Who is told, and when they want to be left in peace."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fms.errors import Invalid

CHANNELS = ("push", "mail", "webhook", "console")
"""How a user may hear, apart from the inbox, which has everything."""

MOST_PUSHES = 1_000
"""The highest daily cap."""

TIME_OF_DAY = "([01][0-9]|2[0-3]):[0-5][0-9]"


@dataclass(frozen=True)
class User:
    """One user.

    Attributes:
        zone: IANA name of the user's time zone.
        quiet_from, quiet_to: local minutes after midnight between which nothing is delivered; both or none.
        daily_cap: pushes in a local day; None: no cap.
        snoozed_until: nothing is delivered before, UTC ms.
        channels: how the user wants to hear, of ``CHANNELS``; None: by all of them.
    """

    id: UUID
    email: str
    zone: str = "UTC"
    quiet_from: int | None = None
    quiet_to: int | None = None
    daily_cap: int | None = None
    snoozed_until: int | None = None
    version: int = 1
    channels: tuple[str, ...] | None = None


def parse_email(text: str) -> str:
    """An e-mail address in lower case, which is how fms tells users apart; raises Invalid."""
    email = text.strip().lower()
    local, at, domain = email.rpartition("@")
    if not at or not local or not domain or len(email) > 254 or not email.isprintable() or " " in email:
        raise Invalid(f"not an e-mail address: {text[:60]!r}")
    return email


def zone_of(name: str) -> ZoneInfo:
    """The time zone called ``name``; raises Invalid."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(f"not an IANA time zone: {name[:60]!r}") from None


def parse_time_of_day(text: str) -> int:
    """``HH:MM`` in minutes after midnight; raises Invalid."""
    if not re.fullmatch(TIME_OF_DAY, text):
        raise Invalid(f"not a time of day: {text[:40]!r}")
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def format_time_of_day(minutes: int) -> str:
    """The reverse of ``parse_time_of_day``."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def checked_cap(pushes: int) -> int:
    """A daily cap; raises Invalid."""
    if not 1 <= pushes <= MOST_PUSHES:
        raise Invalid(f"1 to {MOST_PUSHES} or none wanted, not {str(pushes)[:40]!r}")
    return pushes


def checked_channels(names: Sequence[str]) -> tuple[str, ...]:
    """Channels, each named once, in the order of ``CHANNELS``; none: the inbox only. Raises Invalid."""
    for name in names:
        if name not in CHANNELS:
            raise Invalid(f"one of {', '.join(CHANNELS)} wanted, not {name[:40]!r}")
    if len(set(names)) < len(names):
        raise Invalid("a channel is named twice")
    return tuple(name for name in CHANNELS if name in names)


def check_quiet(start: int | None, end: int | None) -> None:
    """Raise Invalid, for the end, unless quiet hours have both bounds or none."""
    if (start is None) != (end is None):
        raise Invalid("quiet_to: quiet hours have a beginning and an end, or neither")


def held_until(user: User, now: int, pushes: list[int]) -> int | None:
    """Until when (UTC ms) nothing may be delivered to the user; None: now is a good time.

    ``pushes``: times of the pushes already delivered, UTC ms; those of the same local day count against the cap.
    """
    if user.snoozed_until is not None and user.snoozed_until > now:
        return user.snoozed_until
    local = _local(now, user.zone)
    quiet = _quiet_end(user, local)
    if quiet is not None:
        return _utc_ms(quiet)
    today = local.date()
    if user.daily_cap is not None and sum(_local(at, user.zone).date() == today for at in pushes) >= user.daily_cap:
        return _utc_ms(datetime.combine(today + timedelta(days=1), datetime.min.time(), local.tzinfo))
    return None


def _quiet_end(user: User, local: datetime) -> datetime | None:
    if user.quiet_from is None or user.quiet_to is None or user.quiet_from == user.quiet_to:
        return None
    minute = local.hour * 60 + local.minute
    through_midnight = user.quiet_from > user.quiet_to
    inside = (
        minute >= user.quiet_from or minute < user.quiet_to
        if through_midnight
        else user.quiet_from <= minute < user.quiet_to
    )
    if not inside:
        return None
    day = local.date() + timedelta(days=through_midnight and minute >= user.quiet_from)
    return datetime(day.year, day.month, day.day, user.quiet_to // 60, user.quiet_to % 60, tzinfo=local.tzinfo)


def _local(ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC).astimezone(zone_of(zone))


def _utc_ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
