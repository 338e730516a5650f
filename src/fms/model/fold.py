"""An alert is a fold over the changes of its O&D in order; its whole state is one trigger and one holder.

The result depends on the order of the changes and on nothing else: not on how they were cut into batches, not on
how often they were delivered, not on the clock. ``docs/alert-semantics.md`` says the rules in words.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fms.model.alert import DROP_AMOUNT, DROP_PERCENT, NEW_LOW, TARGET, Alert, AlertState, verdict
from fms.model.change import FELL, FIRST_SEEN, GONE, KNOWN, OPENED, ROSE, Change
from fms.model.clock import DAY_MS, HOUR_MS, days_of, utc_day

LEARNING_MS = 12 * HOUR_MS
"""Observation time over which a learning alert lowers its reference."""

KEEP_LOW_MS = DAY_MS
"""How long a new low must have stood to be kept as the threshold when its holder rises or goes."""


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert fired. ``trigger`` and ``threshold`` are from before it; prices in minor units."""

    change: Change
    trigger: int
    threshold: int
    unusual: bool


def threshold_from(kind: str, amount: int, reference: int) -> int:
    """T of a drop or new-low alert whose reference is known, in minor units; may be 0 or less (never fires)."""
    if kind == DROP_PERCENT:
        return reference * (10_000 - amount) // 10_000
    if kind == DROP_AMOUNT:
        return reference - amount
    return min(reference * 99 // 100, reference - 1)


def trigger_after(kind: str, amount: int, price: int) -> int:
    """The trigger after the alert fired at ``price``."""
    return price * 95 // 100 if kind == TARGET else threshold_from(kind, amount, price)


def is_unusual(price: int, old_price: int | None, trigger: int | None) -> bool:
    """Below a third of the old price, or of the trigger when the fare is seen first: may be a mistake of the source."""
    before = old_price if old_price is not None else trigger
    return before is not None and price * 3 < before


def fold(alert: Alert, changes: Iterable[Change]) -> tuple[AlertState, list[Firing]]:
    """The alert's state after the changes, and its firings in order.

    Args:
        alert: as it was; its ``state`` is where the fold begins.
        changes: changes of the alert's O&D in the order of a ``ChangeBatch``, after the last one that it was folded
            over; others do nothing.

    Any subset that keeps the order gives the same result, as long as it holds every ``fell`` and ``first_seen``
    that the alert wants at or below T, every ``rose``, ``gone`` and ``first_seen`` of a series that holds or may come
    to hold it, and, if a holder may depart before some change is observed, every change of these four kinds.
    ``known`` does nothing. An ``opened`` of the page on which a holder departs says that the page has lost it: whoever
    knows that the page has it still, or has it again, leaves that one out.
    """
    state, firings = alert.state, []
    for change in changes:
        before, firing = state, None
        state = _rearm(alert, state, change)
        if change.kind in (FIRST_SEEN, FELL) and verdict(alert.criteria, change.fare) is None:
            state, firing = _match(alert, state, change)
        if firing:
            firings.append(firing)
        if state != before:
            state = replace(state, last_change=change.id)
    return state, firings


def _rearm(alert: Alert, state: AlertState, change: Change) -> AlertState:
    if state.holder is None or state.fired_at is None or change.kind == KNOWN:
        return state
    if change.kind == OPENED:
        # Also by a time before the firing: the page has forgotten that time, and says this only once. But an alert that
        # was judged afresh since then was judged by what the page held when it had begun again.
        lost = change.observed_at > state.armed_since
        own = days_of(change.fare.departure_date) == state.holder_departure
        return rearmed(alert, state, max(change.observed_at, state.fired_at)) if own and lost else state
    if change.observed_at <= state.fired_at:
        return state
    departed = state.holder_departure is not None and utc_day(change.observed_at) > state.holder_departure
    ended = change.series == state.holder and _ends_holding(change, state.threshold or 0)
    return rearmed(alert, state, change.observed_at) if departed or ended else state


def _ends_holding(change: Change, threshold: int) -> bool:
    """Whether the holder is gone or over 2 % above the threshold. One that was lost in between is first seen there."""
    seen_above = change.kind in (ROSE, FIRST_SEEN) and change.fare.price * 100 > threshold * 102
    return change.kind == GONE or seen_above


def rearmed(alert: Alert, state: AlertState, at: int) -> AlertState:
    """The state after the holder has gone at ``at``. ``new_low`` keeps a low that has stood for a day and was usual."""
    threshold = state.threshold
    stood = state.fired_at is not None and at - state.fired_at >= KEEP_LOW_MS
    if alert.kind == NEW_LOW and stood and not state.fired_unusual:
        threshold = state.trigger
    return replace(state, threshold=threshold, trigger=threshold, holder=None, holder_departure=None, armed_since=at)


def _match(alert: Alert, state: AlertState, change: Change) -> tuple[AlertState, Firing | None]:
    if state.trigger is None:
        state = _learn(alert, state, change)
    if state.trigger is None or change.fare.price > state.trigger or change.observed_at < state.armed_since:
        return state, None
    return fire(alert, state, change)


def _learn(alert: Alert, state: AlertState, change: Change) -> AlertState:
    price, at = change.fare.price, change.observed_at
    if is_unusual(price, change.old_price, None):
        return state
    if state.learning_since is None or state.reference is None:
        return replace(state, learning_since=at, reference=price)
    if at < state.learning_since + LEARNING_MS:
        return replace(state, reference=min(state.reference, price))
    threshold = threshold_from(alert.kind, alert.amount, state.reference)
    return replace(state, threshold=threshold, trigger=threshold, armed_since=state.learning_since + LEARNING_MS)


def fire(alert: Alert, state: AlertState, change: Change) -> tuple[AlertState, Firing]:
    """Fire at a change whose price is at or below the trigger."""
    assert state.trigger is not None  # noqa: S101  # the caller compared the price with it
    assert state.threshold is not None  # noqa: S101  # set together with the trigger
    price = change.fare.price
    unusual = is_unusual(price, change.old_price, state.trigger)
    after = replace(
        state,
        trigger=trigger_after(alert.kind, alert.amount, price),
        holder=change.series,
        holder_departure=days_of(change.fare.departure_date),
        fired_at=change.observed_at,
        fired_price=price,
        fired_unusual=unusual,
    )
    return after, Firing(change, state.trigger, state.threshold, unusual)
