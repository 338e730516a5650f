"""Alerts over HTTP, as one person uses them."""

from tests.web.people import ALERT, Person


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
