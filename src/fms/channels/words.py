"""What a push says, in plain text: the price, how far under what was asked, the flight, and how old the news is."""

from fms.model.alert import DROP_AMOUNT, DROP_PERCENT, NEW_LOW
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.fare import Fare
from fms.model.money import format_amount
from fms.model.notification import Notification, Push


def title(row: Notification) -> str:
    """The line that must do alone: ``STN-BGY 38.00 GBP, 2.00 under your 40.00``."""
    fare, threshold = shown(row), row.message.threshold
    asked = {DROP_PERCENT: "the drop you asked for", DROP_AMOUNT: "the drop you asked for", NEW_LOW: "the low before"}
    whose = asked.get(row.message.kind, "your")
    under = format_amount(max(threshold - fare.price, 0), fare.currency)
    limit = format_amount(threshold, fare.currency)
    doubt = " (may be a mistake)" if row.message.unusual else ""
    return f"{fare.od} {format_amount(fare.price, fare.currency)} {fare.currency}, {under} under {whose} {limit}{doubt}"


def body(row: Notification, now: int) -> str:
    """Dates, flights, brand, cabin, travellers, source and age, and what the flight cost before."""
    fare = shown(row)
    parts = [_dates(fare), _flights(fare), fare.fare_brand, fare.cabin.replace("_", " "), _people(fare)]
    parts += [f"from {fare.source}", f"seen {_age(now - fare.observed_at)}"]
    if row.message.old_price is not None and row.told in (None, row.message.fare):
        parts.append(f"this flight was {format_amount(row.message.old_price, fare.currency)}")
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
