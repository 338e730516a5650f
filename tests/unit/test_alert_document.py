"""The alert file is checked field by field."""

from typing import Any

import pytest

from fms.errors import Invalid
from fms.model.alert_document import FIELDS, document_of, parse_alert
from tests.builders import alert

GOOD: dict[str, Any] = {
    "ref": "mine",
    "kind": "target",
    "target_minor": 40_000,
    "origin": "JFK",
    "destination": "LHR",
    "depart_from": "2026-12-01",
    "depart_to": "2026-12-14",
    "currency": "USD",
}


def test_the_least_that_an_alert_needs_is_enough() -> None:
    wish = parse_alert(GOOD)
    assert (wish.ref, wish.kind, wish.amount) == ("mine", "target", 40_000)
    assert wish.criteria == alert().criteria


def test_what_is_shown_reads_back_as_the_same_alert() -> None:
    shown = document_of(alert())
    assert tuple(sorted(shown)) == tuple(sorted(FIELDS))
    assert parse_alert(shown).same_as(alert())


def test_codes_of_people_are_raised_and_null_is_as_good_as_absent() -> None:
    wish = parse_alert(GOOD | {"origin": " jfk", "currency": "usd", "carriers_in": ["ba", "BA"], "max_stops": None})
    assert (wish.criteria.origin, wish.criteria.currency, wish.criteria.carriers_in) == ("JFK", "USD", ("BA",))


@pytest.mark.parametrize("name", ["return_from", "return_to", "min_nights", "max_nights"])
def test_any_question_about_the_return_means_round_trip(name: str) -> None:
    value = 3 if name.endswith("nights") else "2026-12-20"
    assert parse_alert(GOOD | {name: value}).criteria.trip_type == "round_trip"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ref": None}, "ref"),
        ({"ref": ""}, "ref"),
        ({"ref": 7}, "ref"),
        ({"ref": "a\nb"}, "ref"),
        ({"kind": "cheap"}, "kind"),
        ({"kind": None}, "kind"),
        ({"target_minor": None}, "target_minor"),
        ({"target_minor": 0}, "target_minor"),
        ({"target_minor": 1.5}, "target_minor"),
        ({"target_minor": True}, "target_minor"),
        ({"target_minor": 10**13 + 1}, "target_minor"),
        ({"drop_bp": 100}, "drop_bp"),
        ({"kind": "drop_percent", "target_minor": None, "drop_bp": 10_000}, "drop_bp"),
        ({"kind": "drop_amount", "target_minor": None}, "drop_minor"),
        ({"kind": "new_low"}, "target_minor"),
        ({"origin": "JF"}, "origin"),
        ({"destination": "JFK"}, "destination"),
        ({"depart_from": "2026-02-31"}, "depart_from"),
        ({"depart_to": "2026-11-30"}, "depart_to"),
        ({"depart_to": "2028-11-30"}, "depart_to"),
        ({"currency": "XXX"}, "currency"),
        ({"trip_type": "one_way", "min_nights": 3}, "trip_type"),
        ({"trip_type": "multi_city"}, "trip_type"),
        ({"cabin": "eco"}, "cabin"),
        ({"adults": 0}, "adults"),
        ({"adults": 8, "children": 2}, "adults"),
        ({"return_from": "2026-12-20", "return_to": "2026-12-19"}, "return_to"),
        ({"return_to": "2026-11-19"}, "return_to"),
        ({"min_nights": 5, "max_nights": 4}, "max_nights"),
        ({"max_stops": -1}, "max_stops"),
        ({"carriers_in": "BA"}, "carriers_in"),
        ({"carriers_out": ["BAW"]}, "carriers_out"),
        ({"max_stop": 1}, "max_stop"),
    ],
)
def test_an_error_names_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid, match=f"^{field}: "):
        parse_alert(GOOD | changes)


@pytest.mark.parametrize("junk", [None, 5, "text", [], [GOOD]])
def test_what_is_no_object_is_refused(junk: object) -> None:
    with pytest.raises(Invalid, match="not an object"):
        parse_alert(junk)
