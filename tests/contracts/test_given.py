"""Rows that a statement is given arrive as they are, on both kinds of database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from fms.db.given import insert_rows, rows_by, update_rows
from fms.db.rows import alert_values
from fms.db.tables import alert
from fms.model.alert import Alert
from fms.shards.engine import reading, writing
from fms.shards.router import Router
from tests.builders import MINT, MONDAY, criteria
from tests.builders import alert as made_alert
from tests.contracts.place import Place

ODD = ("", "NULL", "null", '"', "\\", '\\"', "{a,b}", "a,b", " a ", "'", "''", "%s", ":x", "a\nb\tc", "ünï ✈", "$1")
OWED = {"created_at": MONDAY, "evaluate_at": None, "evaluate_resumed": False, "catch_up_at": None}


@pytest.fixture
def router(place: Place) -> Iterator[Router]:
    found = place.router()
    yield found
    found.close()


def odd_alerts() -> list[Alert]:
    some = criteria(return_from=date(2026, 12, 24), carriers_in=("BA", "AA"))
    return [replace(made_alert(criteria=some), ref=text, paused=bool(n % 2)) for n, text in enumerate(ODD)]


def test_every_text_number_date_and_nothing_is_read_as_it_was_written(router: Router) -> None:
    made = odd_alerts()
    with writing(router.of(0).engine) as connection:
        insert_rows(connection, alert, [alert_values(one) | OWED for one in made])
    with reading(router.of(0).engine) as connection:
        rows = rows_by(connection, alert, {"user_id": [one.user_id for one in made], "ref": ODD})
    wanted = {one.id: alert_values(one) | OWED for one in made}
    assert {row.id: {name: getattr(row, name) for name in wanted[row.id]} for row in rows} == wanted


def test_only_rows_whose_keys_are_all_alike_are_found_and_only_what_is_asked_for_is_read(router: Router) -> None:
    one, two, *_ = made = odd_alerts()
    with writing(router.of(0).engine) as connection:
        insert_rows(connection, alert, [alert_values(each) | OWED for each in made])
        rows = rows_by(connection, alert, {"user_id": [one.user_id, two.user_id], "ref": [one.ref] * 2}, ("ref", "id"))
        assert [tuple(row) for row in rows] == [(one.ref, one.id)]
        assert rows_by(connection, alert, {"id": []}) == []


def test_rows_are_written_by_key_and_counted_and_others_stay(router: Router) -> None:
    one, two, *_ = made = odd_alerts()
    with writing(router.of(0).engine) as connection:
        insert_rows(connection, alert, [alert_values(each) | OWED for each in made])
        new = [{"id": each.id, "trigger": n, "holder": None, "od": "'"} for n, each in enumerate((one, two))]
        assert (
            update_rows(connection, alert, [*new, new[0] | {"id": MINT.new(0)}], also="version = alert.version + 1")
            == 2
        )
        rows = {row.id: row for row in rows_by(connection, alert, {"id": [each.id for each in made]})}
        assert [(rows[each.id].trigger, rows[each.id].od, rows[each.id].version) for each in made[:3]] == [
            (0, "'", 2), (1, "'", 2), (None, "JFK-LHR", 1),
        ]  # fmt: skip
        assert update_rows(connection, alert, new, where="alert.trigger < given.trigger") == 0
