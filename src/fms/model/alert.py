"""Alerts: what somebody wants, whether a fare is it, and the numbers that decide when to tell."""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from fms.model.clock import days_of
from fms.model.fare import Fare, market_of
from fms.model.route import od_of

TARGET, DROP_PERCENT, DROP_AMOUNT, NEW_LOW = "target", "drop_percent", "drop_amount", "new_low"

AMOUNT_FIELD = {TARGET: "target_minor", DROP_PERCENT: "drop_bp", DROP_AMOUNT: "drop_minor", NEW_LOW: None}
"""The kinds of alert, and the field of the alert file that says how much."""

STATES = ("learning", "armed", "fired", "paused", "expired")
"""How an alert is shown to stand: what ``shown_state`` answers."""

NO_TRIGGER = 1 << 62
"""Stands for the trigger of a learning alert where one number must be given: every price is at or below it."""


@dataclass(frozen=True)
class Criteria:
    """Which fares an alert wants; all given must be met. Dates are inclusive; None and () ask nothing."""

    origin: str
    destination: str
    depart_from: date
    depart_to: date
    currency: str
    trip_type: str = "one_way"
    cabin: str = "economy"
    adults: int = 1
    children: int = 0
    infants: int = 0
    return_from: date | None = None
    return_to: date | None = None
    min_nights: int | None = None
    max_nights: int | None = None
    max_stops: int | None = None
    carriers_in: tuple[str, ...] = ()
    carriers_out: tuple[str, ...] = ()

    @property
    def od(self) -> str:
        """The ordered airport pair."""
        return od_of(self.origin, self.destination)

    @cached_property
    def market(self) -> int:
        """What cannot be changed about an alert: trip type, O&D, cabin, currency, travellers, as 64 bits."""
        return market_of(
            round_trip=self.trip_type == "round_trip",
            od=self.od,
            cabin=self.cabin,
            currency=self.currency,
            travellers=f"{self.adults}-{self.children}-{self.infants}",
        )


MARKET_FIELDS = ("origin", "destination", "trip_type", "cabin", "currency", "adults", "children", "infants")
"""The criteria that form the market; an edit cannot change them."""


class Unmet(NamedTuple):
    """The first criterion that a fare fails, by its name in the alert file, and why in words."""

    criterion: str
    why: str


def verdict(want: Criteria, fare: Fare) -> Unmet | None:
    """None if the alert wants the fare (whatever it costs), else the first reason why not.

    Order: route, trip_type, cabin, currency, travellers, departure, return, nights, stops, carriers_in,
    carriers_out. A criterion about something that the fare does not say is not met.
    """
    return _market_verdict(want, fare) or _dates_verdict(want, fare) or _flights_verdict(want, fare)


def _market_verdict(want: Criteria, fare: Fare) -> Unmet | None:
    if (want.origin, want.destination) != (fare.origin, fare.destination):
        return Unmet("route", f"{fare.od}, not {want.od}")
    if want.trip_type != fare.trip_type:
        return Unmet("trip_type", f"{fare.trip_type}, not {want.trip_type}")
    if want.cabin != fare.cabin:
        return Unmet("cabin", f"{fare.cabin}, not {want.cabin}")
    if want.currency != fare.currency:
        return Unmet("currency", f"{fare.currency}, not {want.currency}")
    asked, offered = (want.adults, want.children, want.infants), (fare.adults, fare.children, fare.infants)
    if asked != offered:
        return Unmet("travellers", f"for {_people(offered)}, not {_people(asked)}")
    return None


def _people(mix: tuple[int, int, int]) -> str:
    named = zip(mix, ("adult", "child", "infant"), strict=True)
    return ", ".join(f"{count} {who}" for count, who in named if count)


def _dates_verdict(want: Criteria, fare: Fare) -> Unmet | None:
    if not want.depart_from <= fare.departure_date <= want.depart_to:
        return Unmet("departure", f"departs {fare.departure_date}, not {want.depart_from} to {want.depart_to}")
    back = fare.return_date
    if back is None:
        return None
    if (want.return_from and back < want.return_from) or (want.return_to and back > want.return_to):
        return Unmet("return", f"returns {back}, not {want.return_from or '…'} to {want.return_to or '…'}")
    nights = (back - fare.departure_date).days
    too_few = want.min_nights is not None and nights < want.min_nights
    too_many = want.max_nights is not None and nights > want.max_nights
    if too_few or too_many:
        least = want.min_nights if want.min_nights is not None else "…"
        most = want.max_nights if want.max_nights is not None else "…"
        return Unmet("nights", f"{nights} nights, not {least} to {most}")
    return None


def _flights_verdict(want: Criteria, fare: Fare) -> Unmet | None:
    if want.max_stops is None and not want.carriers_in and not want.carriers_out:
        return None
    directions = [fare.outbound_flights]
    if fare.return_date is not None:
        directions.append(fare.return_flights)
    return _stops_verdict(want, directions) or _carriers_verdict(want, fare.carrier, directions)


def _stops_verdict(want: Criteria, directions: list[tuple[str, ...] | None]) -> Unmet | None:
    if want.max_stops is None:
        return None
    for flights in directions:
        if flights is None:
            return Unmet("stops", "the fare does not say its flights")
        if len(flights) - 1 > want.max_stops:
            return Unmet("stops", f"{len(flights) - 1} stops ({'+'.join(flights)}), at most {want.max_stops} wanted")
    return None


def _carriers_verdict(want: Criteria, carrier: str | None, directions: list[tuple[str, ...] | None]) -> Unmet | None:
    if not want.carriers_in and not want.carriers_out:
        return None
    seen: set[str] = set()
    for flights in directions:
        if flights is None and carrier is None:
            return Unmet("carriers_in" if want.carriers_in else "carriers_out", "the fare does not say its carriers")
        seen |= {designator[:2] for designator in flights} if flights else {carrier or ""}
    if want.carriers_in and (others := seen - set(want.carriers_in)):
        return Unmet("carriers_in", f"{'+'.join(sorted(others))}, only {'/'.join(want.carriers_in)} wanted")
    if unwanted := seen & set(want.carriers_out):
        return Unmet("carriers_out", f"{'+'.join(sorted(unwanted))} not wanted")
    return None


@dataclass(frozen=True, slots=True)
class AlertState:
    """All that an alert remembers of the changes it has seen. Prices in minor units, times in UTC ms.

    Attributes:
        threshold: T, the price at or below which the alert fires when armed; None while learning.
        trigger: the price at or below which it fires now: T, or lower after it fired; None while learning.
        reference: what the drop kinds measure from.
        learning_since: when a learning alert saw its first match.
        armed_since: changes observed before this do not fire.
        holder: the series whose fare was told; None if the alert has not fired since it was armed.
        holder_departure: the holder's departure, in days since 1970.
        fired_at: observation time of the last firing; stays when the alert is re-armed.
        fired_price: the price of the last firing.
        fired_unusual: the last firing may have been a mistake of the source.
        last_change: id of the last change that altered any of this. Whoever is given it again goes on after it.
    """

    threshold: int | None = None
    trigger: int | None = None
    reference: int | None = None
    learning_since: int | None = None
    armed_since: int = 0
    holder: int | None = None
    holder_departure: int | None = None
    fired_at: int | None = None
    fired_price: int | None = None
    fired_unusual: bool = False
    last_change: int | None = None


@dataclass(frozen=True)
class Alert:
    """One alert of one user.

    Attributes:
        id: names the slot of the alert's O&D.
        user_id: names the slot of the user.
        user: the user's e-mail, which cannot change.
        ref: the caller's own id, unique per user.
        kind: ``target``, ``drop_percent``, ``drop_amount`` or ``new_low``.
        amount: target in minor units, drop in basis points or in minor units; 0 for ``new_low``.
        edition: raised by every edit and resume; rows of an older edition are not told any more.
        version: raised by every write of the row.
    """

    id: UUID
    user_id: UUID
    user: str
    ref: str
    kind: str
    amount: int
    criteria: Criteria
    state: AlertState = field(default_factory=AlertState)
    paused: bool = False
    snoozed_until: int | None = None
    edition: int = 1
    version: int = 1

    def shown_state(self, today: int) -> str:
        """One of ``STATES``; ``today`` in days since 1970."""
        if self.paused:
            return "paused"
        if days_of(self.criteria.depart_to) < today:
            return "expired"
        if self.state.trigger is None:
            return "learning"
        return "fired" if self.state.holder is not None else "armed"


def month_of(day: date) -> int:
    """Months since year 0: the key of windows by departure month."""
    return day.year * 12 + day.month - 1
