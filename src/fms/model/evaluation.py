"""Create, import, edit and resume are one operation: judge an alert afresh against the fares known now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fms.model.alert import TARGET, Alert, AlertState, verdict
from fms.model.change import FIRST_SEEN, Change
from fms.model.clock import date_of, utc_day
from fms.model.fare import SERIES_BITS, Fare
from fms.model.fold import Firing, fire, rearmed, threshold_from


@dataclass(frozen=True, slots=True)
class KnownFare:
    """A fare of the price book that is believed: ``fare.price`` is the last known, ``fare.observed_at`` last seen."""

    series: int
    fare: Fare


def wanted(alert: Alert, known: Iterable[KnownFare], at: int) -> list[KnownFare]:
    """The fares that the alert wants, at any price: the cheapest first, then the earlier departure, then the hash.

    What departed before the UTC day of ``at`` (ms) is left out: a page that nobody refreshes still believes it.
    """
    today, want = date_of(utc_day(at)), alert.criteria
    market = want.market >> SERIES_BITS
    fares = [
        found
        for found in known
        # A series carries the first bits of its market: most fares of other markets are passed over at once.
        if found.series >> SERIES_BITS == market
        and found.fare.departure_date >= today
        and verdict(want, found.fare) is None
    ]
    return sorted(fares, key=lambda found: (found.fare.price, found.fare.departure_date, found.series))


def evaluate(
    alert: Alert, known: Iterable[KnownFare], newest: int | None, *, resume: bool
) -> tuple[AlertState, Firing | None]:
    """The alert's new state, and its firing if a known fare is already at or below the threshold.

    Args:
        alert: as edited; of its state only what a resume keeps is read, and the last firing for show.
        known: the believed fares of its O&D.
        newest: the newest observation of its O&D; older changes do not fire it any more. None: nothing known.
        resume: keep reference and threshold, instead of measuring afresh.
    """
    fares = wanted(alert, known, newest or 0)
    kept = alert.state if resume and alert.state.threshold is not None else None
    reference = kept.reference if kept else (fares[0].fare.price if fares else None)
    threshold = kept.threshold if kept else _threshold(alert, reference)
    state = replace(
        alert.state,
        threshold=threshold,
        trigger=threshold,
        reference=None if alert.kind == TARGET else reference,
        learning_since=None,
        armed_since=newest or 0,
        holder=None,
        holder_departure=None,
        last_change=None,
    )
    if threshold is None or not fares or fares[0].fare.price > threshold:
        return state, None
    best = fares[0]
    fired, firing = fire(alert, state, Change(FIRST_SEEN, best.series, 0, None, best.fare))
    return replace(fired, last_change=None), firing


def caught_up(alert: Alert, known: Sequence[KnownFare], newest: int | None) -> tuple[AlertState, Firing | None]:
    """The state of an alert that missed changes, and its firing; the same state if it missed none.

    While an alert is evaluated others match, and diff passes changes on before the price book has them: a change may
    pass the alert by, and be in the book a moment later. What such changes did is seen there: the holder rose or is
    gone, or a fare seen since the alert was armed is at or below its trigger.

    Args:
        alert: nothing has moved it since it was evaluated.
        known: the believed fares of its O&D, by a book that lags behind no change that was matched.
        newest: the newest observation of its O&D.
    """
    state, at = alert.state, newest or 0
    if alert.paused or state.trigger is None:
        return state, None
    if state.holder is not None:
        holder = next((one.fare for one in known if one.series == state.holder), None)
        risen = holder is not None and holder.price * 100 > (state.threshold or 0) * 102
        seen_at = at if holder is None else holder.observed_at
        if (holder is None or risen) and seen_at > (state.fired_at or 0):
            state = rearmed(alert, state, seen_at)
    missed = [one for one in wanted(alert, known, at) if one.fare.observed_at >= state.armed_since]
    if not missed or state.trigger is None or missed[0].fare.price > state.trigger:
        return state, None
    best = missed[0]
    fired, firing = fire(alert, state, Change(FIRST_SEEN, best.series, 0, None, best.fare))
    return fired, firing


def _threshold(alert: Alert, reference: int | None) -> int | None:
    if alert.kind == TARGET:
        return alert.amount
    return None if reference is None else threshold_from(alert.kind, alert.amount, reference)


def excluded_by(alert: Alert, known: Iterable[KnownFare]) -> dict[str, int]:
    """How many of the fares each criterion excludes (the first that a fare fails), most first."""
    counts: dict[str, int] = {}
    for found in known:
        if unmet := verdict(alert.criteria, found.fare):
            counts[unmet.criterion] = counts.get(unmet.criterion, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
