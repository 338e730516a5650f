"""What a plan promises: an even load or a named obstacle, with little data, and better after every single move."""

import random
import re
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from fms.errors import Invalid
from fms.model.route import SLOTS
from fms.rebalance.plan import AIM, LIMIT, MOST_ROWS, MOST_SLOTS, Plan, plan
from fms.shards.catalog import deal


@dataclass(frozen=True)
class Site:
    """What is planned for, and the arithmetic of it, done here once more."""

    owners: Sequence[str]
    shards: Sequence[str]
    rows: Mapping[int, int] = field(default_factory=dict)
    drain: Collection[str] = ()

    def plan(self) -> Plan:
        return plan(self.owners, self.shards, self.rows, self.drain)

    @property
    def kept(self) -> list[str]:
        return [name for name in self.shards if name not in self.drain]

    @property
    def even(self) -> float:
        return sum(map(self.weight, range(len(self.owners)))) / len(self.kept)

    @property
    def level(self) -> float:
        """Even among the shards that hold none of the slots that are larger than it."""
        weights, shards = sorted(map(self.weight, range(len(self.owners)))), len(self.kept)
        while weights and weights[-1] * shards > sum(weights):
            weights.pop()
            shards -= 1
        return sum(weights) / shards

    def weight(self, slot: int) -> int:
        return 1 + self.rows.get(slot, 0)

    def goal(self, name: str) -> float:
        return 0 if name in self.drain else self.even

    def loads(self, owners: Sequence[str]) -> dict[str, int]:
        loads = Counter(dict.fromkeys(self.shards, 0))
        for slot, name in enumerate(owners):
            loads[name] += self.weight(slot)
        return dict(loads)

    def stages(self, made: Plan) -> Iterator[dict[str, int]]:
        """The loads before the first move and after each."""
        owners = list(self.owners)
        yield self.loads(owners)
        for move in made.moves:
            for slot in move.slots:
                owners[slot] = move.target
            yield self.loads(owners)

    def distances(self, loads: Mapping[str, int]) -> dict[str, float]:
        """Shard → how far it is above its goal."""
        return {name: load - self.goal(name) for name, load in loads.items()}

    def is_even(self, loads: Mapping[str, int], limit: float) -> bool:
        """Whether drained shards have nothing and all others are within the limit, a share of even."""
        far = self.distances(loads)
        return all(abs(far[name]) <= (limit * self.even if name in self.kept else 0) for name in self.shards)


COUNTS = st.one_of(st.just(0), st.integers(0, 40), st.integers(0, 3_000), st.integers(0, 60_000))


@st.composite
def sites(draw: st.DrawFn, counts: st.SearchStrategy[int] = COUNTS, least: int = 1) -> Site:
    """Few slots, so that their sizes matter, on up to six shards of which some are drained."""
    shards = [f"shard{number}" for number in range(draw(st.integers(1, 6)))]
    size = draw(st.integers(least, max(80, 2 * least)))
    crowded = draw(st.lists(st.sampled_from(shards), min_size=1, max_size=4))
    owners = draw(st.lists(st.sampled_from(crowded), min_size=size, max_size=size))
    rows = dict(enumerate(draw(st.lists(counts, min_size=size, max_size=size))))
    drain = draw(st.lists(st.sampled_from(shards), max_size=len(shards) - 1, unique=True))
    return Site(owners, shards, rows, drain)


def zipf(total: int, seed: int = 1, exponent: float = 1.0) -> dict[int, int]:
    """About so many rows, on the slots in a shuffled order: the n-th has 1/n of the first."""
    order = list(range(SLOTS))
    random.Random(seed).shuffle(order)
    shares = [1 / (place + 1) ** exponent for place in range(SLOTS)]
    return {slot: int(total * share / sum(shares)) for slot, share in zip(order, shares, strict=True)}


def dealt(*names: str) -> list[str]:
    """All slots in even runs, as a new site has them."""
    return [name for name, slots in deal(list(names)).items() for _ in slots]


def scattered(weights: Mapping[str, int], seed: int = 1) -> list[str]:
    """All slots at random, to some shards more than to others."""
    return random.Random(seed).choices(list(weights), list(weights.values()), k=SLOTS)


SKEWED = Site(scattered({"a": 60, "b": 20, "c": 15, "d": 5}), "abcd", zipf(1_000_000))
GROWN = Site(dealt("a", "b"), "abc", zipf(1_000_000, exponent=0.7))
DRAINED = Site(dealt("a", "b"), "ab", zipf(1_000_000), ["a"])
GIANT = Site(dealt("a", "b", "c", "d"), "abcd", {1234: 45_000} | dict.fromkeys(range(3_000, 3_500), 110))
LARGE = [SKEWED, GROWN, DRAINED, GIANT]


@given(sites())
@example(SKEWED)
@example(GROWN)
@example(DRAINED)
@example(GIANT)
@settings(max_examples=200, deadline=None)
def test_a_plan_ends_within_the_limit_or_names_a_slot_that_is_larger_than_it(site: Site) -> None:
    made = site.plan()
    end = list(site.stages(made))[-1]
    assert all(end[name] == 0 for name in site.drain)
    assert site.is_even(end, LIMIT) == (not made.obstacles)
    for obstacle in made.obstacles:
        named = re.match(r"slot (\d+) .*holds ([\d,]+) of ([\d,]+) rows", obstacle)
        assert named, obstacle
        slot, held, total = (int(number.replace(",", "")) for number in named.groups())
        assert (held, total) == (site.rows.get(slot, 0), sum(site.rows.values()))
        assert site.weight(slot) > LIMIT * site.even
        assert ("alone" in obstacle) == (site.weight(slot) > site.even)
    event("obstacles" if made.obstacles else "moves" if made.moves else "nothing to do")


@given(sites(counts=st.integers(500, 600), least=120))
@settings(max_examples=50, deadline=None)
def test_slots_that_are_small_against_the_limit_are_no_obstacle(site: Site) -> None:
    made = site.plan()
    assert not made.obstacles
    assert site.is_even(list(site.stages(made))[-1], LIMIT)


@given(sites())
@settings(max_examples=200, deadline=None)
def test_every_single_move_goes_from_above_to_below_and_improves_the_balance(site: Site) -> None:
    made = site.plan()
    for move, (before, after) in zip(made.moves, pairwise(site.stages(made)), strict=True):
        assert before[move.target] < site.even
        if move.source in site.kept:
            assert before[move.source] > site.level
            assert after[move.source] > before[move.target]
            assert after[move.target] < before[move.source]
        else:
            assert len(move.slots) == 1 or after[move.target] <= site.even


@given(sites())
@settings(max_examples=200, deadline=None)
def test_no_move_makes_the_fullest_shard_fuller_or_the_emptiest_emptier(site: Site) -> None:
    site = replace(site, drain=())
    loads = [sorted(loads.values()) for loads in site.stages(site.plan())]
    assert all(after[0] >= before[0] and after[-1] <= before[-1] for before, after in pairwise(loads))


@pytest.mark.parametrize("site", LARGE, ids=["skewed", "grown", "drained", "giant"])
def test_a_plan_that_is_stopped_anywhere_leaves_no_shard_worse_off_than_the_worst_was(site: Site) -> None:
    worst = [max(map(abs, site.distances(loads).values())) for loads in site.stages(site.plan())]
    assert len(worst) > 1
    assert worst == sorted(worst, reverse=True)


@given(sites())
@example(SKEWED)
@example(GROWN)
@example(DRAINED)
@example(GIANT)
@settings(max_examples=200, deadline=None)
def test_a_slot_moves_once_from_its_owner_and_no_move_is_too_large(site: Site) -> None:
    made = site.plan()
    moved = [slot for move in made.moves for slot in move.slots]
    assert len(moved) == len({*moved})
    for move in made.moves:
        assert {site.owners[slot] for slot in move.slots} == {move.source}
        assert move.target in site.kept
        assert list(move.slots) == sorted(move.slots)
        assert move.rows == sum(site.rows.get(slot, 0) for slot in move.slots)
        assert 1 <= len(move.slots) <= MOST_SLOTS
        assert move.rows <= MOST_ROWS or len(move.slots) == 1


@given(sites())
@settings(max_examples=100, deadline=None)
def test_the_loads_before_and_after_are_those_of_the_slots(site: Site) -> None:
    made = site.plan()
    owners = list(site.owners)
    for loads, told in zip([list(site.stages(made))[i] for i in (0, -1)], [made.before, made.after], strict=True):
        assert [load.shard for load in told] == list(site.shards)
        assert {load.shard: load.slots + load.rows for load in told} == loads
        assert [load.share for load in told] == pytest.approx([loads[load.shard] / site.even for load in told])
    assert {load.shard: load.slots for load in made.before} == {name: owners.count(name) for name in site.shards}


@given(sites())
@settings(max_examples=100, deadline=None)
def test_the_same_site_gets_the_same_plan_and_a_plan_that_was_carried_out_needs_no_other(site: Site) -> None:
    made = site.plan()
    assert (
        made
        == Site(
            tuple(site.owners), tuple(site.shards), dict(sorted(site.rows.items(), reverse=True)), site.drain
        ).plan()
    )
    owners = list(site.owners)
    for move in made.moves:
        for slot in move.slots:
            owners[slot] = move.target
    again = Site(owners, site.shards, site.rows, site.drain).plan()
    assert made.obstacles or not again.moves


def test_a_million_rows_of_few_hot_routes_are_spread_from_a_skewed_start() -> None:
    made = SKEWED.plan()
    assert made.before[0].share > 2
    assert [load.share for load in made.after] == pytest.approx([1] * 4, abs=AIM)
    assert not made.obstacles


@pytest.mark.parametrize("site", [SKEWED, GROWN, DRAINED], ids=["skewed", "grown", "drained"])
def test_hardly_more_moves_than_has_to(site: Site) -> None:
    made = site.plan()
    too_much = sum(far for far in site.distances(site.loads(site.owners)).values() if far > 0)
    assert sum(move.rows + len(move.slots) for move in made.moves) <= 1.05 * too_much


def test_a_third_shard_gets_a_third_of_the_slots_and_of_the_rows() -> None:
    made = GROWN.plan()
    assert {move.target for move in made.moves} == {"c"}
    assert {move.source for move in made.moves} == {"a", "b"}
    assert [load.share for load in made.after] == pytest.approx([1] * 3, abs=AIM)
    assert made.after[2].slots == pytest.approx(SLOTS / 3, rel=0.25)


def test_empty_slots_are_spread_as_well() -> None:
    made = plan(dealt("a", "b"), "abc", {})
    assert [load.slots for load in made.after] == pytest.approx([SLOTS / 3] * 3, rel=AIM)
    assert sum(move.rows for move in made.moves) == 0


def test_a_drained_shard_ends_with_nothing() -> None:
    made = DRAINED.plan()
    assert made.after[0].slots == 0
    assert made.after[1].slots == SLOTS
    assert made.after[1].share == 1
    assert not made.obstacles


def test_a_shard_is_drained_though_all_others_are_even() -> None:
    owners = ["a"] * 2_040 + ["b"] * 2_040 + ["c"] * 16
    made = plan(owners, "abc", {}, ["c"])
    assert sum(len(move.slots) for move in made.moves) == 16


def test_a_giant_slot_stays_and_all_else_leaves_its_shard_to_the_others_alike() -> None:
    made = GIANT.plan()
    assert made.obstacles == (
        "slot 1234 alone holds 45,000 of 100,000 rows: a shard cannot be made smaller than one slot",
    )
    giants, *others = sorted(made.after, key=lambda load: -load.share)
    assert giants.shard == "b"
    assert giants.rows < 45_000 + AIM * GIANT.even
    assert max(load.share for load in others) - min(load.share for load in others) < 2 * AIM
    assert not [move for move in made.moves if 1234 in move.slots]


def test_a_giant_slot_of_a_drained_shard_goes_before_there_is_anything_in_its_way() -> None:
    rows = {0: 45_000} | dict.fromkeys(range(1, 56), 1_000)
    made = plan(["a"] * 56, "abcde", rows, ["a"])
    assert made.moves[0].slots == (0,)
    _, giants, *others = sorted(made.after, key=lambda load: (load.shard != "a", -load.share))
    assert giants.rows == 45_000
    assert max(load.share for load in others) - min(load.share for load in others) < 0.1


def test_two_giant_slots_part() -> None:
    made = plan(["a"] * 12, "abcd", {0: 45_000, 1: 45_000} | dict.fromkeys(range(2, 12), 1_000))
    assert sorted(load.slots for load in made.after if load.rows >= 45_000) == [1, 1]
    assert len(made.obstacles) == 2


def test_a_slot_that_no_shard_has_room_for_goes_before_small_ones_take_what_room_there_is() -> None:
    rows = {0: 30_000, 1: 30_000, 2: 45_000} | dict.fromkeys(range(3, 73), 500)
    made = plan(["b", "c"] + ["a"] * 71, "abc", rows, ["a"])
    assert made.moves[0].slots == (2,)
    assert not made.obstacles


def test_a_slot_that_hardly_narrows_the_gap_moves_if_that_brings_both_shards_within_the_limit() -> None:
    owners = ["shard0"] * 11 + [f"shard{number}" for number in range(1, 11)]
    rows = dict.fromkeys(range(11), 1_009) | dict.fromkeys(range(11, 21), 9_888)
    made = plan(owners, [f"shard{number}" for number in range(11)], rows)
    assert made.before[0].share == 1.111
    assert max(load.share for load in made.after) <= 1 + LIMIT
    assert not made.obstacles


def test_a_shard_is_brought_within_the_limit_though_a_giant_slot_lets_none_be_even() -> None:
    owners = ["a"] + ["b"] * 89 + ["c"] * 95 + ["d"] * 95
    made = plan(owners, "abcd", {0: 12_099} | dict.fromkeys(range(1, 280), 99))
    assert [load.share for load in made.before] == [1.21, 0.89, 0.95, 0.95]
    assert min(load.share for load in made.after) > 1 - LIMIT


def test_slots_too_coarse_to_be_dealt_evenly_are_named_too() -> None:
    made = plan(["a", "a", "b"], "ab", {0: 30_000, 1: 30_000, 2: 30_000})
    assert made.moves == ()
    assert made.obstacles == (
        "slot 0 of shard a holds 30,000 of 90,000 rows: too many for moving it to bring the shards near even",
    )


def test_nothing_moves_while_all_are_within_the_limit() -> None:
    owners = ["a"] * 2_250 + ["b"] * 1_846
    made = plan(owners, "ab", {})
    assert made.before[0].share == pytest.approx(1.0986, abs=1e-4)
    assert made.moves == ()
    assert made.after == made.before
    assert plan([*owners[10:], *["a"] * 10, "a"], "ab", {}).moves == ()
    assert plan(["a"] * 2_254 + ["b"] * 1_842, "ab", {}).moves


def test_neighbouring_moves_have_no_shard_in_common_where_that_can_be_had() -> None:
    owners = ["a"] * 2_300 + ["b"] * 1_500 + ["c"] * 148 + ["d"] * 148
    made = plan(owners, "abcd", dict.fromkeys(range(SLOTS), 250))
    apart = [{one.source, one.target}.isdisjoint((two.source, two.target)) for one, two in pairwise(made.moves)]
    assert all(apart[:20])


@pytest.mark.parametrize("total", [1_000_000, 100_000_000])
def test_a_plan_for_sixteen_shards_takes_less_than_a_second(total: int) -> None:
    shards = [f"shard{number}" for number in range(16)]
    begun = time.process_time()
    made = plan(dealt(*shards[:8]), shards, zipf(total, exponent=0.5))
    assert time.process_time() - begun < 1
    assert [load.share for load in made.after] == pytest.approx([1] * 16, abs=1.5 * AIM)


@pytest.mark.parametrize(
    ("owners", "drain", "words"),
    [
        ("ab", ["c"], "there is no shard c: the shards are a, b"),
        ("ax", [], "there is no shard x: the shards are a, b"),
        ("ab", ["a", "b"], "all shards are to be drained: one has to be left that takes their slots"),
    ],
)
def test_what_cannot_be_planned_is_invalid(owners: str, drain: list[str], words: str) -> None:
    with pytest.raises(Invalid, match=re.escape(words)):
        plan(owners, "ab", {}, drain)
