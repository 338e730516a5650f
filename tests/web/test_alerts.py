"""Alerts over HTTP, as one person uses them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from flask import Flask

from fms.model.alert_document import FIELDS
from tests.web.fares import feed
from tests.web.people import ALERT, Person, Reply

MakeApp = Callable[..., Flask]


def faults(reply: Reply, status: int = 422) -> list[str]:
    """Where an answer says that the faults are."""
    return [one.get("pointer") or one.get("parameter") or one["header"] for one in reply.checked(status)["errors"]]


def test_an_alert_is_made_read_changed_and_deleted(anna: Person) -> None:
    made = anna.ask("POST", "/api/alerts", ALERT)
    alert = made.checked(201)
    assert (alert["state"], alert["trigger_minor"], alert["already_met"]) == ("armed", 4000, False)
    where = made.headers["Location"]
    assert anna.ask("GET", where).checked()["id"] == alert["id"]
    assert anna.ask("PUT", where, ALERT | {"target_minor": 3000}).checked()["trigger_minor"] == 3000
    listed = anna.ask("GET", "/api/alerts").checked()
    assert [one["target_minor"] for one in listed["items"]] == [3000]
    assert anna.ask("DELETE", where).status == 204
    gone = anna.ask("GET", where)
    assert (gone.status, gone.headers["Content-Type"]) == (404, "application/problem+json")


def test_an_answer_has_every_field_of_the_alert_file(anna: Person) -> None:
    alert = anna.alert(ref="bergamo", max_stops=0, carriers_in=["FR"])
    assert set(FIELDS) <= alert.keys()
    assert {name: alert[name] for name in ALERT} == ALERT
    assert (alert["ref"], alert["max_stops"], alert["carriers_in"], alert["carriers_out"]) == ("bergamo", 0, ["FR"], [])


def test_whoever_gives_no_ref_knows_the_alert_by_its_id(anna: Person) -> None:
    alert = anna.alert()
    assert alert["ref"] == alert["id"]


def test_codes_are_raised_to_capitals(anna: Person) -> None:
    alert = anna.alert(origin="stn", currency="gbp")
    assert (alert["origin"], alert["currency"]) == ("STN", "GBP")


def test_an_alert_that_is_met_already_says_so_and_is_in_the_inbox(app: Flask, anna: Person) -> None:
    feed(app, {"total_amount_minor": 3800}, {"departure_date": "2027-10-06", "total_amount_minor": 3900})
    alert = anna.alert()
    assert (alert["state"], alert["already_met"], alert["known_fares"]) == ("fired", True, 2)
    assert (alert["best_fare"]["total_amount_minor"], alert["best_fare"]["outbound_flights"]) == (3800, ["FR4193"])
    assert "because it fired at 38.00 GBP" in alert["trigger_from"]
    assert alert["last_price_minor"] == 3800
    assert alert["warnings"] == []
    [row] = anna.ask("GET", "/api/notifications").checked()["items"]
    assert (row["alert_id"], row["price_minor"], row["status"]) == (alert["id"], 3800, "pending")


def test_a_drop_is_measured_from_the_best_known_fare(app: Flask, anna: Person) -> None:
    feed(app, {})
    alert = anna.alert(kind="drop_percent", drop_bp=1_000, target_minor=None)
    assert (alert["state"], alert["reference_minor"], alert["trigger_minor"]) == ("armed", 4500, 4050)
    assert alert["trigger_from"] == "40.50 GBP, 10 % under the reference 45.00 GBP"
    assert alert["already_met"] is False


def test_a_drop_of_an_unknown_route_is_learning(anna: Person) -> None:
    alert = anna.alert(kind="drop_amount", drop_minor=500, target_minor=None)
    assert (alert["state"], alert["trigger_minor"], alert["known_fares"]) == ("learning", None, 0)


@pytest.mark.parametrize(
    ("change", "criterion"),
    [
        ({"currency": "EUR"}, "currency"),
        ({"cabin": "business"}, "cabin"),
        ({"adults": 2}, "travellers"),
        ({"carriers_in": ["BA"]}, "carriers_in"),
        ({"min_nights": 3}, "trip_type"),
    ],
)
def test_whoever_wants_what_no_known_fare_is_gets_a_warning(
    app: Flask, anna: Person, change: dict[str, Any], criterion: str
) -> None:
    feed(app, {}, {"departure_date": "2027-10-06"})
    [warning] = anna.alert(**change)["warnings"]
    assert (warning["criterion"], warning["known_fares"]) == (criterion, 2)
    assert warning["detail"].startswith("2 known fares of STN-BGY ")


def test_fares_that_do_not_say_their_flights_are_warned_of(app: Flask, anna: Person) -> None:
    feed(app, {"outbound_flights": None})
    [warning] = anna.alert(max_stops=0)["warnings"]
    assert warning["criterion"] == "stops"


def test_departures_in_the_past_are_refused(anna: Person) -> None:
    refused = anna.ask("POST", "/api/alerts", ALERT | {"depart_from": "2026-10-01", "depart_to": "2026-10-14"})
    assert faults(refused) == ["/depart_to"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"kind": "cheap"}, "/kind"),
        ({"target_minor": 0}, "/target_minor"),
        ({"target_minor": "4000"}, "/target_minor"),
        ({"target_minor": True}, "/target_minor"),
        ({"target_minor": 40.0}, "/target_minor"),
        ({"target_minor": None}, "/target_minor"),
        ({"drop_bp": 100}, "/drop_bp"),
        ({"origin": "STANSTED"}, "/origin"),
        ({"destination": "STN"}, "/destination"),
        ({"currency": "XYZ"}, "/currency"),
        ({"depart_from": "2027-02-30"}, "/depart_from"),
        ({"depart_to": "2027-09-01"}, "/depart_to"),
        ({"depart_to": "2030-01-01"}, "/depart_to"),
        ({"adults": 0}, "/adults"),
        ({"carriers_in": ["Ryanair"]}, "/carriers_in/0"),
        ({"min_nights": 5, "max_nights": 2}, "/max_nights"),
        ({"ref": ""}, "/ref"),
        ({"state": "armed"}, "/state"),
    ],
)
def test_a_field_that_breaks_a_rule_is_named(anna: Person, change: dict[str, Any], where: str) -> None:
    assert faults(anna.ask("POST", "/api/alerts", ALERT | change)) == [where]
    assert anna.ask("GET", "/api/alerts").checked()["items"] == []


def test_every_field_that_is_missing_is_named(anna: Person) -> None:
    missing = faults(anna.ask("POST", "/api/alerts", {}))
    assert missing == ["/kind", "/origin", "/destination", "/depart_from", "/depart_to", "/currency"]


@pytest.mark.parametrize(
    "change", [{"origin": "LTN"}, {"currency": "EUR"}, {"cabin": "first"}, {"adults": 2}, {"kind": "new_low"}]
)
def test_what_forms_the_market_cannot_be_changed(anna: Person, change: dict[str, Any]) -> None:
    where = f"/api/alerts/{anna.alert()['id']}"
    body = ALERT | change
    if change.get("kind"):
        del body["target_minor"]
    refused = anna.ask("PUT", where, body)
    assert faults(refused) == [f"/{next(iter(change))}"]
    assert refused.json["type"] == "urn:fms:problem:immutable"
    assert "make a new alert" in refused.json["detail"]
    assert anna.ask("GET", where).checked()["version"] == 1


def test_the_market_may_be_said_again_or_left_out(anna: Person) -> None:
    where = f"/api/alerts/{anna.alert(ref='bergamo')['id']}"
    short = {"target_minor": 3500, "depart_from": "2027-10-02", "depart_to": "2027-10-03"}
    assert anna.ask("PUT", where, ALERT | short | {"ref": "bergamo"}).checked()["trigger_minor"] == 3500
    assert anna.ask("PUT", where, short | {"target_minor": 3400}).checked()["trigger_minor"] == 3400
    again = anna.ask("PUT", where, short | {"target_minor": 3400}).checked()
    assert (again["depart_from"], again["ref"]) == ("2027-10-02", "bergamo")


def test_what_a_put_leaves_out_is_asked_no_more(anna: Person) -> None:
    where = f"/api/alerts/{anna.alert(max_stops=0)['id']}"
    assert anna.ask("PUT", where, ALERT).checked()["max_stops"] is None


def test_an_edit_is_judged_afresh(app: Flask, anna: Person) -> None:
    feed(app, {})
    alert = anna.alert()
    assert alert["state"] == "armed"
    edited = anna.ask("PUT", f"/api/alerts/{alert['id']}", ALERT | {"target_minor": 5000}).checked()
    assert (edited["state"], edited["already_met"], edited["last_price_minor"]) == ("fired", True, 4500)


def test_a_paused_alert_is_resumed(app: Flask, anna: Person) -> None:
    where = f"/api/alerts/{anna.alert()['id']}"
    assert anna.ask("POST", f"{where}/pause").checked()["state"] == "paused"
    feed(app, {"total_amount_minor": 3800})
    assert anna.ask("GET", where).checked()["state"] == "paused"
    assert anna.ask("POST", f"{where}/resume").checked()["state"] == "fired"


def test_a_snooze_begins_and_ends(anna: Person) -> None:
    where = f"/api/alerts/{anna.alert()['id']}"
    until = {"until": "2027-01-01T08:00:00Z"}
    assert anna.ask("POST", f"{where}/snooze", until).checked()["snoozed_until"] == "2027-01-01T08:00:00.000Z"
    assert anna.ask("POST", f"{where}/snooze", {"until": None}).checked()["snoozed_until"] is None
    assert faults(anna.ask("POST", f"{where}/snooze", {"until": "tomorrow"})) == ["/until"]


def test_a_version_that_was_changed_meanwhile_is_not_changed(anna: Person) -> None:
    made = anna.ask("POST", "/api/alerts", ALERT)
    where, tag = made.headers["Location"], made.headers["ETag"]
    edited = anna.ask("PUT", where, ALERT | {"target_minor": 3000}, {"If-Match": tag})
    assert edited.status == 200
    assert edited.headers["ETag"] != tag
    for method, path, body in (
        ("PUT", where, ALERT), ("DELETE", where, None), ("POST", f"{where}/pause", None),
        ("POST", f"{where}/resume", None), ("POST", f"{where}/snooze", {"until": None}),
    ):  # fmt: skip
        assert faults(anna.ask(method, path, body, {"If-Match": tag}), 412) == ["If-Match"]
    now = anna.ask("GET", where)
    assert now.headers["ETag"] == edited.headers["ETag"]
    weak = {"If-Match": f'W/{now.headers["ETag"]}, "7"'}
    assert anna.ask("DELETE", where, headers=weak).status == 204


def test_what_has_not_changed_is_not_sent_again(anna: Person) -> None:
    made = anna.ask("POST", "/api/alerts", ALERT)
    where, tag = made.headers["Location"], made.headers["ETag"]
    again = anna.ask("GET", where, headers={"If-None-Match": tag})
    assert (again.status, again.text) == (304, "")


def test_a_site_may_want_every_change_to_say_its_version(make_app: MakeApp) -> None:
    anna = Person(make_app(require_if_match=True)).joined()
    where = f"/api/alerts/{anna.alert()['id']}"
    assert anna.ask("DELETE", where).status == 428
    assert anna.ask("DELETE", where, headers={"If-Match": "*"}).status == 204


def test_a_ref_is_one_alerts(anna: Person, ben: Person) -> None:
    first = anna.alert(ref="bergamo")
    for route in ({}, {"origin": "LTN"}):
        refused = anna.ask("POST", "/api/alerts", ALERT | {"ref": " bergamo "} | route)
        assert faults(refused, 409) == ["/ref"]
        assert first["id"] in refused.json["detail"]
    ben.alert(ref="bergamo")


def test_nobody_has_more_alerts_than_are_allowed(make_app: MakeApp) -> None:
    anna = Person(make_app(alerts_per_user=2)).joined()
    anna.alert()
    anna.alert(origin="LTN")
    assert anna.ask("POST", "/api/alerts", ALERT).json["type"] == "urn:fms:problem:limit"
    assert anna.ask("POST", "/api/alerts", ALERT | {"ref": "one more"}).status == 422


class TestLists:
    """Lists of alerts."""

    @pytest.fixture
    def full(self, app: Flask, anna: Person) -> Person:
        feed(app, {"total_amount_minor": 3800})
        anna.alert(ref="a", target_minor=1000)
        anna.alert(ref="b", origin="LTN", depart_from="2027-09-01")
        anna.alert(ref="c", kind="new_low", target_minor=None)
        anna.alert(ref="d", kind="drop_percent", drop_bp=100, target_minor=None, origin="DUB")
        anna.alert(ref="e")
        paused = anna.alert(ref="f")
        anna.ask("POST", f"/api/alerts/{paused['id']}/pause").checked()
        Person(app).joined().alert(ref="somebody else's")
        return anna

    def refs(self, person: Person, query: str) -> list[str]:
        """The refs of all pages of a list, as its links lead from one to the next."""
        path, found = f"/api/alerts?{query}", []
        while path:
            page = person.ask("GET", path)
            found += [one["ref"] for one in page.checked()["items"]]
            link = page.headers.get("Link", "")
            assert bool(link) == (page.json["next"] is not None)
            path = link.partition(">")[0].removeprefix("<")
            assert not path or parse_qs(urlsplit(path).query)["cursor"] == [page.json["next"]]
        return found

    @pytest.mark.parametrize(
        ("query", "refs"),
        [
            ("", "fedcba"),
            ("sort=created", "abcdef"),
            ("state=fired", "e"),
            ("state=paused", "f"),
            ("state=learning", "d"),
            ("state=armed", "cba"),
            ("state=expired", ""),
            ("kind=new_low", "c"),
            ("origin=ltn", "b"),
            ("destination=BGY&origin=STN", "feca"),
            ("destination=STN", ""),
            ("ref=c", "c"),
        ],
    )
    def test_a_list_is_filtered(self, full: Person, query: str, refs: str) -> None:
        assert "".join(self.refs(full, query)) == refs

    @pytest.mark.parametrize("sort", ["created", "ref", "route", "departure"])
    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_pages_have_every_alert_once_in_order(self, full: Person, sort: str, limit: int) -> None:
        whole = self.refs(full, f"sort={sort}")
        assert sorted(whole) == list("abcdef")
        assert self.refs(full, f"sort={sort}&limit={limit}") == whole
        assert self.refs(full, f"sort=-{sort}&limit={limit}") == whole[::-1]

    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("sort=price", "sort"), ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"),
            ("state=happy", "state"), ("colour=red", "colour"), ("cursor=x", "cursor"), ("cursor=WzFd", "cursor"),
            ("origin=STANSTED", "origin"),
        ],
    )  # fmt: skip
    def test_a_query_that_makes_no_sense_is_refused(self, anna: Person, query: str, name: str) -> None:
        assert faults(anna.ask("GET", f"/api/alerts?{query}")) == [name]

    def test_a_cursor_is_good_for_its_own_list_only(self, full: Person) -> None:
        cursor = full.ask("GET", "/api/alerts?limit=1").checked()["next"]
        assert faults(full.ask("GET", f"/api/alerts?limit=1&sort=ref&cursor={cursor}")) == ["cursor"]


class TestFiles:
    """Alerts as JSON lines."""

    LINES = '{"ref": "a", "kind": "new_low", "origin": "STN", "destination": "BGY", "depart_from": "2027-10-01", '
    LINES += '"depart_to": "2027-10-14", "currency": "GBP"}\n'

    def imported(self, person: Person, lines: str, query: str = "", kind: str = "application/x-ndjson") -> Reply:
        return person.ask("POST", f"/api/alerts/import{query}", data=lines.encode(), content_type=kind)

    def test_what_is_exported_can_be_imported(self, anna: Person, ben: Person) -> None:
        anna.alert(ref="bergamo", max_stops=1, carriers_out=["FR"])
        assert self.imported(anna, self.LINES).checked() == {"added": 1, "updated": 0, "unchanged": 0}
        exported = anna.ask("GET", "/api/alerts/export")
        assert exported.headers["Content-Type"].startswith("application/x-ndjson")
        assert self.imported(ben, exported.text).checked() == {"added": 2, "updated": 0, "unchanged": 0}
        assert self.imported(ben, exported.text).checked() == {"added": 0, "updated": 0, "unchanged": 2}
        assert ben.ask("GET", "/api/alerts/export").text == exported.text

    def test_an_error_is_named_with_its_line_and_nothing_is_imported(self, anna: Person) -> None:
        wrong = self.LINES + "\n" + self.LINES.replace('"a"', '"b"').replace("GBP", "XYZ")
        refused = self.imported(anna, wrong)
        assert "line 3: currency: " in refused.checked(422)["detail"]
        assert anna.ask("GET", "/api/alerts").checked()["items"] == []

    def test_a_known_ref_with_other_content_is_edited_if_that_is_wanted(self, anna: Person) -> None:
        self.imported(anna, self.LINES).checked()
        other = self.LINES.replace("2027-10-14", "2027-10-10")
        assert self.imported(anna, other).status == 422
        assert self.imported(anna, other, "?update=true").checked()["updated"] == 1
        assert anna.ask("GET", "/api/alerts").checked()["items"][0]["depart_to"] == "2027-10-10"

    def test_an_import_judges_ones_own_alerts_only(self, app: Flask, anna: Person, ben: Person) -> None:
        feed(app, {"total_amount_minor": 3800})
        rows = app.extensions["fms"].site.alert_rows
        where = f"/api/alerts/{ben.alert(target_minor=1000)['id']}"
        rows.change(UUID(where.rpartition("/")[2]), lambda now: replace(now, amount=5000, edition=now.edition + 1))
        target = self.LINES.replace('"new_low"', '"target", "target_minor": 4000')
        assert self.imported(anna, target).checked()["added"] == 1
        [mine] = anna.ask("GET", "/api/alerts").checked()["items"]
        assert (mine["state"], ben.ask("GET", where).checked()["state"]) == ("fired", "armed")
        [row] = anna.ask("GET", "/api/notifications").checked()["items"]
        assert row["alert_id"] == mine["id"]

    def test_a_file_may_have_departed(self, anna: Person) -> None:
        past = self.LINES.replace("2027-10", "2025-10")
        assert self.imported(anna, past).checked()["added"] == 1
        assert anna.ask("GET", "/api/alerts").checked()["items"][0]["state"] == "expired"

    def test_no_file_brings_more_alerts_than_are_allowed(self, make_app: MakeApp) -> None:
        anna = Person(make_app(alerts_per_user=1)).joined()
        both = self.LINES + self.LINES.replace('"a"', '"b"')
        assert self.imported(anna, both).json["type"] == "urn:fms:problem:limit"
        assert anna.ask("GET", "/api/alerts").checked()["items"] == []


class TestExplain:
    """Why an alert fires or does not."""

    def test_it_names_the_best_fares_and_what_each_criterion_excludes(self, app: Flask, anna: Person) -> None:
        feed(app, {}, {"departure_date": "2027-10-06", "cabin": "business"}, {"departure_date": "2027-12-01"})
        found = anna.ask("GET", f"/api/alerts/{anna.alert()['id']}/explain").checked()
        assert found["excluded"] == {"cabin": 1, "departure": 1}
        assert (found["known_fares"], found["newest_observation"]) == (3, "2026-11-02T08:00:00.000Z")
        [best] = found["best_fares"]
        assert (best["fires"], best["condition"]) == (False, "price")
        assert best["why"] == "45.00 GBP, above the trigger 40.00"
        assert found["verdict"] == "the best fare, 45.00 GBP, is 5.00 above the trigger"
        assert found["holder"] is None

    def test_it_names_the_fare_that_was_told(self, app: Flask, anna: Person) -> None:
        feed(app, {"total_amount_minor": 3800})
        alert = anna.alert()
        found = anna.ask("GET", f"/api/alerts/{alert['id']}/explain").checked()
        assert found["holder"]["total_amount_minor"] == 3800
        assert found["alert"]["state"] == "fired"
        assert "it fires next at 36.10 or less" in found["verdict"]

    def test_nothing_is_known_of_an_unknown_route(self, anna: Person) -> None:
        found = anna.ask("GET", f"/api/alerts/{anna.alert()['id']}/explain").checked()
        assert (found["known_fares"], found["newest_observation"], found["best_fares"]) == (0, None, [])
        assert found["verdict"] == "no fare of this route is known yet"
