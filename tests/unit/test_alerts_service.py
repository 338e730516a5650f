"""What people do with alerts: found by name, changed under the lock, refused where they cannot be changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fms.bootstrap import Site, open_site
from fms.errors import Invalid, NotFound
from fms.judging import explain_fare
from fms.model.alert_document import parse_alert
from tests.builders import MINT, fare

WISH: dict[str, Any] = {
    "ref": "mine", "kind": "target", "target_minor": 40_000, "origin": "JFK", "destination": "LHR",
    "depart_from": "2026-12-01", "depart_to": "2026-12-14", "currency": "USD",
}  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as opened:
        yield opened


def add(site: Site, **changes: Any) -> None:
    site.alerts.import_wishes([("here", parse_alert(WISH | changes))], "me@example.org")
    site.alerts.evaluate_owed()


def test_an_alert_is_found_by_id_and_by_ref_also_if_the_ref_looks_like_an_id(site: Site) -> None:
    odd = str(MINT.new(7))
    add(site)
    add(site, ref=odd)
    mine = site.alerts.find("mine")
    assert site.alerts.find(str(mine.id)) == mine
    assert site.alerts.find(odd).ref == odd


def test_an_alert_that_is_not_there_is_not_found(site: Site) -> None:
    add(site)
    for name in ("yours", str(MINT.new(7))):
        with pytest.raises(NotFound):
            site.alerts.find(name)


def test_a_ref_of_two_users_needs_its_user(site: Site) -> None:
    add(site)
    site.alerts.import_wishes([("here", parse_alert(WISH))], "you@example.org")
    with pytest.raises(Invalid, match="2 users"):
        site.alerts.find("mine")
    assert site.alerts.find("mine", "you@example.org").user == "you@example.org"


def test_two_edits_from_the_same_reading_are_both_made(site: Site) -> None:
    add(site)
    read = site.alerts.find("mine")
    site.alerts.edit(read, {"target_minor": 5_000})
    site.alerts.edit(read, {"depart_to": "2026-12-20"})
    edited = site.alerts.find("mine")
    assert (edited.amount, edited.criteria.depart_to.isoformat(), edited.edition) == (5_000, "2026-12-20", 3)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ref": "other"}, "ref"),
        ({"kind": "new_low", "target_minor": None}, "kind"),
        ({"origin": "EWR"}, "origin"),
        ({"cabin": "first"}, "cabin"),
        ({"currency": "EUR"}, "currency"),
        ({"adults": 2}, "adults"),
        ({"depart_to": "2026-02-31"}, "depart_to"),
        ({"target": 5}, "target"),
    ],
)
def test_what_cannot_be_changed_is_named(site: Site, changes: dict[str, Any], field: str) -> None:
    add(site)
    with pytest.raises(Invalid, match=f"^{field}: "):
        site.alerts.edit(site.alerts.find("mine"), changes)
    assert site.alerts.find("mine").edition == 1


def test_an_edit_of_a_paused_alert_waits_for_the_resume(site: Site) -> None:
    add(site)
    site.alerts.pause(site.alerts.find("mine"))
    site.alerts.edit(site.alerts.find("mine"), {"target_minor": 5_000})
    assert site.alerts.evaluate_owed() == []
    assert site.alerts.find("mine").state.trigger is None
    site.alerts.resume(site.alerts.find("mine"))
    site.alerts.evaluate_owed()
    assert site.alerts.find("mine").state.trigger == 5_000


def test_carriers_are_a_set(site: Site) -> None:
    add(site, carriers_in=["BA", "AA"])
    imported = site.alerts.import_wishes(
        [("x", parse_alert(WISH | {"carriers_in": ["AA", "BA", "BA"]}))], "me@example.org"
    )
    assert (imported.added, imported.updated, imported.unchanged) == (0, 0, 1)


@pytest.mark.parametrize(
    ("changes", "condition"),
    [
        ({"price": 40_000}, None),
        ({"price": 40_001}, "price"),
        ({"price": 1, "cabin": "first"}, "cabin"),
    ],
)
def test_a_fare_is_explained(site: Site, changes: dict[str, Any], condition: str | None) -> None:
    add(site)
    unmet = explain_fare(site.alerts.find("mine"), fare(**changes))
    assert (unmet.criterion if unmet else None) == condition


def test_a_paused_and_a_learning_alert_say_so(site: Site) -> None:
    add(site)
    add(site, ref="learns", kind="new_low", target_minor=None)
    site.alerts.pause(site.alerts.find("mine"))
    for name, word in (("mine", "paused"), ("learns", "learning")):
        unmet = explain_fare(site.alerts.find(name), fare(price=1))
        assert unmet is not None
        assert word in unmet.why
