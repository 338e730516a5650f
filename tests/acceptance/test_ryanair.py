"""Four months of real prices of one route: what fires is what a fold over the CSV file, row by row, says."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import ReferenceSite, Site, by_ref, in_order
from tests.reference import Reference

ROOT = Path(__file__).parents[2]
FARES = ROOT.parent / "shared" / "data" / "ryanair_stn_bgy_2026.csv.gz"
MAPPING = ROOT / "examples" / "ryanair.toml"

pytestmark = pytest.mark.skipif(not FARES.exists(), reason="the recorded fares (../shared/data) are not here")

STN_BGY = {"origin": "STN", "destination": "BGY", "currency": "GBP"}
BGY_STN = {"origin": "BGY", "destination": "STN", "currency": "GBP"}
ALERTS: list[dict[str, Any]] = [
    STN_BGY | {"ref": "august under 40", "kind": "target", "target_minor": 4_000,
               "depart_from": "2026-08-16", "depart_to": "2026-08-17"},
    BGY_STN | {"ref": "back a fifth cheaper", "kind": "drop_percent", "drop_bp": 2_000,
               "depart_from": "2026-07-01", "depart_to": "2026-10-02"},
    STN_BGY | {"ref": "ten pounds off", "kind": "drop_amount", "drop_minor": 1_000, "carriers_in": ["FR"],
               "depart_from": "2026-06-16", "depart_to": "2026-09-17"},
    BGY_STN | {"ref": "lower than ever", "kind": "new_low", "depart_from": "2026-05-01", "depart_to": "2026-09-02"},
]  # fmt: skip


def documents() -> Iterator[dict[str, Any]]:
    """The file as fare documents, read without fms."""
    with gzip.open(FARES, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            day, _, clock = row["departure_date"].partition("T")
            document = {"origin": row["origin"], "destination": row["destination"], "departure_date": day,
                        "departure_time": clock or None, "carrier": "FR", "currency": row["currency"],
                        "total_amount": "".join(row["price"].replace("£", "").split()) or None,
                        "source": "ryanair", "observed_at": row["timestamp_utc"] + "Z"}  # fmt: skip
            yield {name: value for name, value in document.items() if value is not None}


@pytest.fixture(scope="module")
def folded() -> tuple[Reference, dict[str, Any]]:
    site = ReferenceSite()
    return site.reference, site.run([list(documents())], ALERTS)


def test_what_fires_on_real_fares_is_what_a_fold_by_hand_says(
    folded: tuple[Reference, dict[str, Any]], tmp_path: Path
) -> None:
    reference, expected = folded
    site = Site(tmp_path / "site")
    wishes, rejects = tmp_path / "alerts.jsonl", tmp_path / "rejects.jsonl"
    wishes.write_text("".join(json.dumps(alert) + "\n" for alert in ALERTS), encoding="utf-8")
    files = ("--replay", str(FARES), "--mapping", str(MAPPING), "--alerts", str(wishes), "--rejects", str(rejects))
    found = json.loads(site.fms("run", *files, "--data", str(site.data), "--json").splitlines()[-1])
    assert {name: found[name] for name in expected} == expected
    assert site.notifications() == in_order(reference.notifications())
    assert site.alerts() == by_ref(reference.alerts())
    assert len(rejects.read_text(encoding="utf-8").splitlines()) == found["rejected"]


def test_the_counts_of_the_real_file_are_the_known_ones(folded: tuple[Reference, dict[str, Any]]) -> None:
    reference, counts = folded
    assert counts["documents"] == 41_030
    assert reference.rejects["total_amount"] == 38
    assert counts["accepted"] + counts["rejected"] == counts["documents"]
    parts = ("duplicates", "late", "unchanged", "first_seen", "moved")
    assert sum(counts[name] for name in parts) == counts["accepted"]
    assert all(any(row["ref"] == alert["ref"] for row in reference.notifications()) for alert in ALERTS)


def test_flights_of_one_day_are_told_apart_by_their_time(folded: tuple[Reference, dict[str, Any]]) -> None:
    reference, _ = folded
    flights = {
        (fare["od"], fare["departure_date"], fare["departure_time"])
        for page in reference.book.pages.values()
        for fare in page.values()
    }
    times = {
        (document["origin"], document["departure_date"], document.get("departure_time")) for document in documents()
    }
    assert len({time for time in times if time[2]}) == 114
    assert len(flights) > 100
