"""A feed in which every kind of alert learns, fires, re-arms and is told, long enough to be interrupted anywhere."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from fms.model.route import SLOTS, partition_of_od, slot_of_od
from tests.acceptance.commands import fms, written
from tests.acceptance.harness import Line

BEGIN = datetime.combine(datetime.now(UTC).date() - timedelta(days=30), datetime.min.time(), UTC)
STEP = timedelta(hours=6)
USERS = ("ann@example.org", "bob@example.org", "cleo@example.org")
_AIRPORTS = ("JFK", "LHR", "CDG", "FRA", "AMS", "MAD", "FCO", "BGY", "STN", "DUB")
_KINDS: tuple[dict[str, Any], ...] = (
    {"kind": "target", "target_minor": 30_000},
    {"kind": "drop_percent", "drop_bp": 1_000},
    {"kind": "drop_amount", "drop_minor": 4_000},
    {"kind": "new_low"},
)


def _routes() -> list[tuple[str, str]]:
    """Two routes of one partition whose alerts live in two shards, then two of other partitions."""
    pairs = [(one, two) for one in _AIRPORTS for two in _AIRPORTS if one != two]
    low = {partition_of_od("-".join(pair)): pair for pair in pairs if slot_of_od("-".join(pair)) < SLOTS // 2}
    high = {partition_of_od("-".join(pair)): pair for pair in pairs if slot_of_od("-".join(pair)) >= SLOTS // 2}
    both = min(low.keys() & high.keys())
    others = [(high if partition % 2 else low)[partition] for partition in sorted(low.keys() & high.keys() - {both})]
    return [low[both], high[both], *others[:2]]


ROUTES = _routes()


def day(number: int) -> str:
    """A departure, counted from the begin of the feed."""
    return (BEGIN.date() + timedelta(days=number)).isoformat()


def feed(steps: int, seed: int = 1, first: int = 0, off: int = 0) -> Iterator[Line]:
    """Observations of all routes every six hours, 36 a time: prices swing, fares vanish, some come late or are bad.

    Args:
        steps: how many times.
        seed: of what is random.
        first: the first time.
        off: minor units by which all is cheaper.
    """
    random = Random(seed)
    for step in range(first, first + steps):
        at = BEGIN + step * STEP
        for (origin, destination), departs, flight in product(ROUTES, (13, 90, 91), ("AA1", "BA2", "AF3")):
            if random.random() < 0.1 or (flight == "AF3" and step % 40 > 10):
                continue  # not offered now; AF3 for so long that it is no longer believed
            late = timedelta(days=2) if random.random() < 0.02 else timedelta()
            fare: dict[str, Any] = {"origin": origin, "destination": destination, "departure_date": day(departs)}
            fare |= {"currency": "USD", "outbound_flights": [flight], "total_amount_minor": _price(random, step) - off}
            yield fare | {"observed_at": f"{at - late:%Y-%m-%dT%H:%M:%SZ}"}
            if random.random() < 0.02:
                yield random.choice(("{", "", '{"origin": "JFK"}'))


def _price(random: Random, step: int) -> int:
    level = 34_000 + 6_000 * ((step + 3) % 8 - 4) // 4
    return 9_000 if random.random() < 0.005 else level + random.choice((-3_000, -1_500, 0, 0, 0, 1_500, 3_000))


def alerts(refs: str = "alert") -> list[Line]:
    """Of every kind two on every route: one for all dates, one for the last."""
    found: list[Line] = []
    for (origin, destination), kind, first in product(ROUTES, _KINDS, (13, 91)):
        name = f"{refs} {kind['kind']} {origin}-{destination} {first}"
        wish = {"ref": name, "origin": origin, "destination": destination, "currency": "USD"}
        found.append(wish | kind | {"depart_from": day(first), "depart_to": day(91)})
    return found


def peopled(folder: Path) -> Path:
    """A data directory in which three users have alerts on the feed, one of them with a cap of one push a day."""
    data, file = folder / "peopled", written(folder / "theirs.jsonl", alerts("theirs"))
    for user in USERS:
        fms("alerts", "import", file, "--user", user, "--data", data).checked()
    fms("users", "set", USERS[0], "--daily-cap", "1", "--data", data).checked()
    return data
