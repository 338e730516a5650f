"""Ids name their slot and sort by creation."""

from uuid import UUID

import pytest

from fms.errors import Invalid
from fms.model.ids import IdMint, parse_id, slot_of_id
from fms.model.route import PARTITIONS, SLOTS, partition_of_od, slot_of_od, slot_of_user


def test_an_id_names_the_slot_it_was_made_for() -> None:
    mint = IdMint()
    assert [slot_of_id(mint.new(slot)) for slot in (0, 1, 2047, 4095)] == [0, 1, 2047, 4095]


def test_an_id_is_a_version_7_uuid() -> None:
    made = IdMint(lambda: 1_700_000_000_000).new(5)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == 1_700_000_000_000


def test_ids_of_one_slot_sort_by_creation_also_within_a_millisecond_and_when_the_clock_steps_back() -> None:
    times = iter([5, 5, 5, 3, 3, 6, 5])
    mint = IdMint(lambda: next(times))
    made = [mint.new(9) for _ in range(7)]
    assert made == sorted(made)
    assert len(set(made)) == 7


def test_more_ids_than_a_millisecond_counts_still_grow() -> None:
    mint = IdMint(lambda: 1_000)
    made = [mint.new(1) for _ in range(70_000)]
    assert made == sorted(set(made))


@pytest.mark.parametrize("slot", [-1, 4096])
def test_no_id_is_made_for_a_slot_that_does_not_exist(slot: int) -> None:
    with pytest.raises(Invalid):
        IdMint().new(slot)


@pytest.mark.parametrize("text", ["", "7", "not-an-id", "9c4a2a70-6d0e-4c6c-8f57-0a4c3b1d2e3f", str(UUID(int=0))])
def test_only_ids_that_fms_made_are_read(text: str) -> None:
    with pytest.raises(Invalid):
        parse_id(text)


def test_routes_and_users_spread_over_slots_and_partitions() -> None:
    ods = [f"{a}{b}{c}-JFK" for a in "ABCDEFGH" for b in "ABCDEFGH" for c in "ABCDEFGH"]
    assert {partition_of_od(od) for od in ods} == set(range(PARTITIONS))
    assert all(0 <= slot_of_od(od) < SLOTS for od in ods)
    assert slot_of_user("Me@Example.org") == slot_of_user("me@example.org")
    assert slot_of_od("JFK-LHR") != slot_of_od("LHR-JFK")
