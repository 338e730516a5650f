"""Alerts, notifications, prices and users through the command line: what lists say, and why an alert does not fire."""

from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.acceptance.commands import fms, refused, written
from tests.acceptance.harness import ALERT_FIELDS
from tests.acceptance.story import day, fare, instant

ALERT_KEYS = ["id", *(name for name in ALERT_FIELDS)]
NOTIFICATION_KEYS = [
    "notification_id", "ref", "user", "kind", "status", "revision", "origin", "destination", "departure_date",
    "return_date", "cabin", "flights", "price_minor", "old_price_minor", "currency", "trigger_minor", "observed_at",
    "unusual",
]  # fmt: skip
FIRES = fare(300, "BA178", at="d2 06:00")


def wish(ref: str, **fields: Any) -> dict[str, Any]:
    """An alert on JFK-LHR under 320.00 USD, departing on day 120, with changes."""
    document = {"ref": ref, "kind": "target", "target_minor": 32_000, "origin": "JFK", "destination": "LHR"}
    days = {"depart_from": day(120).isoformat(), "depart_to": day(120).isoformat()}
    return {
        name: value for name, value in (document | days | {"currency": "USD"} | fields).items() if value is not None
    }


@pytest.fixture(scope="module")
def known_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a site where two fares of 350.00 and 340.00 are known, and alerts of several kinds wait."""
    folder = tmp_path_factory.mktemp("known")
    data = folder / "data"
    known = [fare(350, "BA178", at="d1 00:00"), fare(340, "AA1+AA2", at="d1 00:00", fare_brand="Basic")]
    wishes = [
        wish("plain"),
        wish("drop", kind="drop_percent", drop_bp=1_000, target_minor=None),
        wish("learning", kind="new_low", target_minor=None, origin="CDG"),
        wish("low", kind="new_low", target_minor=None, max_stops=0, carriers_out=["AF", "BA"]),
        wish("paused"),
    ]
    fms("run", written(folder / "known.jsonl", known), "--data", data).checked()
    fms("alerts", "import", written(folder / "alerts.jsonl", wishes), "--data", data).checked()
    fms("alerts", "pause", "paused", "--data", data).checked()
    return data


@pytest.fixture
def site(known_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a copy of it is."""
    monkeypatch.setenv("FMS_DATA", str(copytree(known_site, tmp_path / "data")))
    return tmp_path


def shown(ref: str) -> dict[str, Any]:
    """One alert as JSON."""
    return fms("alerts", "show", ref, "--json").checked().report


def run(site: Path, *fares: dict[str, Any]) -> dict[str, Any]:
    """A run over some fares."""
    return fms("run", written(site / "more.jsonl", fares), "--json").checked().report


def test_alerts_are_listed_with_the_keys_of_the_contract(site: Path) -> None:
    run(site, FIRES)
    rows = fms("alerts", "list", "--json").checked().lines
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    for row in rows:
        assert set(ALERT_KEYS) <= row.keys()
        assert shown(row["ref"]) == row
    by_ref = {row["ref"]: row for row in rows}
    assert {ref: row["state"] for ref, row in by_ref.items()} == {
        "plain": "fired", "drop": "fired", "learning": "learning", "low": "learning", "paused": "paused",
    }  # fmt: skip
    plain = by_ref["plain"]
    assert (plain["last_price_minor"], plain["last_fired_at"]) == (30_000, instant("d2 06:00"))
    assert plain["trigger_minor"] == 28_500
    assert (by_ref["drop"]["reference_minor"], by_ref["drop"]["drop_bp"]) == (34_000, 1_000)
    assert by_ref["low"]["carriers_out"] == ["AF", "BA"]
    assert by_ref["learning"]["trigger_minor"] is None


def test_lists_may_be_cut_to_a_user_or_a_state(site: Path) -> None:
    run(site, FIRES)
    theirs = written(site / "theirs.jsonl", [wish("theirs")])
    fms("alerts", "import", theirs, "--user", "ann@example.org").checked()
    refs = [row["ref"] for row in fms("alerts", "list", "--user", "Ann@Example.org", "--json").lines]
    assert refs == ["theirs"]
    assert [row["ref"] for row in fms("alerts", "list", "--state", "paused", "--json").lines] == ["paused"]
    assert {row["user"] for row in fms("notifications", "list", "--json").lines} == {
        "local@localhost",
        "ann@example.org",
    }
    mine = fms("notifications", "list", "--user", "local@localhost", "--status", "sent", "--json").lines
    assert {row["ref"] for row in mine} == {"plain", "drop"}
    assert fms("notifications", "list", "--status", "gone", "--json").out == ""
    assert fms("notifications", "list", "--status", "gone").out == "no notifications\n"


def test_notifications_are_listed_with_the_keys_of_the_contract(site: Path) -> None:
    run(site, FIRES)
    rows = fms("notifications", "list", "--json").checked().lines
    assert [(row["observed_at"], row["ref"]) for row in rows] == [
        (instant("d2 06:00"), ref) for ref in ("drop", "plain")
    ]
    for row in rows:
        assert set(NOTIFICATION_KEYS) <= row.keys()
    plain = rows[1]
    assert (plain["price_minor"], plain["old_price_minor"], plain["trigger_minor"]) == (30_000, 35_000, 32_000)
    assert plain["flights"] == {"outbound": ["BA178"], "return": None}
    assert (plain["status"], plain["revision"], plain["unusual"], plain["return_date"]) == ("sent", 1, False, None)


def test_lists_for_people_show_money_and_routes(site: Path) -> None:
    run(site, FIRES)
    listed = fms("alerts", "list").checked().out
    assert "JFK-LHR" in listed
    assert "285.00" in listed
    assert "300.00" in fms("notifications", "list").checked().out
    assert "285" in fms("alerts", "show", "plain").checked().out


def test_prices_are_listed_cheapest_first(site: Path) -> None:
    rows = fms("prices", "show", "jfk", "lhr", day(120).isoformat(), "--json").checked().lines
    assert [row["total_amount_minor"] for row in rows] == [34_000, 35_000]
    assert rows[0]["outbound_flights"] == ["AA1", "AA2"]
    assert rows[0]["observed_at"] == instant("d1 00:00")
    assert "340.00" in fms("prices", "show", "JFK", "LHR", day(120).isoformat()).checked().out
    assert "is known" in fms("prices", "show", "JFK", "LHR", day(121).isoformat()).checked().out


FARES: list[tuple[str, dict[str, Any], str | None]] = [
    ("plain", FIRES, None),
    ("plain", fare(321, at="d2 06:00"), "price"),
    ("plain", fare(300, at="d0 06:00"), "observed_at"),
    ("plain", fare(300, departs=121, at="d2 06:00"), "departure"),
    ("plain", fare(300, cabin="business", at="d2 06:00"), "cabin"),
    ("plain", fare(300, back=125, at="d2 06:00"), "trip_type"),
    ("plain", fare(300, adults=2, at="d2 06:00"), "travellers"),
    ("plain", fare(300, at="d2 06:00", currency="EUR"), "currency"),
    ("plain", fare(300, at="d2 06:00", origin="EWR"), "route"),
    ("low", fare(200, "AA1+AA2", at="d2 06:00"), "stops"),
    ("low", fare(200, "BA178", at="d2 06:00"), "carriers_out"),
    ("low", fare(200, None, at="d2 06:00"), "stops"),
    ("paused", FIRES, "state"),
    ("learning", fare(300, at="d2 06:00", origin="CDG"), "state"),
]


@pytest.mark.parametrize(("ref", "one", "condition"), FARES, ids=[f"{ref} {failing}" for ref, _, failing in FARES])
def test_explain_says_of_a_fare_which_condition_fails(
    site: Path, ref: str, one: dict[str, Any], condition: str | None
) -> None:
    file = written(site / "one.jsonl", [one])
    found = fms("alerts", "explain", ref, "--fare", file, "--json").checked().report
    assert (found["fires"], found["condition"]) == (condition is None, condition)
    assert found["fare"]["total_amount_minor"] == one["total_amount_minor"]
    told = fms("alerts", "explain", ref, "--fare", file).checked().out.splitlines()[-1]
    assert told.endswith("would fire" if condition is None else f"does not fire: {condition}: {found['why']}")


@pytest.mark.parametrize("lines", [[], ["{"], [FIRES, {"origin": "JFK"}]], ids=["none", "no JSON", "half a fare"])
def test_explain_wants_fares_that_are_fares(site: Path, lines: list[Any]) -> None:
    file = written(site / "one.jsonl", lines)
    assert refused(fms("alerts", "explain", "plain", "--fare", file)).startswith(str(file))


def test_explain_on_known_fares_counts_what_each_criterion_excludes(site: Path) -> None:
    found = fms("alerts", "explain", "low", "--json").checked().report
    assert (found["known_fares"], found["excluded"]) == (2, {"stops": 1, "carriers_out": 1})
    assert found["best_fares"] == []
    assert found["alert"]["ref"] == "low"
    told = fms("alerts", "explain", "low").checked().out
    assert "1 not wanted because of stops" in told
    assert "1 not wanted because of carriers_out" in told


VERDICTS = [
    ("plain", "the best fare, 340.00 USD, is 20.00 above the trigger", "320.00 USD, the target"),
    (
        "drop",
        "the best fare, 340.00 USD, is 34.00 above the trigger",
        "306.00 USD, 10 % under the reference 340.00 USD",
    ),
    ("learning", "no fare of this route is known yet", "learning what is usual for 12 h, no match seen yet"),
    ("paused", "paused: it fires again when it is resumed", "320.00 USD, the target"),
    ("low", "none of the known fares is wanted; most fail ", "learning what is usual for 12 h, no match seen yet"),
]


@pytest.mark.parametrize(("ref", "verdict", "trigger"), VERDICTS, ids=[ref for ref, _, _ in VERDICTS])
def test_explain_on_known_fares_says_what_is_missing(site: Path, ref: str, verdict: str, trigger: str) -> None:
    found = fms("alerts", "explain", ref, "--json").checked().report
    assert found["verdict"].startswith(verdict)
    assert found["trigger_from"] == trigger
    told = fms("alerts", "explain", ref).checked().out
    assert f"trigger: {trigger}\n" in told
    assert told.splitlines()[-1] == found["verdict"]


def test_explain_says_of_a_fired_alert_where_its_trigger_comes_from(site: Path) -> None:
    run(site, FIRES)
    found = fms("alerts", "explain", "plain", "--json").checked().report
    assert "fired at 300.00 USD" in found["trigger_from"]
    assert found["best_fares"][0]["total_amount_minor"] == 30_000


def test_an_edit_changes_what_an_alert_wants_and_measures_it_afresh(site: Path) -> None:
    fms("alerts", "edit", "plain", "--set", "target_minor=34500", "--set", "max_stops=1").checked()
    edited = shown("plain")
    assert (edited["target_minor"], edited["max_stops"], edited["state"]) == (34_500, 1, "fired")
    assert [row["price_minor"] for row in fms("notifications", "list", "--json").lines] == [34_000]
    fms("alerts", "edit", "plain", "--set", "max_stops=", "--set", 'carriers_in=["BA"]').checked()
    edited = shown("plain")
    assert (edited["max_stops"], edited["carriers_in"], edited["state"]) == (None, ["BA"], "armed")


def test_a_paused_alert_misses_a_fall_and_tells_it_when_it_is_resumed(site: Path) -> None:
    assert run(site, FIRES)["notifications"] == 2
    assert "fired" in fms("alerts", "resume", "paused").checked().out
    assert [row["ref"] for row in fms("notifications", "list", "--json").lines] == ["drop", "paused", "plain"]
    assert "paused" in fms("alerts", "pause", "paused").checked().out
    assert shown("paused")["state"] == "paused"


def test_a_snoozed_alert_is_held(site: Path) -> None:
    fms("alerts", "snooze", "plain", instant("d9 00:00")).checked()
    assert shown("plain")["snoozed_until"] == instant("d9 00:00")
    run(site, FIRES)
    rows = {row["ref"]: row for row in fms("notifications", "list", "--json").lines}
    assert (rows["drop"]["status"], rows["plain"]["status"]) == ("sent", "held")
    assert rows["plain"]["release_at"] == instant("d9 00:00")


def test_a_deleted_alert_is_gone_and_a_question_is_asked_before(site: Path) -> None:
    assert fms("alerts", "delete", "plain", "--yes").checked().out == "plain: deleted\n"
    assert refused(fms("alerts", "show", "plain")) == "no alert 'plain'"
    assert run(site, FIRES)["notifications"] == 1


def test_a_user_in_quiet_hours_is_told_later(site: Path) -> None:
    fms("users", "set", "--zone", "Europe/London", "--quiet", "22:00-09:30", "--daily-cap", "3").checked()
    found = fms("users", "show", "--json").checked().report
    assert (found["zone"], found["quiet_from"], found["quiet_to"], found["daily_cap"]) == (
        "Europe/London", "22:00", "09:30", 3,
    )  # fmt: skip
    assert "22:00" in fms("users", "show").checked().out
    run(site, FIRES)
    assert {row["status"] for row in fms("notifications", "list", "--json").lines} == {"held"}
    changed = fms("users", "set", "--quiet", "none", "--daily-cap", "none", "--json").checked().report
    assert (changed["quiet_from"], changed["daily_cap"], changed["zone"]) == (None, None, "Europe/London")


def test_a_user_says_how_to_hear(site: Path) -> None:
    for given, kept, word in (("mail,push", ["push", "mail"], "push,mail"), ("none", [], "none"), ("all", None, "-")):
        changed = fms("users", "set", "--channels", given, "--json").checked().report
        assert changed["channels"] == kept
        assert f"channels:       {word}\n" in fms("users", "show").checked().out


def test_a_user_who_snoozes_is_told_later(site: Path) -> None:
    fms("users", "set", "--snooze", instant("d8 00:00")).checked()
    run(site, FIRES)
    assert {row["status"] for row in fms("notifications", "list", "--json").lines} == {"held"}
    assert fms("users", "set", "--snooze", "none", "--json").checked().report["snoozed_until"] is None


def test_an_alert_is_found_by_its_id_too(site: Path) -> None:
    found = shown("plain")
    assert fms("alerts", "show", found["id"], "--json").checked().report == found
