"""What a push says, in plain text: the price, how far under what was asked, the flight, and how old the news is."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from fms.model.alert import DROP_AMOUNT, DROP_PERCENT, NEW_LOW
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.facts import NO_FACTS, Facts, Mark
from fms.model.fare import Fare
from fms.model.money import format_amount
from fms.model.notification import Notification, Push
from fms.model.user import zone_of

SHOWN = 5
"""Rows that a push shows; the others are counted."""

_DROPS = (DROP_PERCENT, DROP_AMOUNT)


def title(row: Notification) -> str:
    """The line that must do alone.

    ``STN-BGY 38.00 GBP, 2.00 under your 40.00``; ``STN-BGY 24.99 GBP, 3.00 under your drop to 27.99``;
    ``SFO-NRT 819.00 USD, 41.31 under 860.31, 1 % below the low it beats``.
    """
    fare = shown(row)
    limit = _limit(row)
    under = limit - fare.price
    named = _named(row, limit)
    how_far = f"{_amount(row, under)} under {named}" if under > 0 else f"exactly {named}"
    doubt = " (may be a mistake)" if may_be_mistake(row) else ""
    return plain(f"{fare.od} {_amount(row, fare.price)} {fare.currency}, {how_far}{doubt}")


def may_be_mistake(row: Notification) -> bool:
    """Whether the fare that is told may be a mistake. Where a dearer one is told in its place, that is none."""
    return row.message.unusual and shown(row).price <= row.message.fare.price


def _limit(row: Notification) -> int:
    """What the price is measured by, in minor units: what was asked for, or the low that was to be beaten."""
    return row.message.trigger if row.message.kind == NEW_LOW else row.message.threshold


def _named(row: Notification, limit: int) -> str:
    amount = _amount(row, limit)
    if row.message.kind == NEW_LOW:
        return f"{amount}, 1 % below the low it beats"
    return f"your drop to {amount}" if row.message.kind in _DROPS else f"your {amount}"


def _amount(row: Notification, minor: int) -> str:
    return format_amount(minor, row.message.fare.currency)


def body(row: Notification, now: int, facts: Facts = NO_FACTS, zone: str = "UTC") -> str:
    """Dates, flights, brand, cabin, travellers, source and age, then what else is known; nothing that is not.

    Args:
        row: what is told.
        now: UTC ms; ages are counted to it.
        facts: of this row.
        zone: IANA name of the user's time zone.
    """
    fare = shown(row)
    parts = [_dates(fare), _flights(fare), fare.fare_brand, fare.cabin.replace("_", " "), _people(fare)]
    parts += [f"from {fare.source}", f"seen {_age(now - fare.observed_at)}"]
    parts += _history(row, now, facts, zone)
    return plain(", ".join(part for part in parts if part))


def _history(row: Notification, now: int, facts: Facts, zone: str) -> Iterator[str]:
    """What is known of other times and dates, each price called by what it is the price of."""
    if (old := old_price(row)) is not None:
        yield f"was {_amount(row, old)} {_on_this(shown(row))}"
    if (last := facts.last_told) is not None:
        yield f"last told {_amount(row, last.price)}{_ago(last, now)}"
    if (low := facts.lowest) is not None:
        yield _lowest(row, low, now)
    if (others := facts.others) is not None:
        more = "1 more date at" if others.dates == 1 else f"{others.dates} more dates from"
        yield f"{more} {_amount(row, others.price)}"
    if row.message.kind in _DROPS and (measured := facts.reference) is not None:
        of = "" if measured.at is None else f" of {_day(_local_date(measured.at, zone))}"
        yield f"your drop counts from {_amount(row, measured.price)}{of}"


def old_price(row: Notification) -> int | None:
    """What the fare that is told cost before, in minor units; None: not known, or another fare is told."""
    if row.told is None or (row.told_series == row.message.series and row.told.price == row.message.fare.price):
        return row.message.old_price
    return None


def _on_this(fare: Fare) -> str:
    """What a series is the price of: flights, or, where no flight is known, a date."""
    flights = len(fare.outbound_flights or ()) + len(fare.return_flights or ())
    if flights or (fare.carrier and fare.departure_time):
        return "on this flight" if flights < 2 else "on these flights"
    return "on this date" if fare.return_date is None else "on these dates"


def _lowest(row: Notification, low: Mark, now: int) -> str:
    if shown(row).price <= low.price:
        return "the lowest since your alert was made"
    return f"lowest since your alert was made: {_amount(row, low.price)}{_ago(low, now)}"


def _ago(mark: Mark, now: int) -> str:
    return "" if mark.at is None else f" ({_age(now - mark.at)})"


def shown(row: Notification) -> Fare:
    """The fare that the row is about when it is told: the best one, or the one that fired."""
    return row.told or row.message.fare


def ended(row: Notification, since: int, zone: str, price_now: int | None = None) -> str:
    """What an inbox says of a fare that was told and has ended: ``38.00 ended on Tue 03 Nov 2026 10:12, 45.00 now``.

    Args:
        row: what was told.
        since: UTC ms; the first observation at which the fare was not to be had for that any more.
        zone: IANA name of the user's time zone.
        price_now: what it costs now, in minor units; None: not known, or not sold any more.
    """
    moment = datetime.fromtimestamp(since // 1000, UTC).astimezone(zone_of(zone))
    now = "" if price_now is None else f", {_amount(row, price_now)} now"
    return f"{_amount(row, shown(row).price)} ended on {_day(moment.date())} {moment:%H:%M}{now}"


def entries(push: Push, now: int, most: int = SHOWN) -> list[tuple[str, str]]:
    """Title and body of the first rows of a push, which has the best first; at most ``most``."""
    zone = push.user.zone
    return [
        (title(row), body(row, now, push.facts.get(row.message.notification_id, NO_FACTS), zone))
        for row in push.rows[:most]
    ]


def rest(push: Push, most: int) -> str | None:
    """How many rows are not shown if ``most`` are: ``+35 in your inbox``; None: all are."""
    more = len(push.rows) - most
    return f"+{more} in your inbox" if more > 0 else None


def lines(push: Push, now: int, most: int = SHOWN) -> list[str]:
    """A push as lines of text: a title and a body per row, at most ``most`` rows; the others are counted."""
    text: list[str] = []
    for row, (head, details) in zip(push.rows, entries(push, now, most), strict=False):
        text += [f"{plain(row.message.ref)}: {head}", f"    {details}"]
    more = rest(push, most)
    return [*text, more] if more else text


def plain(text: str) -> str:
    """The text on one line, its control characters blanked: refs and brands come from outside."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def _day(day: date) -> str:
    return f"{day:%a %d %b %Y}"


def _local_date(ms: int, zone: str) -> date:
    return datetime.fromtimestamp(ms // 1000, UTC).astimezone(zone_of(zone)).date()


def _dates(fare: Fare) -> str:
    there, back = fare.departure_date, fare.return_date
    if back is None:
        return _day(there)
    nights = (back - there).days
    stay = {0: "same day", 1: "1 night"}.get(nights, f"{nights} nights")
    return f"{_day(there)} to {_day(back) if back.year != there.year else f'{back:%a %d %b}'}, {stay}"


def _flights(fare: Fare) -> str | None:
    if fare.outbound_flights:
        back = f" / {'+'.join(fare.return_flights)}" if fare.return_flights else ""
        return "+".join(fare.outbound_flights) + back
    return f"{fare.carrier or ''} {fare.departure_time}".strip() if fare.departure_time else fare.carrier


def _people(fare: Fare) -> str | None:
    total = fare.adults + fare.children + fare.infants
    return f"total for {total}" if total > 1 else None


def _age(ms: int) -> str:
    if ms < 60_000:
        return "just now"
    if ms < HOUR_MS:
        return f"{ms // 60_000} min ago"
    return f"{ms // HOUR_MS} h ago" if ms < 2 * DAY_MS else f"{ms // DAY_MS} days ago"
