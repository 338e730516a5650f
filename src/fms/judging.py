"""What the known fares mean for alerts: how they begin, what they missed, and why they fire or do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fms.model.alert import TARGET, Alert, Unmet, verdict
from fms.model.evaluation import KnownFare, caught_up, evaluate, excluded_by, wanted
from fms.model.fare import Fare
from fms.model.money import format_amount
from fms.ports import KnownFares, Outcome, Question

LOOKED_AT = 4
"""So many of the cheapest fares are looked at first; mostly one of them is wanted."""


@dataclass(frozen=True)
class Explanation:
    """Why an alert fires or does not.

    Attributes:
        alert: as it is now.
        known: number of believed fares of its O&D within its dates.
        newest: the newest observation of its O&D, UTC ms.
        best: the fares it wants, cheapest first, at most five.
        excluded: criterion → number of known fares that fail it first.
        holder: the fare that it told of, if it is believed still.
    """

    alert: Alert
    known: int
    newest: int | None
    best: Sequence[Fare]
    excluded: Mapping[str, int]
    holder: Fare | None = None


@dataclass(frozen=True)
class Outlook:
    """What is known for an alert when it is made or changed.

    Attributes:
        known: number of believed fares of its O&D on its dates of departure.
        best: the cheapest of them that it wants.
        excluded: if it wants none of them: criterion → number of those that fail it first.
    """

    known: int
    best: Fare | None
    excluded: Mapping[str, int]


class Judging:
    """Judges alerts by the price book."""

    def __init__(self, fares: KnownFares) -> None:
        self._fares = fares

    def assess(self, alert: Alert, *, resumed: bool = False) -> tuple[Outcome, Outlook]:
        """How an alert that is made or changed now begins, and the fares of its dates by which that is judged.

        What changes while it is written is caught up with afterwards: see ``catch_up_at``.
        """
        newest = self._fares.newest([alert.criteria.od]).get(alert.criteria.od)
        known, found = self._cheapest(alert, newest)
        state, firing = evaluate(alert, known, newest, resume=resumed)
        return Outcome(alert, state, [firing] if firing else []), found

    def _cheapest(self, alert: Alert, newest: int | None) -> tuple[Sequence[KnownFare], Outlook]:
        """The fares of the alert's dates, or only those that may be the best one, which is all that judging takes."""
        whole = _on_its_dates(alert)
        best = replace(whole, market=alert.criteria.market, cheapest=LOOKED_AT)
        counted, few = self._fares.known([replace(whole, cheapest=0), best])
        fares = wanted(alert, few.fares, newest or 0)
        if fares:
            return few.fares, Outlook(counted.count, fares[0].fare, {})
        [known] = self._fares.known([whole])
        return known.fares, outlook(alert, known.fares, newest)

    def outlook(self, alert: Alert) -> Outlook:
        """The fares of an alert's dates as they are known now."""
        return self._cheapest(alert, self._fares.newest([alert.criteria.od]).get(alert.criteria.od))[1]

    def judge(self, owed: Sequence[tuple[Alert, bool]]) -> list[Outcome]:
        """How alerts begin whose evaluation is owed; the flag says whether one was resumed."""
        alerts = [alert for alert, _ in owed]
        newest = self._fares.newest([alert.criteria.od for alert in alerts])
        known = self._fares.known([_question(alert) for alert in alerts])
        outcomes = []
        for (alert, resumed), found in zip(owed, known, strict=True):
            state, firing = evaluate(alert, found.fares, newest.get(alert.criteria.od), resume=resumed)
            outcomes.append(Outcome(alert, state, [firing] if firing else []))
        return outcomes

    def look(self, alerts: Sequence[Alert]) -> list[Outcome]:
        """What their evaluations missed, of those that missed something; see ``caught_up``."""
        newest = self._fares.newest([alert.criteria.od for alert in alerts])
        known = self._fares.known([_whole_question(alert) for alert in alerts])
        outcomes = []
        for alert, found in zip(alerts, known, strict=True):
            state, firing = caught_up(alert, found.fares, newest.get(alert.criteria.od))
            if state != alert.state:
                outcomes.append(Outcome(alert, state, [firing] if firing else []))
        return outcomes

    def explain(self, alert: Alert) -> Explanation:
        """The alert against the best known fares."""
        od = alert.criteria.od
        [known] = self._fares.known([Question(od)])
        newest = self._fares.newest([od]).get(od)
        fares = wanted(alert, known.fares, newest or 0)
        excluded = excluded_by(alert, known.fares)
        holder = next((one.fare for one in known.fares if one.series == alert.state.holder), None)
        return Explanation(alert, len(known.fares), newest, [one.fare for one in fares[:5]], excluded, holder)


def explain_fare(alert: Alert, fare: Fare) -> Unmet | None:
    """The verdict on one fare, and on its price: None if it would fire the alert as it is now."""
    if unmet := verdict(alert.criteria, fare):
        return unmet
    if alert.paused:
        return Unmet("state", "the alert is paused")
    trigger = alert.state.trigger
    if trigger is None:
        return Unmet("state", "the alert is still learning what is usual")
    if fare.price > trigger:
        price, limit = (format_amount(minor, fare.currency) for minor in (fare.price, trigger))
        return Unmet("price", f"{price} {fare.currency}, above the trigger {limit}")
    if fare.observed_at < alert.state.armed_since:
        return Unmet("observed_at", "seen before the alert was armed")
    return None


def outlook(alert: Alert, known: Sequence[KnownFare], newest: int | None) -> Outlook:
    """What known fares mean for an alert; ``newest``: the newest observation of its O&D, UTC ms."""
    fares = wanted(alert, known, newest or 0)
    return Outlook(len(known), fares[0].fare if fares else None, excluded_by(alert, known))


def _whole_question(alert: Alert) -> Question:
    want = alert.criteria
    return Question(want.od, want.depart_from, want.depart_to, want.market)


def _on_its_dates(alert: Alert) -> Question:
    want = alert.criteria
    return Question(want.od, want.depart_from, want.depart_to)


def _question(alert: Alert) -> Question:
    # A target asks only whether something is below it; the others measure from whatever is cheapest.
    at_most = alert.amount if alert.kind == TARGET else None
    return replace(_whole_question(alert), at_most=at_most)
