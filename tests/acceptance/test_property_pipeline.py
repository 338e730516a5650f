"""The product against the row-by-row reference on random fares and alerts, however its work is cut up."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
from hypothesis import given, settings

from tests.acceptance.harness import ReferenceSite, Site
from tests.acceptance.plans import RULES, Plan, plans, play

COUNTS = ("documents", "accepted", "rejected", "duplicates", "late", "unchanged", "first_seen", "moved", "gone",
          "notifications")  # fmt: skip


@dataclass(frozen=True)
class Cut:
    """How the work is cut up, which must not matter."""

    batch_size: int
    deliveries: int
    shards: int

    def __str__(self) -> str:
        return f"batches-of-{self.batch_size}-delivered-{self.deliveries}-times-{self.shards}-shards"


CUTS = [Cut(10_000, 1, 2), Cut(1, 1, 1), Cut(3, 1, 2), Cut(2, 2, 1), Cut(10_000, 2, 2), Cut(10_000, 3, 1)]


class Factory:
    """Makes fresh sites by copying an empty one: a data directory is made once for each number of shards."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    def site(self, cut: Cut) -> Site:
        empty = self._folder / f"empty-{cut.shards}"
        if not empty.exists():
            Site(empty, RULES, shards=cut.shards).alerts()
        rmtree(self._folder / f"site-{self._made}", ignore_errors=True)
        self._made += 1
        data = self._folder / f"site-{self._made}"
        copytree(empty, data)
        return Site(data, RULES, cut.batch_size, cut.shards, cut.deliveries)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    return Factory(tmp_path_factory.mktemp("sites"))


def check(plan: Plan, site: Site) -> None:
    """Live the plan in the product and in the reference; both must say the same after every run."""
    reference = ReferenceSite(RULES)
    for step in plan.steps:
        expected, found = play(step, reference), play(step, site)
        if step[0] == "run":
            if site.deliveries == 1:
                assert {name: found[name] for name in COUNTS} == expected
            assert_sums(found)
            assert site.notifications() == reference.notifications()
            assert site.alerts() == reference.alerts()


def assert_sums(counts: dict[str, Any]) -> None:
    assert counts["documents"] == counts["accepted"] + counts["rejected"]
    assert counts["rejected"] == sum(counts["rejected_by_reason"].values())


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_the_ledger_is_what_a_row_by_row_fold_says(cut: Cut, factory: Factory) -> None:
    @settings(max_examples=4)
    @given(plan=plans())
    def lives(plan: Plan) -> None:
        check(plan, factory.site(cut))

    lives()


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_the_ledger_is_what_a_row_by_row_fold_says_for_many_lives(cut: Cut, factory: Factory) -> None:
    @settings(max_examples=1_000)
    @given(plan=plans(longest=25))
    def lives(plan: Plan) -> None:
        check(plan, factory.site(cut))

    lives()


def test_random_lives_reach_what_they_are_meant_to_compare() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=200, database=None, derandomize=True)
    @given(plan=plans())
    def lives(plan: Plan) -> None:
        site = ReferenceSite(RULES)
        for step in plan.steps:
            seen.update({name: count for name, count in play(step, site).items() if count})
        seen.update(row["status"] for row in site.notifications())
        seen.update("unusual" for row in site.notifications() if row["unusual"])
        seen.update("raised" for row in site.notifications() if row["revision"] > 1)
        seen.update(alert["state"] for alert in site.alerts())

    lives()
    statuses = {"sent", "gone", "superseded", "already_told", "cooling"}
    states = {"learning", "armed", "fired", "paused"}
    assert {*COUNTS, *statuses, *states, "unusual", "raised"} <= set(seen), sorted(seen.items())
