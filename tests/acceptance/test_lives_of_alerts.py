"""The lives of alerts in ``docs/lives-of-alerts.md``, with what must fire worked out by hand.

Every life is lived twice: by the product, and by the row-by-row reference.
"""

from pathlib import Path
from typing import Any

from tests.acceptance.story import Life, day, fare, flights_of


def test_a_fortnight_of_six_flights_a_day_moving_every_six_hours_tells_only_what_is_news(life: Life) -> None:
    life.alert("fortnight", target=200, departs=(120, 133))
    low = {4: {(5, 2): 195}, 5: {(9, 0): 188}, 6: {(9, 0): 188}, 7: {(9, 0): 188, (3, 4): 178}}
    low[8] = low[7] | {(12, 1): 170}
    documents = 0
    for tick in range(12):
        at = f"d{tick // 4} {tick % 4 * 6:02d}:00"
        counts = life.seen(at, *_fortnight(tick, low.get(tick, {})))
        documents += counts["documents"]
    assert documents == 12 * 84
    # 188 is less than 5 % below 195 and waits; 178 comes first and replaces it; 170 is above 178 less 5 %.
    assert life.told("fortnight") == [
        ("d1 00:00", 195, "sent"),
        ("d1 06:00", 188, "superseded"),
        ("d1 18:00", 178, "sent"),
    ]
    assert life.triggers("fortnight") == [200, 200, "178.60"]
    assert life.now("fortnight") == ("armed", 200)


def _fortnight(tick: int, low: dict[tuple[int, int], int]) -> list[dict[str, Any]]:
    """Six flights on each of 14 days; each costs 210 to 280 and moves at every tick, but for the low ones."""
    return [
        fare(low.get((date, flight), 210 + 10 * ((date + flight + tick) % 8)), f"AA{flight + 1}", departs=120 + date)
        for date in range(14)
        for flight in range(6)
    ]


def test_flapping_around_the_target_fires_again_only_after_more_than_two_per_cent_above_it(life: Life) -> None:
    life.alert("flap", target=300)
    prices = {
        "d0 00:00": 310, "d0 06:00": 299, "d0 12:00": 305, "d0 18:00": 298, "d1 00:00": 306, "d1 06:00": 297,
        "d1 12:00": 320, "d1 18:00": 299, "d2 00:00": 310, "d2 06:00": 298, "d2 12:00": 310,
    }  # fmt: skip
    for at, price in prices.items():
        life.seen(at, fare(price))
    first_two = [("d0 06:00", 299, "sent"), ("d1 18:00", 299, "sent")]
    assert life.told("flap") == [*first_two, ("d2 06:00", 298, "cooling")]
    life.seen("d2 18:00", fare(311))
    assert life.told("flap") == [*first_two, ("d2 06:00", 298, "gone")]
    assert life.now("flap") == ("armed", 300)


def test_an_alert_made_below_its_target_tells_the_cheapest_known_fare_once(life: Life) -> None:
    life.seen("d0 00:00", fare(390, "BA178"), fare(380, "AA100"))
    life.alert("below", target=400)
    life.seen("d0 06:00", fare(390, "BA178"), fare(380, "AA100"))
    life.alert("below", target=400)
    life.seen("d0 12:00", fare(370, "AA100"))
    life.seen("d1 00:00", fare(360, "AA100"))
    assert life.told("below") == [("d0 00:00", 380, "sent"), ("d1 00:00", 360, "sent")]
    assert [row["old_price_minor"] for row in life.rows("below")] == [None, 37_000]
    assert life.triggers("below") == [400, 361]


def test_a_rise_is_no_new_reference_for_a_drop_of_twenty_per_cent(life: Life) -> None:
    life.seen("d0 00:00", fare(300))
    life.alert("drop", "drop_percent", drop_bp=2_000)
    life.seen("d1 00:00", fare(480))
    life.seen("d2 00:00", fare(360))
    assert life.told("drop") == []
    assert life.now("drop") == ("armed", 240)


def test_a_drop_is_told_again_after_its_fare_has_risen(life: Life) -> None:
    life.seen("d0 00:00", fare(300))
    life.alert("drop", "drop_percent", drop_bp=2_000)
    life.seen("d1 00:00", fare(235))
    assert life.now("drop") == ("fired", 188)
    life.seen("d2 00:00", fare(300))
    assert life.now("drop") == ("armed", 240)
    life.seen("d3 00:00", fare(238))
    assert life.told("drop") == [("d1 00:00", 235, "sent"), ("d3 00:00", 238, "sent")]
    assert life.triggers("drop") == [240, 240]


def test_a_new_low_on_a_route_never_seen_learns_for_twelve_hours_and_then_keeps_its_low(life: Life) -> None:
    life.alert("low", "new_low")
    life.seen("d0 00:00", fare(500, "AA100"))
    life.seen("d0 06:00", fare(480, "AA100"))
    life.seen("d0 08:00", fare(490, "BA178"), fare(480, "AA100"))
    life.seen("d0 10:00", fare(120, "BA178"))
    life.seen("d0 11:00", fare(495, "BA178"))
    assert life.now("low") == ("learning", None)
    life.seen("d0 12:00", fare(478, "BA178"))
    assert life.now("low") == ("armed", "475.20")
    life.seen("d1 00:00", fare(470, "BA178"))
    life.seen("d1 06:00", fare(466, "BA178"))
    life.seen("d2 06:00", fare(490, "BA178"))
    assert life.now("low") == ("armed", "465.30")
    life.seen("d2 12:00", fare(468, "AA100"))
    life.seen("d3 00:00", fare(460, "AA100"))
    assert life.told("low") == [("d1 00:00", 470, "sent"), ("d3 00:00", 460, "sent")]
    assert life.triggers("low") == ["475.20", "465.30"]


def test_a_fare_that_sells_out_and_vanishes_lets_the_alert_fire_again(life: Life) -> None:
    life.alert("sold out", target=300)
    life.seen("d0 00:00", fare(280, "AA100"), fare(350, "BA178"))
    life.seen("d1 00:00", fare(350, "BA178"))
    life.seen("d3 00:00", fare(350, "BA178"))
    assert life.now("sold out") == ("fired", 266)
    assert life.seen("d3 06:00", fare(350, "BA178"))["gone"] == 1
    assert life.now("sold out") == ("armed", 300)
    life.seen("d4 00:00", fare(295, "BA178"))
    counts = life.seen("d5 00:00", fare(285, "AA100"), fare(295, "BA178"))
    assert (counts["first_seen"], counts["unchanged"]) == (1, 1)
    assert life.told("sold out") == [("d0 00:00", 280, "sent"), ("d4 00:00", 295, "sent")]
    assert life.now("sold out") == ("fired", "280.25")


def test_a_mistake_of_twelve_dollars_for_two_hours_is_labelled_and_leaves_no_trace(life: Life) -> None:
    life.seen("d0 00:00", fare(450))
    life.alert("target", target=400)
    life.alert("low", "new_low")
    life.seen("d0 06:00", fare(12))
    assert (life.now("target"), life.now("low")) == (("fired", "11.40"), ("fired", "11.88"))
    life.seen("d0 08:00", fare(460))
    assert (life.now("target"), life.now("low")) == (("armed", 400), ("armed", "445.50"))
    life.seen("d0 12:00", fare(390))
    for ref in ("target", "low"):
        assert life.told(ref) == [("d0 06:00", 12, "sent"), ("d0 12:00", 390, "cooling")]
    life.seen("d1 06:00", fare(390))
    for ref in ("target", "low"):
        assert life.told(ref) == [("d0 06:00", 12, "sent"), ("d0 12:00", 390, "sent")]
        assert [row["unusual"] for row in life.rows(ref)] == [True, False]


def test_a_new_low_that_was_a_mistake_is_not_kept_even_after_a_day(life: Life) -> None:
    life.seen("d0 00:00", fare(450))
    life.alert("low", "new_low")
    life.seen("d1 00:00", fare(12))
    life.seen("d3 00:00", fare(460))
    assert life.now("low") == ("armed", "445.50")
    assert life.told("low") == [("d1 00:00", 12, "sent")]


def test_a_source_whose_prices_breathe_by_half_a_per_cent_is_quiet_until_they_move(life: Life) -> None:
    life.alert("steady", target=300)
    life.alert("raw", target=300, cabin="business")
    prices = ("301", "299.50", "300.90", "299.60", "297", "298.40", "296", "307", "305.50", "298")
    counts = []
    for step, price in enumerate(prices):
        at = f"d{step // 2} {step % 2 * 12:02d}:00"
        counts.append(life.seen(at, fare(price, source="fx"), fare(price, cabin="business", source="plain")))
    # Of the source that breathes only 301, 297, 307 and 298 are prices; of the plain one all ten are.
    assert sum(one["unchanged"] for one in counts) == 6
    assert sum(one["moved"] for one in counts) == 3 + 9
    assert life.told("steady") == [("d2 00:00", 297, "sent"), ("d4 12:00", 298, "sent")]
    assert life.told("raw") == [("d0 12:00", "299.50", "sent"), ("d4 12:00", 298, "sent")]


def test_of_two_sources_at_380_and_395_only_the_cheaper_is_told(life: Life) -> None:
    life.alert("sources", target=400)
    counts = life.seen("d0 00:00", fare(395, source="beta"), fare(380, source="alpha"))
    assert counts["first_seen"] == 2
    life.seen("d0 12:00", fare(381, source="beta"))
    life.seen("d1 00:00", fare(420, source="alpha"))
    assert life.now("sources") == ("armed", 400)
    life.seen("d1 06:00", fare(379, source="beta"))
    assert life.told("sources") == [("d0 00:00", 380, "sent"), ("d1 06:00", 379, "sent")]


def test_five_brands_of_one_flight_are_one_telling(life: Life) -> None:
    life.alert("brands", target=250)
    brands = {"Max": 399, "Flex": 299, "Standard": 249, "Light": 219, "Basic": 199}
    life.seen("d0 00:00", *(fare(price, fare_brand=brand) for brand, price in brands.items()))
    life.seen("d1 00:00", fare(195, fare_brand="Standard"))
    life.seen("d2 00:00", fare(189, fare_brand="Basic"))
    assert life.told("brands") == [("d0 00:00", 199, "sent"), ("d2 00:00", 189, "sent")]
    assert life.triggers("brands") == [250, "189.05"]


def test_a_round_trip_is_wanted_by_its_nights(life: Life) -> None:
    life.alert("week", target=600, departs=(120, 126), min_nights=6, max_nights=8)
    life.alert("back by Sunday", target=600, departs=(120, 126), return_to=day(126).isoformat())
    life.seen("d0 00:00", fare(300), fare(500, back=125), fare(450, back=129), fare(590, back=127))
    life.seen("d0 06:00", fare(560, back=128), fare(540, back=126))
    # 560 is at or below 590 less 5 % and fires, but 540 was cheaper and comes first.
    assert life.told("week") == [("d0 00:00", 590, "sent"), ("d0 06:00", 540, "sent")]
    assert [row["return_date"] for row in life.rows("week")] == [day(127).isoformat(), day(126).isoformat()]
    assert life.triggers("week") == [600, "560.50"]
    assert life.told("back by Sunday") == [("d0 00:00", 500, "sent")]
    assert life.rows("week")[0]["flights"] == {"outbound": ["AA100"], "return": ["AA101"]}


def test_an_alert_edited_upwards_tells_what_is_now_below_and_was_not_told_yet(life: Life) -> None:
    life.alert("edited", target=300)
    life.seen("d0 00:00", fare(350))
    assert life.told("edited") == []
    life.alert("edited", target=400)
    life.seen("d0 06:00", fare(350))
    life.seen("d1 00:00", fare(340))
    life.alert("edited", target=420)
    life.seen("d1 12:00", fare(340))
    life.alert("edited", target=500)
    life.seen("d2 00:00", fare(340))
    first_two = [("d0 00:00", 350, "sent"), ("d1 00:00", 340, "sent")]
    assert life.told("edited") == [*first_two, ("d1 12:00", 340, "already_told")]
    assert life.triggers("edited") == [400, 420, 500]
    assert life.now("edited") == ("fired", 323)


def test_an_alert_paused_over_the_drop_tells_it_when_it_is_resumed(life: Life) -> None:
    life.alert("paused", target=400)
    life.seen("d0 00:00", fare(450))
    life.pause("paused")
    life.seen("d0 12:00", fare(380))
    assert (life.told("paused"), life.now("paused")) == ([], ("paused", 400))
    life.resume("paused")
    life.seen("d0 18:00", fare(380))
    assert life.told("paused") == [("d0 12:00", 380, "sent")]
    life.pause("paused")
    life.resume("paused")
    life.seen("d1 00:00", fare(380))
    assert life.told("paused") == [("d0 12:00", 380, "sent"), ("d0 18:00", 380, "already_told")]


def test_a_drop_that_came_and_went_in_a_pause_is_not_told(life: Life) -> None:
    life.alert("paused", target=400)
    life.seen("d0 00:00", fare(450))
    life.pause("paused")
    life.seen("d0 12:00", fare(380))
    life.seen("d0 18:00", fare(450))
    life.resume("paused")
    life.seen("d1 00:00", fare(450))
    assert (life.told("paused"), life.now("paused")) == ([], ("armed", 400))


def test_a_holder_that_departs_frees_the_alert(life: Life) -> None:
    life.alert("departs", target=200, departs=(10, 120))
    life.seen("d8 00:00", fare(190, departs=10), fare(210, departs=120))
    life.seen("d9 00:00", fare(195, departs=120))
    life.seen("d10 12:00", fare(194, departs=120))
    assert life.now("departs") == ("fired", "180.50")
    life.seen("d11 06:00", fare(193, departs=120))
    assert life.told("departs") == [("d8 00:00", 190, "sent"), ("d11 06:00", 193, "sent")]
    # The book still has the fare at 190, but nobody can fly it any more.
    assert [row["told_price_minor"] for row in life.rows("departs")] == [19_000, 19_300]
    assert life.triggers("departs") == [200, 200]


def test_a_holder_that_rises_while_another_fare_is_still_below_tells_nothing_until_that_falls(life: Life) -> None:
    life.alert("holder", target=300)
    life.seen("d0 00:00", fare(280, "AA100"), fare(290, "BA178"))
    life.seen("d1 00:00", fare(320, "AA100"), fare(290, "BA178"))
    assert life.now("holder") == ("armed", 300)
    life.seen("d1 06:00", fare(320, "AA100"), fare(290, "BA178"))
    assert life.told("holder") == [("d0 00:00", 280, "sent")]
    life.seen("d2 00:00", fare(320, "AA100"), fare(289, "BA178"))
    assert life.told("holder") == [("d0 00:00", 280, "sent"), ("d2 00:00", 289, "sent")]
    assert flights_of(life.rows("holder")[1]) == ["BA178"]


def test_a_fare_of_three_days_ago_is_believed_when_it_is_seen_first_and_an_older_one_is_late(life: Life) -> None:
    life.alert("early", target=300)
    life.seen("d4 00:00", fare(350, "BA178"))
    life.alert("afterwards", target=300)
    counts = life.seen(
        "d4 00:00", fare(250, "AA100", at="d1 00:00"), fare(240, "AA200", at="d0 23:00"), fare(350, "BA178")
    )
    assert (counts["first_seen"], counts["late"], counts["duplicates"]) == (1, 1, 1)
    # The alert made when the newest observation was of day 4 does not look back.
    assert life.told("early") == [("d1 00:00", 250, "sent")]
    assert life.told("afterwards") == []
    assert life.seen("d4 06:00", fare(350, "BA178"))["gone"] == 1
    assert (life.now("early"), life.now("afterwards")) == (("armed", 300), ("armed", 300))


def test_every_life_is_told_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "lives-of-alerts.md").read_text(encoding="utf-8")
    headings = [line.removeprefix("## ").casefold() for line in text.splitlines() if line.startswith("## ")]
    lives = [name for name, life in globals().items() if name.startswith("test_") and "life" in life.__annotations__]
    assert headings == [name.removeprefix("test_").replace("_", " ").casefold() for name in lives]
