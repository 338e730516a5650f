"""Preferences over HTTP: what is kept, what is refused, and who wins of two who change them at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask

from fms.bootstrap import Site
from fms.db.tables import user_account
from fms.model.clock import parse_instant
from tests.web.people import Person, Reply

UNTOUCHED: dict[str, Any] = {
    "zone": "UTC", "quiet_from": None, "quiet_to": None, "daily_cap": None, "snoozed_until": None, "channels": None,
}  # fmt: skip
CHOSEN: dict[str, Any] = {
    "zone": "Europe/London", "quiet_from": "22:00", "quiet_to": "07:30", "daily_cap": 3,
    "snoozed_until": "2027-01-02T03:04:05.678Z", "channels": ["push", "mail"],
}  # fmt: skip


def site_of(app: Flask) -> Site:
    site: Site = app.extensions["fms"].site
    return site


def test_nothing_holds_a_new_user_back(anna: Person) -> None:
    assert anna.ask("GET", "/api/preferences").checked() == UNTOUCHED


def test_what_is_put_is_kept_for_those_who_tell(anna: Person, ben: Person) -> None:
    put = anna.ask("PUT", "/api/preferences", CHOSEN)
    assert put.checked() == CHOSEN
    assert anna.ask("GET", "/api/preferences").checked() == CHOSEN
    user = site_of(anna.app).users.find(anna.email)
    assert (user.zone, user.quiet_from, user.quiet_to, user.daily_cap) == ("Europe/London", 1320, 450, 3)
    assert (user.snoozed_until, user.channels) == (parse_instant(CHOSEN["snoozed_until"]), ("push", "mail"))
    assert ben.ask("GET", "/api/preferences").checked() == UNTOUCHED


def test_what_was_chosen_can_be_taken_back(anna: Person) -> None:
    anna.ask("PUT", "/api/preferences", CHOSEN).checked()
    assert anna.ask("PUT", "/api/preferences", UNTOUCHED).checked() == UNTOUCHED


def test_no_channel_is_not_all_channels(anna: Person) -> None:
    anna.ask("PUT", "/api/preferences", UNTOUCHED | {"channels": []}).checked()
    assert anna.ask("GET", "/api/preferences").checked()["channels"] == []
    assert site_of(anna.app).users.find(anna.email).channels == ()


REFUSED: list[tuple[str, Any]] = [
    ("zone", "Mars/Olympus"), ("zone", ""), ("zone", "../../etc/passwd"), ("zone", "Europe"), ("zone", None),
    ("zone", 1),
    ("quiet_from", "24:00"), ("quiet_from", "7:00"), ("quiet_from", "07:60"), ("quiet_from", "07:00\n"),
    ("quiet_from", "0٧:00"), ("quiet_from", 420), ("quiet_to", "noon"),
    ("daily_cap", 0), ("daily_cap", 1_001), ("daily_cap", -1), ("daily_cap", 1.5), ("daily_cap", "3"),
    ("daily_cap", True), ("daily_cap", 10**400),
    ("snoozed_until", "tomorrow"), ("snoozed_until", "2027-01-02T03:04:05"), ("snoozed_until", 1),
    ("snoozed_until", "9999-12-31T23:59:59-01:00"), ("snoozed_until", "0001-01-01T00:00:00+01:00"),
    ("channels", ["fax"]), ("channels", ["push", "push"]), ("channels", "push"), ("channels", [None]),
]  # fmt: skip


def pointers(refused: Reply) -> set[str]:
    """The fields that are wrong, without what is below them."""
    return {"/" + error["pointer"].split("/")[1] for error in refused.checked(422)["errors"]}


def test_what_breaks_a_rule_is_refused_by_name(anna: Person) -> None:
    anna.ask("PUT", "/api/preferences", CHOSEN).checked()
    for field, value in REFUSED:
        refused = anna.ask("PUT", "/api/preferences", CHOSEN | {field: value})
        assert pointers(refused) == {f"/{field}"}, (field, value)
    assert anna.ask("GET", "/api/preferences").checked() == CHOSEN


def test_quiet_hours_have_both_bounds_or_none(anna: Person) -> None:
    for bound in ("quiet_from", "quiet_to"):
        refused = anna.ask("PUT", "/api/preferences", CHOSEN | {bound: None})
        assert pointers(refused) == {"/quiet_to"}


def test_nothing_is_reset_by_being_left_out(anna: Person) -> None:
    anna.ask("PUT", "/api/preferences", CHOSEN).checked()
    for field in CHOSEN:
        body = {name: value for name, value in UNTOUCHED.items() if name != field}
        assert pointers(anna.ask("PUT", "/api/preferences", body)) == {f"/{field}"}
    assert anna.ask("GET", "/api/preferences").checked() == CHOSEN


def test_nothing_else_of_a_user_can_be_put(anna: Person) -> None:
    for field in user_account.c.keys() - CHOSEN.keys():
        assert pointers(anna.ask("PUT", "/api/preferences", CHOSEN | {field: "operator"})) == {f"/{field}"}


def test_a_version_that_has_changed_is_not_written_over(anna: Person) -> None:
    seen = anna.ask("GET", "/api/preferences").headers["ETag"]
    changed = anna.ask("PUT", "/api/preferences", CHOSEN, {"If-Match": seen})
    assert changed.checked() == CHOSEN
    assert changed.headers["ETag"] == anna.ask("GET", "/api/preferences").headers["ETag"] != seen
    late = anna.ask("PUT", "/api/preferences", UNTOUCHED, {"If-Match": seen})
    assert late.checked(412)["type"] == "urn:fms:problem:changed"
    assert anna.ask("GET", "/api/preferences").checked() == CHOSEN
    for tag in (f"W/{changed.headers['ETag']}", "*"):
        assert anna.ask("PUT", "/api/preferences", CHOSEN, {"If-Match": tag}).status == 200


def test_what_has_not_changed_is_not_sent_again_and_is_no_new_version(anna: Person) -> None:
    tag = anna.ask("PUT", "/api/preferences", CHOSEN).headers["ETag"]
    assert anna.ask("PUT", "/api/preferences", CHOSEN).headers["ETag"] == tag
    assert anna.ask("GET", "/api/preferences", headers={"If-None-Match": tag}).status == 304


def test_of_many_who_change_one_version_one_wins(anna: Person) -> None:
    seen = anna.ask("GET", "/api/preferences").headers["ETag"]

    def put(cap: int) -> int:
        return anna.ask("PUT", "/api/preferences", CHOSEN | {"daily_cap": cap}, {"If-Match": seen}).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(1, 9))) == [200] + [412] * 7


def test_all_data_has_the_preferences(anna: Person) -> None:
    anna.ask("PUT", "/api/preferences", CHOSEN).checked()
    assert anna.ask("GET", "/api/account/export").checked()["preferences"] == CHOSEN
