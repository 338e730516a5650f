"""What a push says, in plain text: the price, how far under what was asked, the flight, and how old the news is."""

from fms.model.alert import DROP_AMOUNT, DROP_PERCENT, NEW_LOW
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.fare import Fare
from fms.model.money import format_amount
from fms.model.notification import Notification, Push

_DROPS = (DROP_PERCENT, DROP_AMOUNT)


def title(row: Notification) -> str:
    """The line that must do alone.

    ``STN-BGY 38.00 GBP, 2.00 under your 40.00``; ``STN-BGY 24.99 GBP, down from 39.99, 3.00 under your drop to
    27.99``; ``SFO-NRT 819.00 USD, 41.31 under 860.31, 1 % below the low it beats``.
    """
    fare = shown(row)
    parts = [f"{fare.od} {_amount(row, fare.price)} {fare.currency}"]
    old = _old_price(row)
    if row.message.kind in _DROPS and old is not None:
        parts.append(f"down from {_amount(row, old)}")
    limit = _limit(row)
    under = limit - fare.price
    parts.append(f"{_amount(row, under)} under {_named(row, limit)}" if under > 0 else f"exactly {_named(row, limit)}")
    # Where another fare is told in place of the mistake, it is none.
    doubt = " (may be a mistake)" if row.message.unusual and fare.price <= row.message.fare.price else ""
    return ", ".join(parts) + doubt


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


def _old_price(row: Notification) -> int | None:
    """What the fare that is told cost before, in minor units; None: not known, or another fare is told."""
    if row.told is None or (row.told_series == row.message.series and row.told.price == row.message.fare.price):
        return row.message.old_price
    return None


def body(row: Notification, now: int) -> str:
    """Dates, flights, brand, cabin, travellers, source and age, and what the fare cost before."""
    fare = shown(row)
    parts = [_dates(fare), _flights(fare), fare.fare_brand, fare.cabin.replace("_", " "), _people(fare)]
    parts += [f"from {fare.source}", f"seen {_age(now - fare.observed_at)}"]
    old = _old_price(row)
    if row.message.kind not in _DROPS and old is not None:
        parts.append(f"was {_amount(row, old)}")
    return ", ".join(part for part in parts if part)


def shown(row: Notification) -> Fare:
    """The fare that the row is about when it is told: the best one, or the one that fired."""
    return row.told or row.message.fare


def lines(push: Push, now: int, most: int) -> list[str]:
    """A push as lines of text: a title and a body per row, at most ``most`` rows; the others are counted."""
    text = [line for row in push.rows[:most] for line in (f"{row.message.ref}: {title(row)}", f"    {body(row, now)}")]
    more = len(push.rows) - most
    return [*text, f"+{more} in your inbox"] if more > 0 else text


def _dates(fare: Fare) -> str:
    if fare.return_date is None:
        return f"{fare.departure_date:%a %d %b %Y}"
    nights = (fare.return_date - fare.departure_date).days
    return f"{fare.departure_date:%a %d %b %Y} to {fare.return_date:%a %d %b}, {nights} nights"


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
