"""Corners of telling: what waits when people change their minds, and what was told before. See test_lives_of_alerts."""

import pytest

from tests.acceptance.story import Life, fare


def waiting(life: Life) -> None:
    """Told 300 at d0 00:00, and 297, fired at d0 12:00, waits."""
    life.alert("a", target=300)
    life.seen("d0 00:00", fare(300))
    life.seen("d0 06:00", fare(310), fare(290, "BA178", departs=121, at="d0 03:00"))
    life.seen("d0 12:00", fare(297))
    assert life.told("a") == [("d0 00:00", 300, "sent"), ("d0 12:00", 297, "cooling")]


@pytest.mark.parametrize("what", ["pause", "delete", "edit"])
def test_what_waits_is_cancelled_when_its_alert_is_paused_deleted_or_edited(life: Life, what: str) -> None:
    waiting(life)
    if what == "edit":
        life.alert("a", target=200)
    else:
        life.world.change(what, "a")
    life.seen("d0 18:00", fare(297))
    assert life.told("a") == [("d0 00:00", 300, "sent"), ("d0 12:00", 297, "cancelled")]


def test_what_an_edit_finds_is_told_although_a_newer_firing_of_the_alert_before_it_waited(life: Life) -> None:
    waiting(life)
    # The fare of day 121 was last seen before the firing that waits.
    life.alert("a", target=295, departs=(121, 121))
    life.seen("d0 18:00", fare(297))
    first_two = [("d0 00:00", 300, "sent"), ("d0 03:00", 290, "cooling")]
    assert life.told("a") == [*first_two, ("d0 12:00", 297, "cancelled")]


def test_an_edit_that_fires_in_an_hour_that_has_a_row_measures_by_the_new_trigger(life: Life) -> None:
    life.alert("a", target=300)
    life.seen("d0 00:00", fare(300), fare(400, "BA178"))
    life.seen("d0 00:30", fare(600))
    assert life.triggers("a") == [300]
    life.alert("a", target=500)
    assert life.told("a") == [("d0 00:00", 400, "cooling")]
    assert life.triggers("a") == [500]
    life.seen("d1 00:30", fare(600), fare(400, "BA178"))
    assert life.told("a") == [("d0 00:00", 400, "sent")]


def test_a_fare_that_was_shown_in_place_of_the_one_that_fired_is_not_told_again(life: Life) -> None:
    life.alert("a", target=300)
    life.seen("d0 00:00", fare(300), fare(290, "BA178", at="d0 01:00"))
    assert life.told("a") == [("d0 00:00", 300, "sent")]
    assert [row["told_price_minor"] for row in life.rows("a")] == [29_000]
    life.seen("d2 00:00", fare(300), fare(290, "BA178"))
    life.pause("a")
    life.resume("a")
    assert life.told("a") == [("d0 00:00", 300, "sent"), ("d2 00:00", 290, "already_told")]
