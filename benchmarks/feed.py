"""Generate the standard workload: a cycle of fare documents, and alerts that wait for its prices.

In proportion to the full size (20,000 directed O&Ds x 330 departures x about 6 series = 40 M documents, 4 M alerts):
``--docs`` scales the O&Ds. Popular O&Ds sell more series; one source, five currencies; a fifth of the prices differ in
cycle 2. Whatever belongs to a document is computed from its number, so files of any order hold the same documents.
The same options give the same bytes. No Python loop runs over documents.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count as count_from
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]

DATES = 330
CHUNK = 1 << 18
FIRST_DEPARTURE = np.datetime64("2026-11-10")
OBSERVED = {1: "2026-11-02T00:00:00Z", 2: "2026-11-02T06:00:00Z"}
CURRENCIES = ("USD", "EUR", "GBP", "CAD", "AUD")
BRANDS = ("light", "standard", "flex")
CARRIERS = ("BA", "AA", "LH", "AF", "DL", "KL", "FR", "U2", "QF", "AC")
POPULARITY = ((0.02, 24), (0.10, 12), (0.50, 6), (1.00, 4))
"""Up to this share of the O&Ds by popularity: series per departure date. On average 5.84."""

MOST = max(series for _, series in POPULARITY)

CHANGED = 5
"""One price in so many differs in cycle 2."""

FALLEN = 47
"""Per cent of the differing prices that are lower."""

STEPS = np.array([1, 1, 2, 2, 3, 4, 6, 9, 13, 20], dtype=np.int64)
"""Per cent by which a price moves."""


def scattered(numbers: Ints, salt: int) -> npt.NDArray[np.uint64]:
    """64 well mixed bits from each number (splitmix64)."""
    bits = numbers.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) % (1 << 64))
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def below(numbers: Ints, salt: int, bound: int) -> Ints:
    """A number from 0 to ``bound`` - 1 for each number."""
    return (scattered(numbers, salt) % np.uint64(bound)).astype(np.int64)


def series_by_rank(count: int) -> Ints:
    """Series per departure date of ``count`` O&Ds, the most popular first."""
    edges = [int(share * count) for share, _ in POPULARITY[:-1]]
    series = np.array([k for _, k in POPULARITY], dtype=np.int64)
    return series[np.searchsorted(edges, np.arange(count), side="right")]


@dataclass(frozen=True)
class Workload:
    """The documents of one size and seed; documents are numbered in (O&D, departure date, series) order."""

    docs: int
    seed: int

    @property
    def salt(self) -> int:
        """The first of the sixteen salts of this seed."""
        return 16 * self.seed

    @cached_property
    def ranks(self) -> Ints:
        """The popularity of each O&D, 0 the highest, in the order of the feed."""
        count = next(
            n for n in count_from(self.docs // (DATES * 6) or 1) if DATES * series_by_rank(n).sum() >= self.docs
        )
        return np.random.Generator(np.random.PCG64(self.salt)).permutation(count).astype(np.int64)

    @cached_property
    def series(self) -> Ints:
        """Series per departure date of each O&D."""
        return series_by_rank(len(self.ranks))[self.ranks]

    @cached_property
    def offsets(self) -> Ints:
        """The number of the first document of each O&D, and behind the last."""
        return np.concatenate(([0], np.cumsum(self.series * DATES)))

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Invented airports, in alphabetical order of the O&D."""
        count = len(self.ranks)
        airports = next(n for n in range(2, 1000) if n * (n - 1) >= count)
        codes = [f"{chr(65 + n // 26 % 26)}{chr(65 + n % 26)}{chr(65 + n * 7 % 26)}" for n in range(airports)]
        return [(a, b) for a in codes for b in codes if a != b][:count]

    def place(self, numbers: Ints) -> tuple[Ints, Ints, Ints]:
        """O&D, departure day and series of the documents with these numbers."""
        od = np.searchsorted(self.offsets, numbers, side="right") - 1
        day, series = np.divmod(numbers - self.offsets[od], self.series[od])
        return od, day, series

    def prices(self, numbers: Ints, od: Ints, cycle: int) -> Ints:
        """Minor units: the O&D's level, a rung for the document, in cycle 2 for one in five a step up or down."""
        level = 4_000 + below(od, self.salt + 1, 60_000)
        price = level * (100 + 8 * below(numbers, self.salt + 2, 16)) // 100
        if cycle == 1:
            return price
        changed = below(numbers, self.salt + 3, CHANGED) == 0
        step = STEPS[below(numbers, self.salt + 4, len(STEPS))]
        step = np.where(below(numbers, self.salt + 5, 100) < FALLEN, -step, step)
        return np.where(changed, price * (100 + step) // 100, price)

    def currency(self, od: Ints) -> Ints:
        """The currency of each O&D, as an index."""
        return below(od, self.salt + 6, len(CURRENCIES))


def chunks(work: Workload, *, shuffled: bool) -> Iterator[Ints]:
    """The numbers of all documents in the order of the feed."""
    order = None
    if shuffled:
        order = np.random.Generator(np.random.PCG64(work.salt + 7)).permutation(np.arange(work.docs, dtype=np.int64))
    for start in range(0, work.docs, CHUNK):
        stop = min(start + CHUNK, work.docs)
        yield np.arange(start, stop, dtype=np.int64) if order is None else order[start:stop]


@dataclass(frozen=True)
class Texts:
    """The parts of a document that repeat, each built once."""

    heads: Any
    dates: Any
    flights: Any
    tails: Any

    @classmethod
    def of(cls, work: Workload, cycle: int) -> "Texts":
        """The texts of one cycle."""
        start = f'{{"source":"bench","observed_at":"{OBSERVED[cycle]}","origin":"'
        carriers = below(np.arange(len(work.pairs), dtype=np.int64), work.salt + 8, len(CARRIERS)).tolist()
        days = [f'{FIRST_DEPARTURE + day}","outbound_flights":["' for day in range(DATES)]
        flights = [f'{carrier}{101 + 2 * (n // 3)}","fare_brand":"{BRANDS[n % 3]}'.replace('","', '"],"', 1)
                   for carrier in CARRIERS for n in range(MOST)]  # fmt: skip
        return cls(
            heads=pa.array([f'{start}{a}","destination":"{b}","departure_date":"' for a, b in work.pairs]),
            dates=pa.array(days),
            flights=pa.array([flights[carrier * MOST + n] for carrier in carriers for n in range(MOST)]),
            tails=pa.array([f'","currency":"{code}","total_amount_minor":' for code in CURRENCIES]),
        )


def write(work: Workload, cycle: int, out: BinaryIO, *, shuffled: bool = False) -> None:
    """Write the documents of a cycle as JSON lines."""
    texts = Texts.of(work, cycle)
    for numbers in chunks(work, shuffled=shuffled):
        od, day, series = work.place(numbers)
        parts = [
            texts.heads.take(pa.array(od)),
            texts.dates.take(pa.array(day)),
            texts.flights.take(pa.array(od * MOST + series)),
            texts.tails.take(pa.array(work.currency(od))),
            pa.array(work.prices(numbers, od, cycle)).cast(pa.string()),
        ]
        lines = pc.binary_join_element_wise(*parts, "}\n", "")
        out.write(lines.buffers()[2])  # the values of a string column lie behind one another: the file's very bytes


@dataclass(frozen=True)
class Alerts:
    """Alerts on targets, as columns: O&D, first departure day, days, target; and whether cycle 2 fires them."""

    od: Ints
    first: Ints
    days: Ints
    target: Ints
    fires: npt.NDArray[np.bool_]


def make_alerts(work: Workload, count: int) -> Alerts:
    """Routes by Zipf (s = 1), windows of 1 to 14 days, targets 5 to 40 % under the lowest fare of the window."""
    random = np.random.Generator(np.random.PCG64(work.salt + 9))
    by_rank = np.argsort(work.ranks)
    weight = 1 / np.arange(1, len(by_rank) + 1)
    od = by_rank[random.choice(len(by_rank), count, p=weight / weight.sum())]
    days = random.integers(1, 15, count)
    first = random.integers(0, DATES - 14, count)
    before, after = lows(work, 1), lows(work, 2)
    low = window_low(before, od, first, days)
    known = low < np.iinfo(np.int64).max
    target = np.where(known, low, 10_000) * (100 - random.integers(5, 41, count)) // 100
    return Alerts(od, first, days, target, known & (window_low(after, od, first, days) <= target))


def lows(work: Workload, cycle: int) -> Ints:
    """The lowest price of each O&D (rows) and departure day (columns)."""
    found = np.full((len(work.pairs), DATES), np.iinfo(np.int64).max)
    for numbers in chunks(work, shuffled=False):
        od, day, _ = work.place(numbers)
        np.minimum.at(found, (od, day), work.prices(numbers, od, cycle))
    return found


def window_low(lowest: Ints, od: Ints, first: Ints, days: Ints) -> Ints:
    """The lowest price of each window."""
    found = lowest[od, first]
    for further in range(1, 14):
        found = np.where(further < days, np.minimum(found, lowest[od, first + np.minimum(further, days - 1)]), found)
    return found


def write_alerts(work: Workload, alerts: Alerts, out: BinaryIO) -> None:
    """Write the alert file."""
    whole = np.arange(len(alerts.od), dtype=np.int64)
    route = [f'","kind":"target","origin":"{a}","destination":"{b}","depart_from":"' for a, b in work.pairs]
    date = pa.array([str(FIRST_DEPARTURE + day) for day in range(DATES)])
    currency = pa.array([f'","currency":"{code}","target_minor":' for code in CURRENCIES])
    for start in range(0, len(whole), CHUNK):
        part = slice(start, start + CHUNK)
        lines = pc.binary_join_element_wise(
            '{"ref":"a',
            pa.array(whole[part]).cast(pa.string()),
            pa.array(route).take(pa.array(alerts.od[part])),
            date.take(pa.array(alerts.first[part])),
            '","depart_to":"',
            date.take(pa.array(alerts.first[part] + alerts.days[part] - 1)),
            currency.take(pa.array(work.currency(alerts.od[part]))),
            pa.array(alerts.target[part]).cast(pa.string()),
            "}\n",
            "",
        )
        out.write(lines.buffers()[2])


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Generate the standard workload.")
    parser.add_argument("--docs", type=int, default=1_000_000, help="documents in a cycle")
    parser.add_argument("--cycle", type=int, choices=(1, 2), default=1, help="2: six hours later, a fifth changed")
    parser.add_argument("--shuffled", action="store_true", help="in random order instead of by O&D and date")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the documents to this file")
    parser.add_argument("--alerts", type=Path, help="write an alert file; prints how many fire in cycle 2")
    parser.add_argument("--alert-count", type=int, help="alerts (a tenth of the documents)")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    work = Workload(chosen.docs, chosen.seed)
    if chosen.out:
        with chosen.out.open("wb") as out:
            write(work, chosen.cycle, out, shuffled=chosen.shuffled)
    if chosen.alerts:
        alerts = make_alerts(work, chosen.alert_count or max(1, chosen.docs // 10))
        with chosen.alerts.open("wb") as out:
            write_alerts(work, alerts, out)
        json.dump({"alerts": len(alerts.od), "firing": int(alerts.fires.sum())}, sys.stdout)
        print()


if __name__ == "__main__":
    main()
