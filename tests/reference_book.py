"""The reference's price book: what each series cost last, and the changes that one tick of observations makes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from tests.reference_fares import DAY, Fare, Series, partition_of, series_hash, series_of

TICK_ROWS = 10_000
Change = dict[str, Any]
Rules = dict[str, dict[str, int]]


def ticks(fares: Iterable[Fare]) -> Iterator[list[Fare]]:
    """The accepted rows of one file as ticks: by partition, runs of one time, at most 10,000 rows each."""
    lanes: dict[int, list[list[Fare]]] = defaultdict(list)
    for fare in fares:
        lane = lanes[partition_of(fare["od"])]
        fresh = not lane or lane[-1][-1]["observed_at"] != fare["observed_at"] or len(lane[-1]) == TICK_ROWS
        if fresh:
            lane.append([])
        lane[-1].append(fare)
    for partition in sorted(lanes):
        yield from lanes[partition]


class Book:
    """Pages by O&D and date; each holds its series' last fare (``observed_at``: last seen, ``price``: the anchor)."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.pages: dict[tuple[str, date], dict[Series, Fare]] = {}
        self._rules = rules or {}

    def noise_bp(self, source: str) -> int:
        """How far a newer price of the source may be from the stored one without being news."""
        return self._rules.get(source, {}).get("noise_bp", 0)

    def believe(self, source: str) -> int:
        """For how long (ms) an observation of the source is believed; 0: for ever."""
        return self._rules.get(source, {}).get("believe_days", 3) * DAY

    def tick(self, fares: list[Fare], counts: Counter[str]) -> list[Change]:
        """Take the observations of one time; answers the changes in the order in which alerts see them."""
        changes: list[Change] = []
        rows: dict[tuple[str, date], dict[Series, list[Fare]]] = defaultdict(lambda: defaultdict(list))
        for fare in fares:
            rows[fare["od"], fare["departure_date"]][series_of(fare)].append(fare)
        for key, found in rows.items():
            page = self.pages.setdefault(key, {})
            at = fares[0]["observed_at"]
            newest = max([at, *(known["observed_at"] for known in page.values())])
            changes += self._drop(page, newest)
            for series, offers in found.items():
                cheapest = min(offers, key=lambda fare: fare["price"])
                kind, change = self._compare(page, series, cheapest, newest)
                counts[kind] += 1
                counts["late" if kind == "late" else "duplicates"] += len(offers) - 1
                changes += [change] if change else []
        counts["gone"] += sum(change["kind"] == "gone" for change in changes)
        return sorted(changes, key=_order)

    def _drop(self, page: dict[Series, Fare], newest: int) -> list[Change]:
        dropped = [(series, fare) for series, fare in page.items() if not self._believed(fare, newest)]
        for series, _ in dropped:
            del page[series]
        return [_gone(series, fare, self.believe(fare["source"])) for series, fare in dropped]

    def _believed(self, fare: Fare, newest: int) -> bool:
        believe = self.believe(fare["source"])
        return not believe or newest - fare["observed_at"] <= believe

    def _compare(self, page: dict[Series, Fare], series: Series, fare: Fare, newest: int) -> tuple[str, Change | None]:
        known = page.get(series)
        price, at = fare["price"], fare["observed_at"]
        if known is None:
            if not self._believed(fare, newest):
                return "late", None
            page[series] = fare
            return "first_seen", _change("first_seen", series, None, fare)
        old, seen = known["price"], known["observed_at"]
        noise = abs(price - old) * 10_000 <= self.noise_bp(fare["source"]) * old
        if at < seen:
            return "late", None
        if at == seen and (noise or price > old):
            return "duplicates", None
        if noise:
            known["observed_at"] = at
            return "unchanged", None
        page[series] = fare
        return "moved", _change("fell" if price < old else "rose", series, old, fare)

    def believed(self, od: str, first: date = date.min, last: date = date.max) -> list[Fare]:
        """The believed fares of an O&D, departing within the dates."""
        found = []
        for (page_od, day), page in self.pages.items():
            if page_od == od and first <= day <= last:
                newest = max(fare["observed_at"] for fare in page.values())
                found += [fare for fare in page.values() if self._believed(fare, newest)]
        return found

    def newest(self, od: str) -> int | None:
        """The newest observation of an O&D."""
        seen = [fare["observed_at"] for key, page in self.pages.items() if key[0] == od for fare in page.values()]
        return max(seen, default=None)


def _change(kind: str, series: Series, old: int | None, fare: Fare) -> Change:
    # A copy: the book advances the time of its own fare when it is seen again.
    return {"kind": kind, "series": series, "old": old, "at": fare["observed_at"], "fare": dict(fare)}


def _gone(series: Series, fare: Fare, believe: int) -> Change:
    return _change("gone", series, fare["price"], fare) | {"at": fare["observed_at"] + believe}


def _order(change: Change) -> tuple[int, int, date, int]:
    fare = change["fare"]
    rank = {"gone": 0, "rose": 1}.get(change["kind"], 2)
    return rank, fare["price"] if rank else 0, fare["departure_date"], series_hash(fare)
