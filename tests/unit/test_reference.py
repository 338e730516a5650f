"""The reference itself, on cases small enough to see that it is right."""

from collections import Counter
from datetime import date
from typing import Any

import pytest

from tests.reference import Reference, Refused
from tests.reference_book import TICK_ROWS, Book, ticks
from tests.reference_fares import DAY, HOUR, Fare, Rejected, instant_text, partition_of, read_fare, series_hash

DAY_0 = date(2026, 3, 1)
START = (DAY_0 - date(1970, 1, 1)).days * DAY
LINE: dict[str, Any] = {
    "origin": "JFK", "destination": "LHR", "departure_date": "2026-04-01", "currency": "USD",
    "total_amount_minor": 40_000, "outbound_flights": ["AA100"],
}  # fmt: skip
ALERT: dict[str, Any] = {
    "ref": "a", "kind": "target", "target_minor": 30_000, "origin": "JFK", "destination": "LHR",
    "depart_from": "2026-04-01", "depart_to": "2026-04-30", "currency": "USD",
}  # fmt: skip


def read(at: int = START, **fields: Any) -> Fare:
    found = read_fare(LINE | fields, at)
    assert found is not None
    return found


def seen(book: Book, at: int, *fares: dict[str, Any]) -> tuple[list[tuple[str, int]], Counter[str]]:
    counts: Counter[str] = Counter()
    changes = book.tick([read(at, **fare) for fare in fares], counts)
    return [(change["kind"], change["fare"]["price"]) for change in changes], +counts


def price(minor: int, flight: str = "AA100", **fields: Any) -> dict[str, Any]:
    return {"total_amount_minor": minor, "outbound_flights": [flight]} | fields


def test_a_series_is_first_seen_then_falls_rises_and_stays() -> None:
    book = Book()
    assert seen(book, START, price(100)) == ([("first_seen", 100)], Counter(first_seen=1))
    assert seen(book, START + 1, price(90)) == ([("fell", 90)], Counter(moved=1))
    assert seen(book, START + 2, price(90)) == ([], Counter(unchanged=1))
    assert seen(book, START + 3, price(95)) == ([("rose", 95)], Counter(moved=1))
    assert seen(book, START + 2, price(10)) == ([], Counter(late=1))


def test_of_one_time_only_a_cheaper_price_moves_and_the_dearer_ones_are_duplicates() -> None:
    book = Book()
    assert seen(book, START, price(100), price(90), price(95)) == (
        [("first_seen", 90)],
        Counter(first_seen=1, duplicates=2),
    )
    assert seen(book, START, price(91)) == ([], Counter(duplicates=1))
    assert seen(book, START, price(89), price(88)) == ([("fell", 88)], Counter(moved=1, duplicates=1))


def test_every_row_of_a_tick_is_late_when_its_series_was_seen_later() -> None:
    book = Book()
    seen(book, START + HOUR, price(100))
    assert seen(book, START, price(90), price(80)) == ([], Counter(late=2))


def test_a_price_within_the_noise_is_unchanged_and_the_anchor_stays() -> None:
    book = Book({"fx": {"noise_bp": 100}})
    seen(book, START, price(10_000, source="fx"))
    for step, minor in enumerate((10_100, 9_900, 10_050), 1):
        assert seen(book, START + step, price(minor, source="fx")) == ([], Counter(unchanged=1))
    assert seen(book, START + 4, price(9_899, source="fx")) == ([("fell", 9_899)], Counter(moved=1))
    assert seen(book, START + 4, price(9_810, source="fx")) == ([], Counter(duplicates=1))


def test_a_fare_outlived_by_its_page_is_gone_before_anything_else_is_compared() -> None:
    book = Book()
    seen(book, START, price(100), price(200, "BA178"))
    assert seen(book, START + 3 * DAY, price(200, "BA178")) == ([], Counter(unchanged=1))
    late = START + 3 * DAY + 1
    assert seen(book, late, price(190, "BA178")) == ([("gone", 100), ("fell", 190)], Counter(gone=1, moved=1))
    assert seen(book, late, price(150)) == ([("first_seen", 150)], Counter(first_seen=1))


def test_a_fare_that_comes_back_too_late_is_gone_and_first_seen() -> None:
    book = Book()
    seen(book, START, price(100))
    both = [("gone", 100), ("first_seen", 100)]
    assert seen(book, START + 4 * DAY, price(100)) == (both, Counter(gone=1, first_seen=1))


def test_a_source_believed_for_ever_is_never_gone() -> None:
    book = Book({"old": {"believe_days": 0}})
    seen(book, START, price(100, source="old"))
    assert seen(book, START + 30 * DAY, price(200))[1] == Counter(first_seen=1)
    assert [fare["price"] for fare in book.believed("JFK-LHR")] == [100, 200]


def test_another_date_outlives_nothing() -> None:
    book = Book()
    seen(book, START, price(100))
    assert seen(book, START + 9 * DAY, price(200, departure_date="2026-04-02"))[1] == Counter(first_seen=1)
    assert len(book.believed("JFK-LHR")) == 2


def test_an_observation_too_old_for_its_page_is_late() -> None:
    book = Book()
    seen(book, START + 3 * DAY, price(200, "BA178"))
    assert seen(book, START - 1, price(100)) == ([], Counter(late=1))
    assert seen(book, START, price(100)) == ([("first_seen", 100)], Counter(first_seen=1))


def test_within_a_tick_rises_come_first_then_the_cheaper_then_the_earlier_departure() -> None:
    book = Book()
    seen(book, START, price(100), price(300, "BA178"))
    tick = [
        price(80, departure_date="2026-04-03"), price(80, departure_date="2026-04-02"), price(70, "BA178"), price(110),
    ]  # fmt: skip
    changes = book.tick([read(START + 1, **fare) for fare in tick], Counter())
    found = [(change["kind"], change["fare"]["price"], change["fare"]["departure_date"].day) for change in changes]
    assert found == [("rose", 110, 1), ("fell", 70, 1), ("first_seen", 80, 2), ("first_seen", 80, 3)]


def test_ticks_are_runs_of_one_time_in_one_partition() -> None:
    other = next(code for code in ("CDG", "FRA", "AMS") if partition_of(f"JFK-{code}") != partition_of("JFK-LHR"))
    rows = [read(START), read(START, destination=other), read(START), read(START + 1), read(START)]
    assert sorted(len(tick) for tick in ticks(rows)) == [1, 1, 1, 2]
    assert [len(tick) for tick in ticks([read(START)] * (TICK_ROWS + 1))] == [TICK_ROWS, 1]


@pytest.mark.parametrize(
    "wrong",
    [{"origin": "jfk"}, {"destination": "JFK"}, {"departure_date": "2026-02-31"}, {"departure_date": "2026-02-27"},
     {"departure_date": "2027-04-06"}, {"currency": None}, {"total_amount_minor": 0}, {"total_amount_minor": 1.5},
     {"total_amount_minor": None, "total_amount": "1.001"}, {"total_amount_minor": None, "total_amount": 3.5},
     {"return_date": "2026-03-31"}, {"trip_type": "round_trip"}, {"outbound_flights": ["6.00E-218"]},
     {"observed_at": "yesterday"}, {"adults": 0}],
)  # fmt: skip
def test_a_line_that_breaks_a_rule_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        read(**wrong)


def test_designators_and_brands_are_normalised_and_amounts_become_minor_units() -> None:
    fare = read(
        outbound_flights=["6e-0218", "VY 7825"], fare_brand=" Basic ", total_amount_minor=None, total_amount="171.10"
    )
    assert (fare["outbound"], fare["fare_brand"], fare["price"]) == (("6E218", "VY7825"), "basic", 17_110)
    assert read_fare("  ", START) is None
    assert instant_text(START + 1) == "2026-03-01T00:00:00.001Z"


def test_the_hash_of_a_series_is_for_ever() -> None:
    assert series_hash(read()) == series_hash(read(total_amount_minor=1, at=START + 1))
    assert series_hash(read()) >> 48 == series_hash(read(outbound_flights=["BA178"])) >> 48
    assert series_hash(read()) == 2_284_730_793_278_511_207


def site(*lines: dict[str, Any], **alert: Any) -> Reference:
    reference = Reference(today=DAY_0)
    run(reference, *lines)
    reference.import_alerts([ALERT | alert])
    reference.tell()
    return reference


def run(reference: Reference, *lines: dict[str, Any], at: int = START) -> dict[str, int]:
    reference.start_run()
    reference.ingest_file([LINE | line for line in lines], at)
    return reference.end_run()


def told(reference: Reference) -> list[tuple[int, str, int]]:
    return [(row["price_minor"], row["status"], row["revision"]) for row in reference.notifications()]


def test_firings_of_one_hour_share_a_row_that_keeps_its_first_trigger() -> None:
    reference = site(price(40_000))
    run(reference, price(30_000, "AA1"), at=START + HOUR)
    run(reference, price(28_500, "AA2"), at=START + HOUR + 1)
    run(reference, price(27_000, "AA3"), at=START + 2 * HOUR)
    assert told(reference) == [(28_500, "sent", 2), (27_000, "sent", 1)]
    assert [row["trigger_minor"] for row in reference.notifications()] == [30_000, 27_075]


def test_a_row_is_told_with_the_best_fare_known_then() -> None:
    reference = site(price(40_000))
    run(
        reference,
        price(30_000, "AA1"),
        price(29_000, "AA2", observed_at=instant_text(START + 2 * HOUR)),
        at=START + HOUR,
    )
    [row] = reference.notifications()
    assert (row["price_minor"], row["told_price_minor"], row["status"]) == (30_000, 29_000, "sent")


def test_a_row_whose_fare_has_risen_again_is_gone_and_an_older_one_superseded() -> None:
    reference = site(price(40_000))
    ups_and_downs = [
        price(minor, observed_at=instant_text(START + hour * HOUR))
        for hour, minor in enumerate((30_000, 31_000, 29_000, 31_000), 1)
    ]
    run(reference, *ups_and_downs)
    assert told(reference) == [(30_000, "superseded", 1), (29_000, "gone", 1)]


def test_a_row_that_waits_is_cancelled_when_its_alert_is_edited() -> None:
    reference = site(price(30_000))
    run(reference, price(31_000), at=START + HOUR)
    run(reference, price(29_500), at=START + 2 * HOUR)
    assert told(reference) == [(30_000, "sent", 1), (29_500, "cooling", 1)]
    reference.edit("a", target_minor=20_000)
    reference.tell()
    assert told(reference) == [(30_000, "sent", 1), (29_500, "cancelled", 1)]


def test_a_fare_that_departed_is_neither_told_nor_found_by_a_new_alert() -> None:
    reference = site(price(20_000, departure_date="2026-03-01"), price(40_000))
    run(reference, price(39_000), at=START + DAY)
    reference.import_alerts([ALERT | {"ref": "b", "depart_from": "2026-03-01"}])
    reference.tell()
    assert told(reference) == []


def test_the_same_ref_with_other_content_is_refused_unless_it_is_an_update_of_the_same_market() -> None:
    reference = site(price(40_000))
    reference.import_alerts([ALERT])
    for wrong, update in (({"target_minor": 1}, False), ({"destination": "CDG"}, True), ({"kind": "new_low"}, True)):
        with pytest.raises(Refused):
            reference.import_alerts([{**ALERT, **wrong}], update=update)
    assert reference.alerts()[0]["target_minor"] == 30_000


@pytest.mark.parametrize(
    ("kind", "trigger"),
    [({"kind": "drop_percent", "drop_bp": 1_000}, 36_000), ({"kind": "drop_amount", "drop_minor": 1}, 39_999),
     ({"kind": "new_low"}, 39_600)],
)  # fmt: skip
def test_the_reference_of_a_drop_is_the_cheapest_fare_known(kind: dict[str, Any], trigger: int) -> None:
    reference = site(price(40_000), price(50_000, "BA178"), **{"target_minor": None} | kind)
    [alert] = reference.alerts()
    assert (alert["reference_minor"], alert["trigger_minor"], alert["state"]) == (40_000, trigger, "armed")
