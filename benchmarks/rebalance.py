"""Measure a rebalance while people write: how fast rows are copied, and for how long slots take no writes.

A site of two PostgreSQL shards of its own gets alerts whose routes are as popular as Zipf has it, two more shards are
added, and `fms shard rebalance` spreads the slots while some processes change alerts. Then one slot with many alerts,
the largest that there is, moves once more by itself.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.append(str(Path(__file__).resolve().parent.parent))

from fms.bootstrap import Site, open_site
from fms.errors import Transient
from fms.model.alert import Alert, Criteria
from fms.model.ids import slot_of_id
from fms.model.route import slot_of_od
from fms.rebalance.mover import Pace
from fms.rebalance.plan import Plan, PlannedMove
from servers import on_disk
from tests.services.postgres import Databases, Postgres

FMS = [sys.executable, "-m", "fms_cli"]
SETTINGS = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "512MB", "max_wal_size": "4GB"}
CODES = ["".join(letters) for letters in itertools.product("ABCDEFGHJK", repeat=3)]
AT_ONCE = 20_000


def routes(number: int) -> list[tuple[str, str]]:
    """So many routes, the most popular first."""
    sown = random.Random(1)
    return [(one, other) for one, other in (sown.sample(CODES, 2) for _ in range(number))]


def fill(site: Site, count: int, number: int, users: int) -> list[UUID]:
    """Write the alerts; answers the ids of some."""
    sown = random.Random(2)
    places = routes(number)
    chances = list(itertools.accumulate(1 / rank for rank in range(1, number + 1)))
    people = [site.users.find_or_add(f"user{one}@example.com") for one in range(users)]
    some: list[UUID] = []
    for start in range(0, count, AT_ONCE):
        made = []
        for place in range(start, min(start + AT_ONCE, count)):
            [(origin, destination)] = sown.choices(places, cum_weights=chances)
            user = people[place % users]
            wish = Criteria(origin, destination, date(2026, 12, 1), date(2027, 1, 20), "EUR")
            alert_id = site.mint.new(slot_of_od(wish.od))
            made.append(Alert(alert_id, user.id, user.email, f"alert {place}", "target", 10_000, wish))
        site.alert_rows.add(made)
        some += [one.id for one in made[:100]]
    for _ in site.alerts.evaluations():
        pass
    return some


def write(options: Mapping[str, Any], ids: Sequence[UUID], number: int, ending: Any, answers: Any) -> None:
    """Change alerts, one after the other; answers the milliseconds of each, and how many were refused."""
    sown = random.Random(number)
    took, refused = [], 0
    with open_site(**options) as site:
        while not ending.is_set():
            began = time.perf_counter()
            try:
                one = site.alert_rows.get(sown.choice(ids))
                site.alerts.snooze(one, int(time.time() * 1000) + number)
            except Transient:
                refused += 1
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(0.01)
    answers.put((took, refused))


@contextmanager
def writers(options: Mapping[str, Any], ids: Sequence[UUID], number: int) -> Iterator[dict[str, Any]]:
    """So many processes that change alerts; what is answered holds when the block ends."""
    found: dict[str, Any] = {}
    ending = multiprocessing.Event()
    answers: Any = multiprocessing.SimpleQueue()
    people = [multiprocessing.Process(target=write, args=(options, ids, one, ending, answers)) for one in range(number)]
    for one in people:
        one.start()
    yield found
    ending.set()
    heard = [answers.get() for _ in people]
    for one in people:
        one.join()
    took = [value for some, _ in heard for value in some]
    found |= {"writes": len(took), "refused": sum(count for _, count in heard), "ms": spread(took)}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum."""
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "max": round(ordered[-1], 1),
    }


def fms(options: Mapping[str, Any], *arguments: str) -> None:
    """One command of the site; raises if it fails."""
    env = os.environ | {"FMS_DATA": str(options["data"]), "FMS_CATALOG_URL": str(options["catalog_url"])}
    subprocess.run([*FMS, *arguments], env=env, check=True, stdout=subprocess.DEVNULL)


def rebalance(options: Mapping[str, Any], ids: Sequence[UUID], people: int) -> dict[str, Any]:
    """The whole rebalance, and what writers saw of it."""
    with open_site(**options) as site, site.shards() as shards:
        job = shards.plan()
        with writers(options, ids, people) as seen:
            time.sleep(2)
            began = time.perf_counter()
            job = shards.carrier(Pace()).carry(shards.journal.start(job.id, {}))
            seconds = time.perf_counter() - began
        moves = [move for move in shards.journal.moves(job.id) if move.state == "done"]
        rows = sum(move.copied_rows for move in moves)
        loads = shards.draft().before
        return {
            "state": job.state,
            "moves": len(moves),
            "begun anew": sum(move.attempt > 1 for move in moves),
            "rows": rows,
            "seconds": round(seconds, 1),
            "rows/s": round(rows / seconds),
            "rows/s while copying": round(rows / (sum(move.copy_ms for move in moves) / 1000)),
            "pause ms": spread([move.pause_ms for move in moves if move.pause_ms is not None]),
            "writers": seen,
            "share of even": {load.shard: round(load.share, 3) for load in loads},
            "obstacles": job.obstacles,
            "faults": shards.check().faults,
        }


def big(options: Mapping[str, Any], count: int, people: int) -> dict[str, Any]:
    """One slot with so many alerts, moved a few times while somebody changes them."""
    with open_site(**options) as site, site.shards() as shards:
        user = site.users.find_or_add("big@example.com")
        wish = Criteria("ZZZ", "ZZY", date(2026, 12, 1), date(2027, 1, 20), "EUR")
        slot = slot_of_od(wish.od)
        made = [
            Alert(site.mint.new(slot), user.id, user.email, f"big {one}", "target", 10_000, wish)
            for one in range(count)
        ]
        for start in range(0, count, AT_ONCE):
            site.alert_rows.add(made[start : start + AT_ONCE])
        for _ in site.alerts.evaluations():
            pass
        ids = [one.id for one in made[::50] if slot_of_id(one.id) == slot]
        names, moves = sorted(shards.urls()), []
        with writers(options, ids, people) as seen:
            for _ in range(4):
                source = shards.owners()[slot]
                target = names[(names.index(source) + 1) % len(names)]
                job = shards.journal.add(Plan((PlannedMove(source, target, (slot,), count),), (), (), ()), {})
                shards.carrier(Pace()).carry(shards.journal.start(job.id, {}))
                moves += shards.journal.moves(job.id)
                shards.clean()
        return {
            "alerts": count,
            "moves": len([move for move in moves if move.state == "done"]),
            "given up": len([move for move in moves if move.state == "aborted"]),
            "rows/s while copying": round(sum(m.copied_rows for m in moves) / (sum(m.copy_ms for m in moves) / 1000)),
            "pause ms": [move.pause_ms for move in moves],
            "writers": seen,
            "faults": shards.check().faults,
        }


def main() -> None:
    """What the command line does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=1_000_000)
    parser.add_argument("--routes", type=int, default=5_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--big", type=int, default=100_000, help="alerts of the slot that moves by itself; 0: none")
    chosen = parser.parse_args()
    with on_disk() as folder, Postgres(folder / "postgres", settings=SETTINGS) as server:
        bases = Databases(server.url)
        options = {"data": str(folder / "site"), "catalog_url": bases.new_database()}
        fms(options, "init", *(f"--shard={name}={bases.new_database()}" for name in "ab"))
        found: dict[str, Any] = {}
        with open_site(**options) as site:
            began = time.perf_counter()
            ids = fill(site, chosen.alerts, chosen.routes, chosen.users)
            found["import"] = {"alerts": chosen.alerts, "seconds": round(time.perf_counter() - began, 1)}
        for name in "cd":
            fms(options, "shard", "add", name, bases.new_database())
        found["rebalance"] = rebalance(options, ids, chosen.writers)
        if chosen.big:
            found["one slot"] = big(options, chosen.big, chosen.writers)
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
