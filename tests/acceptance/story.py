"""Lives of alerts told as stories: days and hours, dollars, flights by name."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.acceptance.harness import World

TODAY = datetime.now(UTC).date()
DAY_0 = TODAY - timedelta(days=100)
"""The first day of every story; day 120 is a departure that no clock has reached yet."""

Dollars = int | str


def day(number: int) -> date:
    """A day of the story."""
    return DAY_0 + timedelta(days=number)


def instant(when: str) -> str:
    """``"d1 06:00"``, day and hour of the story, as fare documents write it."""
    number, clock = when.removeprefix("d").split()
    return f"{day(int(number))}T{clock}:00.000Z"


def when(text: str) -> str:
    """The reverse of ``instant``."""
    moment = datetime.fromisoformat(text)
    return f"d{(moment.date() - DAY_0).days} {moment:%H:%M}"


def cents(dollars: Dollars) -> int:
    """Dollars as minor units."""
    return int(Decimal(dollars) * 100)


def dollars(minor: int) -> Dollars:
    """Minor units as dollars: a number if there are no cents."""
    return minor // 100 if minor % 100 == 0 else f"{Decimal(minor) / 100:.2f}"


def fare(price: Dollars, flight: str | None = "AA100", *, departs: int = 120, **more: Any) -> dict[str, Any]:
    """One fare from New York to London; ``back`` is the day of the return, ``at`` a time of its own."""
    document: dict[str, Any] = {"origin": "JFK", "destination": "LHR", "currency": "USD"}
    document |= {"departure_date": day(departs).isoformat(), "total_amount_minor": cents(price)}
    if flight:
        document["outbound_flights"] = flight.split("+")
    if "back" in more:
        document |= {"return_date": day(more.pop("back")).isoformat(), "return_flights": ["AA101"]}
    if "at" in more:
        document["observed_at"] = instant(more.pop("at"))
    return document | more


class Life:
    """What happens to the alerts of one site; each ``seen`` is a run of its own."""

    def __init__(self, world: World) -> None:
        self.world = world

    def alert(self, ref: str, kind: str = "target", *, departs: tuple[int, int] = (120, 120), **fields: Any) -> None:
        """Make an alert from New York to London, or edit it: ``target`` and ``drop`` in dollars."""
        document = {"ref": ref, "kind": kind, "origin": "JFK", "destination": "LHR", "currency": "USD"}
        document |= {"depart_from": day(departs[0]).isoformat(), "depart_to": day(departs[1]).isoformat()}
        amounts = {"target": "target_minor", "drop": "drop_minor"}
        money = {amounts[name]: cents(fields.pop(name)) for name in amounts if name in fields}
        self.world.import_alerts([document | money | fields], update=True)

    def seen(self, at: str, *fares: dict[str, Any]) -> dict[str, Any]:
        """A run over one file of fares, all observed at this time unless they say another."""
        return self.world.run([[{"observed_at": instant(at)} | one for one in fares]])

    def pause(self, ref: str) -> None:
        """Pause an alert."""
        self.world.change("pause", ref)

    def resume(self, ref: str) -> None:
        """Resume an alert."""
        self.world.change("resume", ref)

    def rows(self, ref: str) -> list[dict[str, Any]]:
        """The notifications of an alert."""
        return [row for row in self.world.notifications() if row["ref"] == ref]

    def told(self, ref: str) -> list[tuple[str, Dollars, str]]:
        """When each firing of an alert was observed, the price, and what became of it."""
        return [(when(row["observed_at"]), dollars(row["price_minor"]), row["status"]) for row in self.rows(ref)]

    def triggers(self, ref: str) -> list[Dollars]:
        """What each firing was measured against."""
        return [dollars(row["trigger_minor"]) for row in self.rows(ref)]

    def now(self, ref: str) -> tuple[str, Dollars | None]:
        """State and trigger of an alert."""
        found = next(one for one in self.world.alerts() if one["ref"] == ref)
        trigger = found["trigger_minor"]
        return found["state"], None if trigger is None else dollars(trigger)


def flights_of(row: dict[str, Any]) -> Sequence[str]:
    """The outbound flights that a notification shows."""
    found: Sequence[str] = row["flights"]["outbound"]
    return found
