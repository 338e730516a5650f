"""Make the sample that ``fms demo`` replays: ``src/fms/demo/fares.jsonl.gz`` and ``alerts.jsonl``.

Everything is invented. Prices step on rungs, most stand still from one cycle to the next, and a few are scripted so
that each alert has a story. The same seed gives the same bytes: only ``Random.random`` is drawn from, whose sequence
Python guarantees, and the gzip header holds no time.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

HOME = Path(__file__).resolve().parent.parent / "src" / "fms" / "demo"
START = datetime(2026, 11, 2, tzinfo=UTC)
CYCLE = timedelta(hours=6)
CYCLES = 16
SEED = 20261102

Key = tuple[str, date, int, str | None]
"""A product within its route: outbound flight, departure, nights (0: one way), brand."""


@dataclass(frozen=True)
class Route:
    """One O&D of the sample.

    Attributes:
        minute: when its fares are looked up in each cycle.
        flights: outbound to return flight (None: one way).
        rungs: the prices it sells at, minor units; random prices never leave them.
        decimal: prices are written as ``total_amount`` text, not as minor units.
    """

    origin: str
    destination: str
    currency: str
    minute: int
    flights: dict[str, str | None]
    first: date
    days: int
    rungs: tuple[int, ...]
    brands: tuple[str | None, ...] = (None,)
    nights: tuple[int, ...] = (0,)
    cabin: str = "economy"
    decimal: bool = False
    script: dict[Key, dict[int, int | None]] = field(default_factory=dict)

    def products(self) -> Iterator[Key]:
        """Every product, in the order of the feed."""
        for day in range(self.days):
            for flight in self.flights:
                for nights in self.nights:
                    for brand in self.brands:
                        yield flight, self.first + timedelta(days=day), nights, brand


ROUTES = (
    Route(
        "JFK", "LHR", "USD", 4, {"BA112": None, "VS4": None}, date(2026, 12, 10), 13,
        (34900, 38900, 42900, 47900, 53900, 60900, 68900), brands=("basic", "main"),
        # 319.00 meets the target of 320.00; 289.00 is more than 5 % better and is told instead
        script={("VS4", date(2026, 12, 15), 0, "basic"): {0: 38900, 6: 31900, 12: 28900}},
    ),
    Route(
        "JFK", "LHR", "USD", 7, {"BA178": None}, date(2026, 12, 15), 4, (249000, 269000, 289000, 319000),
        brands=("club",), cabin="business", script={("BA178", date(2026, 12, 16), 0, "club"): {0: 289000}},
    ),
    Route(
        "STN", "BGY", "GBP", 11, {"FR4521": None, "FR4193": None}, date(2027, 1, 7), 10,
        (3499, 3999, 4799, 5499, 6499), decimal=True,
        # learned 34.99 in the first twelve hours, so 20 % less is 27.99
        script={
            ("FR4193", date(2027, 1, 9), 0, None): {0: 3499, 3: 3999, 9: 2499},
            ("FR4521", date(2027, 1, 10), 0, None): {0: 4799, 5: 2999, 8: 3999},
        },
    ),
    Route(
        "LIS", "OPO", "EUR", 17, {"TP1932": None, "TP1944": None, "FR1483": None}, date(2027, 2, 1), 10,
        (2999, 3499, 3999, 4799, 5999), decimal=True,
        # 22.99 is below 25.00 at first sight; 4.99 after 29.99 may be a mistake, but stays
        script={
            ("TP1944", date(2027, 2, 3), 0, None): {0: 2299},
            ("FR1483", date(2027, 2, 8), 0, None): {0: 2999, 10: 499},
        },
    ),
    Route(
        "SFO", "NRT", "USD", 23, {"UA837": "UA838", "JL57": "JL58"}, date(2027, 3, 20), 8,
        (92900, 99900, 107900, 118900, 129900), nights=(7, 10),
        # a low of 929.00 is learned; 869.00 and 819.00 are new lows
        script={("JL57", date(2027, 3, 24), 10, None): {0: 92900, 5: 86900, 8: 81900}},
    ),
    Route(
        "LHR", "JFK", "GBP", 31, {"BA115": None, "VS3": None}, date(2027, 3, 20), 8,
        (28900, 31900, 34900, 38900, 44900, 51900), brands=("basic", "main"),
    ),
    Route(
        "HND", "CTS", "JPY", 42, {"NH51": None, "NH67": None, "JL507": None, "BC711": None}, date(2027, 2, 4), 10,
        (10900, 11900, 12900, 14900, 17900, 20900),
        # told at 8,900, sold out after the second cycle, believed for three days, then the next low is news again
        script={
            ("NH67", date(2027, 2, 6), 0, None): {0: 8900, 2: None},
            ("JL507", date(2027, 2, 5), 0, None): {0: 10900, 15: 8700},
        },
    ),
)  # fmt: skip

ALERTS: tuple[dict[str, Any], ...] = (
    {"ref": "london-before-christmas", "kind": "target", "target_minor": 32000, "origin": "JFK", "destination": "LHR",
     "depart_from": "2026-12-12", "depart_to": "2026-12-20", "currency": "USD", "max_stops": 0},
    {"ref": "london-lying-flat", "kind": "target", "target_minor": 200000, "origin": "JFK", "destination": "LHR",
     "depart_from": "2026-12-14", "depart_to": "2026-12-20", "currency": "USD", "cabin": "business"},
    {"ref": "bergamo-weekend", "kind": "drop_percent", "drop_bp": 2000, "origin": "STN", "destination": "BGY",
     "depart_from": "2027-01-08", "depart_to": "2027-01-10", "currency": "GBP"},
    {"ref": "porto-under-25", "kind": "target", "target_minor": 2500, "origin": "LIS", "destination": "OPO",
     "depart_from": "2027-02-01", "depart_to": "2027-02-05", "currency": "EUR", "carriers_out": ["FR"]},
    {"ref": "porto-15-off", "kind": "drop_amount", "drop_minor": 1500, "origin": "LIS", "destination": "OPO",
     "depart_from": "2027-02-06", "depart_to": "2027-02-10", "currency": "EUR"},
    {"ref": "tokyo-in-bloom", "kind": "new_low", "origin": "SFO", "destination": "NRT", "depart_from": "2027-03-20",
     "depart_to": "2027-03-27", "currency": "USD", "trip_type": "round_trip", "min_nights": 7, "max_nights": 10},
    {"ref": "sapporo-snow-festival", "kind": "target", "target_minor": 9000, "origin": "HND", "destination": "CTS",
     "depart_from": "2027-02-04", "depart_to": "2027-02-08", "currency": "JPY", "carriers_in": ["JL", "NH"]},
    {"ref": "new-york-for-150", "kind": "target", "target_minor": 15000, "origin": "LHR", "destination": "JFK",
     "depart_from": "2027-03-20", "depart_to": "2027-03-27", "currency": "GBP"},
)  # fmt: skip

BAD_LINES = {
    1: b'{"source":"sample","observed_at":"2026-11-02T06:04:00Z","origin":"JFK","destination":"LHR","departure_da',
    2: b'{"origin":"jfk","destination":"LHR","departure_date":"2026-12-14","currency":"USD","total_amount":"389"}',
    4: b'{"origin":"STN","destination":"BGY","departure_date":"2027-01-09","currency":"GBP","total_amount":34.99}',
    5: b'{"origin":"LIS","destination":"OPO","departure_date":"2027-02-03","currency":"EUR","total_amount":"-22.99"}',
    7: b'{"origin":"LIS","destination":"OPO","departure_date":"2027-02-31","currency":"EUR","total_amount":"29.99"}',
    9: b'{"origin":"SFO","destination":"NRT","departure_date":"2027-03-24","currency":"USX","total_amount":"929"}',
    11: b'{"origin":"HND","destination":"CTS","departure_date":"2027-02-06","currency":"JPY","total_amount":"8900.5"}',
    13: b'{"origin":"LHR","destination":"LHR","departure_date":"2027-03-21","currency":"GBP","total_amount":"289"}',
}
"""What feeds get wrong, by the cycle after which it stands."""

MISTAKE_AT = datetime(2026, 11, 3, 14, 7, tzinfo=UTC)
MISTAKE = {MISTAKE_AT: 1200, MISTAKE_AT + timedelta(hours=1): 1200, MISTAKE_AT + timedelta(hours=2): 289000}
"""London in business for 12 USD, for two hours."""


def document(route: Route, key: Key, price: int, observed: datetime) -> bytes:
    """One fare as a line of the feed."""
    flight, departure, nights, brand = key
    home = route.flights[flight]
    fields: dict[str, Any] = {
        "source": "sample",
        "observed_at": f"{observed:%Y-%m-%dT%H:%M:%SZ}",
        "origin": route.origin,
        "destination": route.destination,
        "departure_date": departure.isoformat(),
        "return_date": (departure + timedelta(days=nights)).isoformat() if nights else None,
        "outbound_flights": [flight],
        "return_flights": [home] if home else None,
        "fare_brand": brand,
        "cabin": None if route.cabin == "economy" else route.cabin,
        "currency": route.currency,
    }
    fields |= {"total_amount": f"{price / 100:.2f}"} if route.decimal else {"total_amount_minor": price}
    return json.dumps(
        {name: value for name, value in fields.items() if value is not None}, separators=(",", ":")
    ).encode()


def walk(route: Route, random: Random) -> dict[Key, list[int | None]]:
    """The price of every product in every cycle; None: not on sale."""
    return {key: _scripted(route.script[key]) if key in route.script else _random(route, random)
            for key in route.products()}  # fmt: skip


def _scripted(script: dict[int, int | None]) -> list[int | None]:
    prices: list[int | None] = []
    for cycle in range(CYCLES):
        prices.append(script.get(cycle, prices[-1] if prices else None))
    return prices


def _random(route: Route, random: Random) -> list[int | None]:
    """From a rung to its neighbour about once in eight cycles."""
    top = len(route.rungs) - 1
    rung = int(random.random() * (top + 1))
    prices: list[int | None] = []
    for _ in range(CYCLES):
        prices.append(route.rungs[rung])
        if random.random() < 0.125:
            rung = min(top, max(0, rung + (1 if random.random() < 0.47 else -1)))
    return prices


def feed(seed: int = SEED) -> bytes:
    """The whole feed: every cycle's routes, then what went wrong in that cycle."""
    random = Random(seed)
    prices = [(route, walk(route, random)) for route in ROUTES]
    lines: list[bytes] = []
    cycles: list[list[bytes]] = []
    for cycle in range(CYCLES):
        cycles.append([line for route, table in prices for line in _looked_up(route, table, cycle)])
        lines += cycles[-1] + _mishaps(cycles)
    return b"\n".join(lines) + b"\n"


def _looked_up(route: Route, table: dict[Key, list[int | None]], cycle: int) -> list[bytes]:
    observed = START + cycle * CYCLE + timedelta(minutes=route.minute)
    priced = ((key, row[cycle]) for key, row in table.items())
    return [document(route, key, price, observed) for key, price in priced if price is not None]


def _mishaps(cycles: list[list[bytes]]) -> list[bytes]:
    """After the newest cycle: repeated lines, late lines, a bad line, the mistake of a source."""
    cycle = len(cycles) - 1
    lines = cycles[cycle][-5:] if cycle == 3 else []
    lines = cycles[cycle - 1][40:46] if cycle == 8 else lines
    if cycle in BAD_LINES:
        lines = [*lines, BAD_LINES[cycle]]
    if START + cycle * CYCLE < MISTAKE_AT < START + (cycle + 1) * CYCLE:
        business = ROUTES[1]
        key = next(iter(business.script))
        lines = [*lines, *(document(business, key, price, at) for at, price in MISTAKE.items())]
    return lines


def alert_lines() -> bytes:
    """The alert file."""
    return b"".join(json.dumps(alert, separators=(", ", ": ")).encode() + b"\n" for alert in ALERTS)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=HOME, help="folder to write to")
    options.add_argument("--seed", type=int, default=SEED)
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "fares.jsonl.gz").write_bytes(gzip.compress(feed(chosen.seed), 9, mtime=0))
    (chosen.out / "alerts.jsonl").write_bytes(alert_lines())


if __name__ == "__main__":
    main()
