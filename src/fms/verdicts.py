"""Why an alert fires or does not, in words."""

from fms.judging import Explanation
from fms.model.alert import Alert
from fms.model.fare import Fare
from fms.model.money import format_amount


def trigger_from(alert: Alert) -> str:
    """Where the alert's trigger comes from, in words."""
    state, currency = alert.state, alert.criteria.currency

    def money(minor: int | None) -> str:
        return "nothing" if minor is None else f"{format_amount(minor, currency)} {currency}"

    if state.trigger is None:
        seen = f", lowest so far {money(state.reference)}" if state.reference is not None else ", no match seen yet"
        return f"learning what is usual for 12 h{seen}"
    origin = {
        "target": "the target",
        "drop_percent": f"{alert.amount / 100:g} % under the reference {money(state.reference)}",
        "drop_amount": f"{money(alert.amount)} under the reference {money(state.reference)}",
        "new_low": "1 % below the low it beats",
    }[alert.kind]
    if state.holder is None:
        return f"{money(state.trigger)}, {origin}"
    now = f"{money(state.trigger)}, because" if state.trigger > 0 else "no price is low enough since"
    again = f"armed again it will be {money(state.threshold)}, {origin}"
    return f"{now} it fired at {money(state.fired_price)}; {again}"


def in_one_line(found: Explanation) -> str:
    """Why the alert fires or does not."""
    alert = found.alert
    if alert.paused:
        return "paused: it fires again when it is resumed"
    if not found.known:
        return "no fare of this route is known yet"
    if not found.best:
        first = next(iter(found.excluded))
        return f"none of the known fares is wanted; most fail {first}"
    return _on_best(alert, found.best[0])


def _on_best(alert: Alert, best: Fare) -> str:
    state, currency = alert.state, alert.criteria.currency
    price = f"{format_amount(best.price, currency)} {currency}"
    if state.trigger is None:
        return f"learning; the best fare now is {price}"
    if state.trigger <= 0:
        return f"the best fare is {price}; no price is low enough before it is armed again"
    if state.holder is not None and best.price == state.fired_price:
        following = format_amount(state.trigger, currency)
        return f"the best fare, {price}, is what it fired at; it fires next at {following} or less"
    if best.price <= state.trigger:
        return f"the best fare, {price}, is at or below the trigger: its next fall fires"
    return f"the best fare, {price}, is {format_amount(best.price - state.trigger, currency)} above the trigger"
