"""fms row by row, written from the design alone: one fare, one change, one alert at a time, in plain dictionaries.

It imports nothing of fms, knows no batches, no hashing in columns and no database, and is slow. Whatever it says after
a run, ``fms alerts list`` and ``fms notifications list`` must say too, apart from ids.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from tests.reference_alerts import (
    MARKET,
    Alert,
    cheapest_first,
    evaluate,
    new_alert,
    normal,
    od_of,
    see,
    state_of,
)  # fmt: skip
from tests.reference_book import Book, Rules, ticks
from tests.reference_fares import (
    DAY,
    HOUR,
    Fare,
    Rejected,
    day_of,
    instant_text,
    read_fare,
    series_of,
)  # fmt: skip

LOCAL = "local@localhost"
OPEN = ("pending", "cooling")
COUNTED = ("documents", "accepted", "rejected", "duplicates", "late", "unchanged", "first_seen", "moved", "gone",
           "notifications")  # fmt: skip
Line = str | dict[str, Any]
Row = dict[str, Any]


class Refused(Exception):  # noqa: N818  # named after the outcome
    """An import that changes nothing, because a line of it is wrong."""


class Reference:
    """A site: its book, its alerts, and what became of every firing.

    Args:
        rules: source → ``noise_bp`` and ``believe_days``; 0 and 3 where nothing is said.
        today: for the state ``expired``; the day of the test where nothing is said.
    """

    def __init__(self, rules: Rules | None = None, today: date | None = None) -> None:
        self.book = Book(rules)
        self.counts: Counter[str] = Counter()
        self.rejects: Counter[str] = Counter()
        self._today = today or datetime.now(UTC).date()
        self._alerts: dict[tuple[str, str], Alert] = {}
        self._rows: dict[tuple[int, int], Row] = {}
        self._serial = 0
        self._clock = 0

    # What people do

    def import_alerts(self, documents: Sequence[Row], user: str = LOCAL, *, update: bool = False) -> None:
        """Import an alert file, all or nothing; raises Refused."""
        changed = [one for one in documents if self._differs(one, user)]
        for one in changed:
            self._check_edit(self._alerts.get((user, one["ref"])), one, update=update)
        for one in changed:
            self._take(one, user)

    def _differs(self, document: Row, user: str) -> bool:
        before = self._alerts.get((user, document["ref"]))
        return before is None or before["want"] != normal(document)

    def _check_edit(self, before: Alert | None, document: Row, *, update: bool) -> None:
        if before is None:
            return
        wish = normal(document)
        same_market = all(wish[name] == before["want"][name] for name in (*MARKET, "kind"))
        if not update or not same_market:
            raise Refused(document["ref"])

    def _take(self, document: Row, user: str) -> None:
        alert = self._alerts.get((user, document["ref"]))
        if alert is None:
            self._serial += 1
            alert = self._alerts[user, document["ref"]] = new_alert(document, user, self._serial)
        else:
            cleared = ("T", "trigger", "reference", "learning_since", "holder", "holder_departure")
            alert.update(dict.fromkeys(cleared), want=normal(document), edition=alert["edition"] + 1)
        if not alert["paused"]:
            self._evaluate(alert)

    def _evaluate(self, alert: Alert, *, resumed: bool = False) -> None:
        od = od_of(alert)
        newest = self.book.newest(od)
        still_to_depart = self.book.believed(od, day_of(newest or 0))
        firing = evaluate(alert, still_to_depart, newest, resumed=resumed)
        if firing:
            self._record(alert, firing, evaluated=True)

    def pause(self, ref: str, user: str = LOCAL) -> None:
        """Match does not see the alert any more; it forgets its holder."""
        self._alerts[user, ref].update(paused=True, holder=None, holder_departure=None)

    def resume(self, ref: str, user: str = LOCAL) -> None:
        """End a pause: reference and T stay, and what is already below is told."""
        alert = self._alerts[user, ref]
        if alert["paused"]:
            alert.update(paused=False, edition=alert["edition"] + 1)
            self._evaluate(alert, resumed=True)

    def edit(self, ref: str, user: str = LOCAL, **fields: Any) -> None:
        """Change fields of one alert."""
        wish = {name: value for name, value in self._alerts[user, ref]["want"].items() if value not in (None, [])}
        self.import_alerts([wish | fields], user, update=True)

    def delete(self, ref: str, user: str = LOCAL) -> None:
        """Forget the alert; its rows stay, and are not told any more."""
        del self._alerts[user, ref]

    # What fares do

    def start_run(self) -> None:
        """Begin to count."""
        self.counts.clear()
        self.rejects.clear()
        self._clock = 0

    def ingest_file(self, lines: Iterable[Line], observed_at: int = 0, source: str = "default") -> None:
        """Take one file, line by line; ``observed_at`` (UTC ms) is for lines without a time of their own."""
        fares = [fare for line in lines if (fare := self._read(line, observed_at, source))]
        for fare in fares:
            self._clock = max(self._clock, fare["observed_at"])
        for tick in ticks(fares):
            self._tick(tick)

    def _read(self, line: Line, observed_at: int, source: str) -> Fare | None:
        try:
            fare = read_fare(line, observed_at, source)
        except Rejected as reason:
            self.counts.update(documents=1, rejected=1)
            self.rejects[str(reason)] += 1
            return None
        if fare:
            self.counts.update(documents=1, accepted=1)
        return fare

    def _tick(self, tick: list[Fare]) -> None:
        for change in self.book.tick(tick, self.counts):
            for alert in self._alerts.values():
                if not alert["paused"] and od_of(alert) == change["fare"]["od"]:
                    firing = see(alert, change)
                    if firing:
                        self._record(alert, firing, evaluated=False)

    def _record(self, alert: Alert, firing: Row, *, evaluated: bool) -> None:
        """One row per alert and hour; its trigger is that of the first firing of the alert as it is now."""
        key = alert["serial"], firing["at"] // HOUR
        row = self._rows.get(key)
        if row is None:
            row = {"alert": alert["serial"], "user": alert["user"], "ref": alert["ref"],
                   "kind": alert["want"]["kind"], "revision": 0, "told_at": None, "told_price": None,
                   "told_series": None, "fresh": True}  # fmt: skip
            self._rows[key] = row
        if not row["revision"] or row["edition"] != alert["edition"]:
            row["trigger"] = firing["trigger"]
        row.update(edition=alert["edition"], revision=row["revision"] + 1, evaluated=evaluated, status="pending",
                   release_at=None, fare=firing["fare"], old=firing["old"], at=firing["at"],
                   unusual=firing["unusual"])  # fmt: skip

    # What users hear

    def end_run(self) -> dict[str, int]:
        """Tell what is still true, by the clock of the newest observation of this run; answers the run's counts."""
        self.tell()
        return {name: self.counts[name] for name in COUNTED}

    def tell(self) -> None:
        """Judge what waits to be told. The clock is the newest time ever heard of: it never runs backwards."""
        rows = self._rows.values()
        self.counts["notifications"] += sum(row.pop("fresh", False) for row in rows)
        now = max([self._clock, *(row["at"] for row in rows), *(row["told_at"] or 0 for row in rows)])
        alerts = {alert["serial"]: alert for alert in self._alerts.values()}
        for serial in {row["alert"] for row in rows}:
            self._tell(alerts.get(serial), [row for row in rows if row["alert"] == serial], now)

    def _tell(self, alert: Alert | None, mine: list[Row], now: int) -> None:
        waiting = sorted((row for row in mine if row["status"] in OPEN), key=lambda row: row["at"])
        for row in waiting:
            if alert is None or alert["paused"] or row["edition"] != alert["edition"]:
                row["status"] = "cancelled"
        waiting = [row for row in waiting if row["status"] in OPEN]
        for row in waiting[:-1]:
            row["status"] = "superseded"
        if alert and waiting and (waiting[-1]["release_at"] or 0) <= now:
            told = sorted((row for row in mine if row["told_at"] is not None), key=lambda row: row["told_at"])
            self._judge(waiting[-1], alert, told, now)

    def _judge(self, row: Row, alert: Alert, told: list[Row], now: int) -> None:
        row["release_at"] = None
        if row["evaluated"] and any(_said(one, row["fare"]) for one in told):
            row["status"] = "already_told"
            return
        best = self._best(row, alert, now)
        if best is None:
            row["status"] = "gone"
        elif told and now < told[-1]["told_at"] + DAY and best["price"] * 10_000 > told[-1]["told_price"] * 9_500:
            row.update(status="cooling", release_at=told[-1]["told_at"] + DAY)
        else:
            row.update(status="sent", told_at=now, told_price=best["price"], told_series=series_of(best))

    def _best(self, row: Row, alert: Alert, now: int) -> Fare | None:
        """The fare to show: the best one known at or below the row's trigger; of an unknown date what was seen."""
        first, last = (date.fromisoformat(alert["want"][name]) for name in ("depart_from", "depart_to"))
        known = self.book.believed(od_of(alert), max(first, day_of(now)), last)
        wanted = cheapest_first(alert, known)
        if wanted and wanted[0]["price"] <= row["trigger"]:
            return wanted[0]
        fare: Fare = row["fare"]
        return None if (fare["od"], fare["departure_date"]) in self.book.pages else fare

    # What the lists say

    def alerts(self) -> list[Row]:
        """``fms alerts list --json`` without ids, by user and ref."""
        return [self._listed(self._alerts[key]) for key in sorted(self._alerts)]

    def _listed(self, alert: Alert) -> Row:
        fired_at = alert["fired_at"]
        listed: Row = alert["want"] | {
            "user": alert["user"], "state": state_of(alert, self._today),
            "trigger_minor": alert["trigger"], "reference_minor": alert["reference"],
            "last_price_minor": alert["fired_price"],
            "last_fired_at": None if fired_at is None else instant_text(fired_at),
        }  # fmt: skip
        return listed

    def notifications(self) -> list[Row]:
        """``fms notifications list --json`` without ids, by time of observation and ref."""
        rows = sorted(self._rows.values(), key=lambda row: (row["at"], row["ref"], row["alert"]))
        return [_notification(row) for row in rows]


def _said(told: Row, fare: Fare) -> bool:
    return bool(told["told_series"] == series_of(fare) and told["told_price"] <= fare["price"])


def _notification(row: Row) -> Row:
    fare = row["fare"]
    flights = {name: list(fare[name]) if fare[name] else None for name in ("outbound", "return")}
    names = ("ref", "user", "kind", "status", "revision", "unusual")
    return {name: row[name] for name in names} | {
        "origin": fare["origin"], "destination": fare["destination"], "cabin": fare["cabin"],
        "departure_date": fare["departure_date"].isoformat(),
        "return_date": fare["return_date"].isoformat() if fare["return_date"] else None,
        "flights": flights if fare["outbound"] else None, "price_minor": fare["price"],
        "old_price_minor": row["old"], "currency": fare["currency"], "trigger_minor": row["trigger"],
        "observed_at": instant_text(row["at"]), "told_price_minor": row["told_price"],
        "told_at": None if row["told_at"] is None else instant_text(row["told_at"]),
    }  # fmt: skip
