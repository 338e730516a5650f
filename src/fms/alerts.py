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
from fms.judging import Judging, Outlook
from fms.model.alert import MARKET_FIELDS, Alert, AlertState
from fms.model.alert_document import AlertDocument, document_of, parse_alert
from fms.model.alert_file import read_alert_file
from fms.model.ids import IdMint, parse_id
from fms.model.notification import Message
from fms.model.route import slot_of_od
from fms.model.user import User
from fms.ports import KnownFares, Outcome

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


class Alerts:
    """The alerts of a site.

    Args:
        rows: where they are kept.
        users: whose they are.
        fares: the price book, for evaluations and explanations.
        mint: makes their ids.
        catch_up_ms: how long after an evaluation what it missed is looked for; None: nobody matches meanwhile.

    Attributes:
        judging: of them by the price book.
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
        self.judging = Judging(fares)
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
        return self.import_for(self._users.find_or_add(email), wishes, update=update)

    def import_for(self, user: User, wishes: Sequence[tuple[str, AlertDocument]], *, update: bool = False) -> Imported:
        """The same for a user who is there: one who is being deleted is not made anew."""
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

    def catch_up_at(self, now: int) -> int | None:
        """When to look for what the evaluation of an alert at ``now`` (UTC ms) missed; None: nothing can be."""
        return None if self._catch_up_ms is None else now + self._catch_up_ms

    def evaluate(self, alert: Alert) -> tuple[list[Message], Outlook]:
        """Do the evaluation that is owed to one alert, and look at the fares of its dates as that did."""
        seen: list[Outlook] = []

        def judge(owed: Sequence[tuple[Alert, bool]]) -> list[Outcome]:
            [(now, resumed)] = owed
            outcome, found = self.judging.assess(now, resumed=resumed)
            seen.append(found)
            return [outcome]

        messages = self._rows.evaluate(alert.id, judge, self._catch_up_ms)
        return messages, seen[-1] if seen else self.judging.outlook(alert)

    def evaluate_owed(self, user: User | None = None) -> list[Message]:
        """Do the evaluations that creating, editing and resuming owe, or those of one user's alerts.

        Answers the messages of those that fired.
        """
        return [message for messages in self.evaluations(user) for message in messages]

    def evaluations(self, user: User | None = None) -> Iterator[list[Message]]:
        """The same, some at a time: each list is committed when it comes."""
        whose = user.id if user else None
        return self._rows.evaluate_owed(self.judging.judge, catch_up_ms=self._catch_up_ms, user_id=whose)

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
            outcomes = self.judging.look(alerts)
            confirm()
            return outcomes

        return self._rows.catch_up(look, whenever=whenever)


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
