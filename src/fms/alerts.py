"""What people do with alerts: import, change, pause, resume, delete them, and ask why one does not fire."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from fms.db.alerts import AlertRows
from fms.db.memory.alerts import MemoryAlertRows
from fms.db.memory.users import MemoryUsers
from fms.db.users import Users
from fms.errors import Invalid, NotFound
from fms.model.alert import MARKET_FIELDS, TARGET, Alert, AlertState, Unmet, verdict
from fms.model.alert_document import AlertDocument, document_of, parse_alert
from fms.model.alert_file import read_alert_file
from fms.model.evaluation import KnownFare, caught_up, evaluate, excluded_by, wanted
from fms.model.fare import Fare
from fms.model.ids import IdMint, parse_id
from fms.model.money import format_amount
from fms.model.notification import Message
from fms.model.route import slot_of_od
from fms.model.user import User
from fms.ports import KnownFares, Outcome, Question

Check = Callable[[Alert], None]
"""Is given an alert as it is under the lock, and raises if nothing is to be done."""


def _any(_alert: Alert) -> None:
    pass


@dataclass(frozen=True)
class Imported:
    """What an import did, in numbers of alerts."""

    added: int
    updated: int
    unchanged: int


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
        excluded: criterion → number of those that fail it first.
    """

    known: int
    best: Fare | None
    excluded: Mapping[str, int]


class Alerts:
    """The alerts of a site.

    Args:
        rows: where they are kept.
        users: whose they are.
        fares: the price book, for evaluations and explanations.
        mint: makes their ids.
        catch_up_ms: how long after an evaluation what it missed is looked for; None: nobody matches meanwhile.
    """

    def __init__(
        self,
        rows: AlertRows | MemoryAlertRows,
        users: Users | MemoryUsers,
        fares: KnownFares,
        mint: IdMint,
        catch_up_ms: int | None = None,
    ) -> None:
        self._catch_up_ms = catch_up_ms
        self._rows = rows
        self._users = users
        self._fares = fares
        self._mint = mint

    def import_file(self, path: Path, email: str, *, update: bool = False) -> Imported:
        """Import an alert file for a user, all of it or nothing; the user is made if new.

        Args:
            path: JSON lines.
            email: whose alerts they become.
            update: whether a known ``ref`` with other content is edited; else it is refused.

        Raises Invalid with file, line and field. Evaluations are owed afterwards: see ``evaluate_owed``.
        """
        return self.import_wishes(read_alert_file(path), email, update=update)

    def import_wishes(
        self, wishes: Sequence[tuple[str, AlertDocument]], email: str, *, update: bool = False
    ) -> Imported:
        """Import checked alerts, each with its place for errors; see ``import_file``."""
        user = self._users.find_or_add(email)
        mine = {alert.ref: alert for alert in self._rows.all(user.id)}
        new, edits = [], []
        for place, wish in wishes:
            before = mine.get(wish.ref)
            if before is None:
                new.append(self._made(wish, user))
            elif not wish.same_as(before):
                _check_edit(f"{place}: ", before, wish, update=update)
                edits.append((before.id, wish))
        self._rows.add(new)
        for alert_id, wish in edits:
            self._rewrite(alert_id, partial(_unconditionally, wish))
        return Imported(len(new), len(edits), len(wishes) - len(new) - len(edits))

    def _made(self, wish: AlertDocument, user: User) -> Alert:
        alert_id = self._mint.new(slot_of_od(wish.criteria.od))
        return Alert(alert_id, user.id, user.email, wish.ref, wish.kind, wish.amount, wish.criteria)

    def _rewrite(self, alert_id: UUID, wish_of: Callable[[Alert], AlertDocument]) -> Alert:
        def edit(alert: Alert) -> Alert:
            wish = wish_of(alert)
            if wish.same_as(alert):
                return alert
            # Without a threshold it is measured afresh: now, or if it is paused when it is resumed.
            state = replace(_let_go(alert.state), threshold=None, trigger=None, reference=None, learning_since=None)
            return replace(alert, amount=wish.amount, criteria=wish.criteria, state=state, edition=alert.edition + 1)

        return self._rows.change(alert_id, edit)

    def find(self, text: str, email: str | None = None) -> Alert:
        """The alert called by id or ``ref``; raises NotFound, or Invalid if several users have that ``ref``."""
        with suppress(Invalid, NotFound):
            return self._rows.get(parse_id(text))
        user_id = self._users.find(email).id if email else None
        found = [alert for alert in self._rows.all(user_id) if alert.ref == text]
        if not found:
            raise NotFound(f"no alert {text!r}")
        if len(found) > 1:
            raise Invalid(f"{len(found)} users have an alert {text!r}: say whose, or give its id")
        return found[0]

    def all(self, email: str | None = None) -> Sequence[Alert]:
        """All alerts, or one user's, by id."""
        return self._rows.all(self._users.find(email).id if email else None)

    def edit(self, alert: Alert, changes: Mapping[str, Any]) -> Alert:
        """Change fields of the alert file; raises Invalid with the field, also for one that forms the market."""

        def wish_of(now: Alert) -> AlertDocument:
            # Of the alert as it is under the lock: of two edits at once neither is lost.
            wish = parse_alert(document_of(now) | dict(changes))
            _check_edit("", now, wish, update=True)
            return wish

        return self._rewrite(alert.id, wish_of)

    def replace(self, alert: Alert, document: Mapping[str, Any], check: Check = _any) -> Alert:
        """Give an alert other content; fields of its market, its kind and ref need not be said, and cannot be changed.

        ``check``: given the alert as it is under the lock, may raise.
        """

        def wish_of(now: Alert) -> AlertDocument:
            check(now)
            kept = {name: value for name, value in document_of(now).items() if name in ("ref", "kind", *MARKET_FIELDS)}
            wish = parse_alert(kept | dict(document))
            _check_edit("", now, wish, update=True)
            return wish

        return self._rewrite(alert.id, wish_of)

    def pause(self, alert: Alert, check: Check = _any) -> Alert:
        """Make the alert invisible to match; it forgets its holder."""

        def edit(now: Alert) -> Alert:
            check(now)
            return now if now.paused else replace(now, paused=True, state=_let_go(now.state))

        return self._rows.change(alert.id, edit, owed=False)

    def resume(self, alert: Alert, check: Check = _any) -> Alert:
        """End a pause; reference and threshold stay, and what is already below is told."""

        def edit(now: Alert) -> Alert:
            check(now)
            return replace(now, paused=False, edition=now.edition + 1) if now.paused else now

        return self._rows.change(alert.id, edit, resumed=True)

    def snooze(self, alert: Alert, until: int | None, check: Check = _any) -> Alert:
        """Hold the alert's tellings until a time (UTC ms); it goes on being judged."""

        def edit(now: Alert) -> Alert:
            check(now)
            return replace(now, snoozed_until=until)

        return self._rows.change(alert.id, edit, owed=False)

    def delete(self, alert: Alert, check: Check = _any) -> None:
        """Delete the alert; what was not told yet is not told any more."""
        self._rows.delete(alert.id, check)

    def evaluate(self, alert: Alert) -> tuple[list[Message], Outlook]:
        """Do the evaluation that is owed to one alert, and look at the fares of its dates as that did."""
        seen: list[Outlook] = []

        def judge(owed: Sequence[tuple[Alert, bool]]) -> list[Outcome]:
            [(now, resumed)] = owed
            known, newest = self._on_its_dates(now)
            seen.append(outlook(now, known, newest))
            state, firing = evaluate(now, known, newest, resume=resumed)
            return [Outcome(now, state, [firing] if firing else [])]

        messages = self._rows.evaluate(alert.id, judge, self._catch_up_ms)
        return messages, seen[-1] if seen else self.outlook(alert)

    def outlook(self, alert: Alert) -> Outlook:
        """The fares of an alert's dates as they are known now."""
        return outlook(alert, *self._on_its_dates(alert))

    def _on_its_dates(self, alert: Alert) -> tuple[Sequence[KnownFare], int | None]:
        want = alert.criteria
        [known] = self._fares.known([Question(want.od, want.depart_from, want.depart_to)])
        return known.fares, self._fares.newest([want.od]).get(want.od)

    def evaluate_owed(self) -> list[Message]:
        """Do the evaluations that creating, editing and resuming owe; answers the messages of those that fired."""
        return [message for messages in self.evaluations() for message in messages]

    def evaluations(self) -> Iterator[list[Message]]:
        """The same, some at a time: each list is committed when it comes."""
        return self._rows.evaluate_owed(self._judge, catch_up_ms=self._catch_up_ms)

    def catch_up(
        self, confirm: Callable[[], None] = lambda: None, *, whenever: bool = False
    ) -> Iterator[list[Message]]:
        """Look for changes that passed alerts by while they were evaluated; as ``evaluations``.

        Args:
            confirm: asked after the price book was read; raises Transient unless all changes are matched by now that
                the book has, of the alerts' routes.
            whenever: also where the time to look has not come.
        """

        def look(alerts: Sequence[Alert]) -> list[Outcome]:
            outcomes = self._look(alerts)
            confirm()
            return outcomes

        return self._rows.catch_up(look, whenever=whenever)

    def _judge(self, owed: Sequence[tuple[Alert, bool]]) -> list[Outcome]:
        alerts = [alert for alert, _ in owed]
        newest = self._fares.newest([alert.criteria.od for alert in alerts])
        known = self._fares.known([_question(alert) for alert in alerts])
        outcomes = []
        for (alert, resumed), found in zip(owed, known, strict=True):
            state, firing = evaluate(alert, found.fares, newest.get(alert.criteria.od), resume=resumed)
            outcomes.append(Outcome(alert, state, [firing] if firing else []))
        return outcomes

    def _look(self, alerts: Sequence[Alert]) -> list[Outcome]:
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

    def explain_fare(self, alert: Alert, fare: Fare) -> Unmet | None:
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


def _check_edit(place: str, before: Alert, wish: AlertDocument, *, update: bool) -> None:
    if not update:
        raise Invalid(f"{place}ref: {wish.ref!r} is known with other content; fms alerts import --update edits it")
    if wish.ref != before.ref:
        raise Invalid(f"{place}ref: cannot be changed; delete {before.ref!r} and make a new alert")
    if wish.kind != before.kind:
        raise Invalid(f"{place}kind: cannot be changed; delete {wish.ref!r} and make a new alert")
    for name in MARKET_FIELDS:
        if getattr(wish.criteria, name) != getattr(before.criteria, name):
            raise Invalid(f"{place}{name}: cannot be changed; delete {wish.ref!r} and make a new alert")


def _unconditionally(wish: AlertDocument, _now: Alert) -> AlertDocument:
    return wish


def _let_go(state: AlertState) -> AlertState:
    return replace(state, holder=None, holder_departure=None)


def _whole_question(alert: Alert) -> Question:
    want = alert.criteria
    return Question(want.od, want.depart_from, want.depart_to, want.market)


def _question(alert: Alert) -> Question:
    # A target asks only whether something is below it; the others measure from whatever is cheapest.
    at_most = alert.amount if alert.kind == TARGET else None
    return replace(_whole_question(alert), at_most=at_most)
