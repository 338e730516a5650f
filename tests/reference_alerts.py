"""The reference's alert: what it wants, and section 6's fold of one change after the other."""

from datetime import date
from typing import Any

from tests.reference_book import Change
from tests.reference_fares import DAY, EPOCH, HOUR, Fare, day_of, series_hash, series_of

Alert = dict[str, Any]

AMOUNTS = {"target": "target_minor", "drop_percent": "drop_bp", "drop_amount": "drop_minor", "new_low": None}
MARKET = ("origin", "destination", "trip_type", "cabin", "currency", "adults", "children", "infants")
DEFAULTS: dict[str, Any] = {
    "target_minor": None, "drop_bp": None, "drop_minor": None, "origin": None, "destination": None,
    "depart_from": None, "depart_to": None, "currency": None, "trip_type": "one_way", "cabin": "economy",
    "adults": 1, "children": 0, "infants": 0, "return_from": None, "return_to": None, "min_nights": None,
    "max_nights": None, "max_stops": None, "carriers_in": [], "carriers_out": [],
}  # fmt: skip
RETURNS = ("return_from", "return_to", "min_nights", "max_nights")


def normal(document: dict[str, Any]) -> dict[str, Any]:
    """An object of an alert file with every field."""
    given = {name: value for name, value in document.items() if value is not None}
    trip = "round_trip" if any(name in given for name in RETURNS) else "one_way"
    return {"ref": given["ref"], "kind": given["kind"]} | DEFAULTS | {"trip_type": trip} | given


def new_alert(document: dict[str, Any], user: str, serial: int) -> Alert:
    """An alert that has not been judged yet."""
    state = {
        "T": None, "trigger": None, "reference": None, "learning_since": None, "armed_since": 0, "holder": None,
        "holder_departure": None, "fired_at": None, "fired_price": None, "fired_unusual": False,
    }  # fmt: skip
    about = {"serial": serial, "user": user, "ref": document["ref"], "edition": 1, "paused": False}
    return about | {"want": normal(document)} | state


def od_of(alert: Alert) -> str:
    """The O&D of an alert."""
    return "{origin}-{destination}".format_map(alert["want"])


def wants(alert: Alert, fare: Fare) -> bool:
    """Whether the alert wants the fare, whatever it costs."""
    want = alert["want"]
    return _market(want, fare) and _dates(want, fare) and _flights(want, fare)


def _market(want: dict[str, Any], fare: Fare) -> bool:
    trip = "one_way" if fare["return_date"] is None else "round_trip"
    offered = (fare["origin"], fare["destination"], trip, fare["cabin"], fare["currency"], *fare["travellers"])
    return offered == tuple(want[name] for name in MARKET)


def _within(value: Any, least: Any, most: Any) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def _day(want: dict[str, Any], name: str) -> date | None:
    return None if want[name] is None else date.fromisoformat(want[name])


def _dates(want: dict[str, Any], fare: Fare) -> bool:
    away, back = fare["departure_date"], fare["return_date"]
    if not _within(away, _day(want, "depart_from"), _day(want, "depart_to")):
        return False
    if back is None:
        return True
    stay = _within((back - away).days, want["min_nights"], want["max_nights"])
    return stay and _within(back, _day(want, "return_from"), _day(want, "return_to"))


def _flights(want: dict[str, Any], fare: Fare) -> bool:
    both = [fare["outbound"]] + ([fare["return"]] if fare["return_date"] else [])
    if want["max_stops"] is not None and any(not one or len(one) - 1 > want["max_stops"] for one in both):
        return False
    if not want["carriers_in"] and not want["carriers_out"]:
        return True
    carriers: set[str] = set()
    for flights in both:
        if not flights and not fare["carrier"]:
            return False
        carriers |= {flight[:2] for flight in flights} if flights else {fare["carrier"]}
    allowed = not want["carriers_in"] or carriers <= set(want["carriers_in"])
    return allowed and not carriers & set(want["carriers_out"])


def below(alert: Alert, price: int) -> int:
    """What a reference, or a price that was told, makes the alert fire at."""
    kind, want = alert["want"]["kind"], alert["want"]
    if kind == "drop_percent":
        return int(price * (10_000 - want["drop_bp"]) // 10_000)
    if kind == "drop_amount":
        return int(price - want["drop_minor"])
    return price * 95 // 100 if kind == "target" else min(price * 99 // 100, price - 1)


def see(alert: Alert, change: Change) -> dict[str, Any] | None:
    """Fold one change of the alert's O&D; answers the firing, if it fires."""
    _rearm(alert, change)
    if change["kind"] not in ("fell", "first_seen") or not wants(alert, change["fare"]):
        return None
    price, at = change["fare"]["price"], change["at"]
    if alert["T"] is None:
        _learn(alert, change, price, at)
    if alert["T"] is None or price > alert["trigger"] or at < alert["armed_since"]:
        return None
    return fire(alert, change["fare"], change["old"], at)


def _rearm(alert: Alert, change: Change) -> None:
    if alert["holder"] is None or change["at"] <= alert["fired_at"]:
        return
    own = change["series"] == alert["holder"]
    departed = day_of(change["at"]) > alert["holder_departure"]
    rose = own and change["kind"] == "rose" and change["fare"]["price"] * 100 > alert["T"] * 102
    if not (departed or rose or (own and change["kind"] == "gone")):
        return
    stood = change["at"] - alert["fired_at"] >= DAY
    if alert["want"]["kind"] == "new_low" and stood and not alert["fired_unusual"]:
        alert["T"] = alert["trigger"]
    alert.update(trigger=alert["T"], holder=None, holder_departure=None, armed_since=change["at"])


def _learn(alert: Alert, change: Change, price: int, at: int) -> None:
    if change["old"] is not None and price * 3 < change["old"]:
        return
    if alert["learning_since"] is None:
        alert.update(learning_since=at, reference=price)
    elif at < alert["learning_since"] + 12 * HOUR:
        alert["reference"] = min(alert["reference"], price)
    else:
        threshold = below(alert, alert["reference"])
        alert.update(T=threshold, trigger=threshold, armed_since=alert["learning_since"] + 12 * HOUR)


def fire(alert: Alert, fare: Fare, old: int | None, at: int) -> dict[str, Any]:
    """Fire at a price at or below the trigger."""
    price, trigger = fare["price"], alert["trigger"]
    unusual = price * 3 < (trigger if old is None else old)
    alert.update(
        trigger=below(alert, price), holder=series_of(fare), holder_departure=fare["departure_date"],
        fired_at=at, fired_price=price, fired_unusual=unusual,
    )  # fmt: skip
    return {"fare": dict(fare), "old": old, "at": at, "trigger": trigger, "unusual": unusual}


def cheapest_first(alert: Alert, fares: list[Fare]) -> list[Fare]:
    """The fares that the alert wants, the cheapest first, then the earlier departure, then the hash."""
    wanted = [fare for fare in fares if wants(alert, fare)]
    return sorted(wanted, key=lambda fare: (fare["price"], fare["departure_date"], series_hash(fare)))


def evaluate(alert: Alert, fares: list[Fare], newest: int | None, *, resumed: bool = False) -> dict[str, Any] | None:
    """Judge the alert afresh against the believed fares of its O&D; answers the firing, if it is already below."""
    wanted = cheapest_first(alert, fares)
    target = alert["want"]["kind"] == "target"
    if not (resumed and alert["T"] is not None):
        reference = wanted[0]["price"] if wanted and not target else None
        alert["reference"] = reference
        measured = None if reference is None else below(alert, reference)
        alert["T"] = alert["want"]["target_minor"] if target else measured
    alert.update(trigger=alert["T"], learning_since=None, armed_since=newest or 0, holder=None, holder_departure=None)
    if alert["T"] is None or not wanted or wanted[0]["price"] > alert["T"]:
        return None
    return fire(alert, wanted[0], None, wanted[0]["observed_at"])


def state_of(alert: Alert, today: date) -> str:
    """The state that is shown."""
    if alert["paused"]:
        return "paused"
    if (_day(alert["want"], "depart_to") or EPOCH) < today:
        return "expired"
    if alert["T"] is None:
        return "learning"
    return "armed" if alert["holder"] is None else "fired"
