"""The alerts: what match asks of them and what it may write, in memory, on one shard and on several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from fms.db.alerts import AlertRows
from fms.db.matching import SqlAlertLedger
from fms.db.memory.alerts import MemoryAlertRows
from fms.db.memory.matching import MemoryAlertLedger
from fms.db.memory.shard import MemoryShard
from fms.db.tables import alert_window, outbox
from fms.errors import NotFound, Transient
from fms.model.alert import Alert
from fms.model.change import FELL, FIRST_SEEN, GONE, ROSE, Change
from fms.model.clock import DAY_MS, HOUR_MS, system_clock
from fms.model.evaluation import evaluate
from fms.model.ids import slot_of_id
from fms.ports import AlertLedger, Outcome
from fms.shards.engine import reading, writing
from fms.shards.ownership import slot_owner
from fms.shards.router import Router
from fms.stages.match import Match
from tests.builders import MINT, MONDAY, alert, change, change_batch, criteria, fare, series_of
from tests.contracts.place import MEMORY, Place, place_of


@dataclass
class Shards:
    """Alerts over some shards, evaluated against an empty book."""

    rows: AlertRows | MemoryAlertRows
    ledger: AlertLedger

    def add(self, *alerts: Alert) -> None:
        self.rows.add(alerts)
        for _ in self.rows.evaluate_owed(_on_an_empty_book):
            pass

    def match(self, *changes: Change) -> list[Any]:
        return list(Match(self.ledger).process(change_batch(list(changes))).rows())

    def state(self, one: Alert) -> Any:
        return self.rows.get(one.id).state


def _on_an_empty_book(owed: Sequence[tuple[Alert, bool]]) -> list[Outcome]:
    judged = [(one, evaluate(one, [], None, resume=resumed)) for one, resumed in owed]
    return [Outcome(one, state, [firing] if firing else []) for one, (state, firing) in judged]


@dataclass
class SqlShards(Shards):
    """Those in databases."""

    router: Router


def over(place: Place) -> SqlShards:
    router = place.router()
    return SqlShards(AlertRows(router, MINT, system_clock), SqlAlertLedger(router, MINT), router)


@pytest.fixture(params=[1, 2, 5, "postgres"])
def sql_shards(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlShards]:
    place = place_of(request, tmp_path)
    assert place
    made = over(place)
    yield made
    made.router.close()


@pytest.fixture(params=[MEMORY, 1, 2, 5, "postgres"])
def shards(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shards]:
    place = place_of(request, tmp_path)
    if place is None:
        shard = MemoryShard()
        yield Shards(MemoryAlertRows(shard, MINT, system_clock), MemoryAlertLedger(shard, MINT))
        return
    made = over(place)
    yield made
    made.router.close()


def test_an_alert_is_found_again_as_it_was_written(shards: Shards) -> None:
    made = alert(
        criteria=criteria(
            trip_type="round_trip", return_from=date(2026, 12, 3), return_to=date(2026, 12, 30), min_nights=2,
            max_nights=9, max_stops=1, carriers_in=("BA", "AA"), carriers_out=("FR",), adults=2, infants=1,
        )
    )  # fmt: skip
    shards.add(made)
    found = shards.rows.get(made.id)
    assert replace(found, state=made.state, version=made.version) == made
    assert shards.rows.many([made.id, MINT.new(5)]) == {made.id: found}
    assert shards.rows.all() == [found]


def test_an_alert_that_is_not_there_is_not_found(shards: Shards) -> None:
    with pytest.raises(NotFound):
        shards.rows.get(MINT.new(3))
    with pytest.raises(NotFound):
        shards.rows.delete(MINT.new(3))


def test_a_fall_to_the_target_fires_once_however_often_it_is_delivered(shards: Shards) -> None:
    made = alert(amount=40_000)
    shards.add(made)
    fall = change(FELL, 45_000, price=39_000)
    [message] = shards.match(fall)
    assert (message.alert_id, message.revision, message.trigger, message.fare.price) == (made.id, 1, 40_000, 39_000)
    assert shards.state(made).trigger == 39_000 * 95 // 100
    assert shards.state(made).holder == series_of(fare())
    assert shards.match(fall) == []


def test_alerts_on_many_routes_are_each_found_in_their_shard(shards: Shards) -> None:
    places = ["LHR", "CDG", "AMS", "FRA", "MAD", "LIS", "FCO", "ZRH"]
    made = [alert(ref=place, criteria=criteria(destination=place)) for place in places]
    shards.add(*made)
    fired = shards.match(*(change(destination=place, price=30_000 + n) for n, place in enumerate(places)))
    assert {message.ref: message.fare.price for message in fired} == {p: 30_000 + n for n, p in enumerate(places)}


@pytest.mark.parametrize(
    "changes",
    [
        {"price": 40_001},
        {"departure_date": date(2026, 12, 15)},
        {"departure_date": date(2026, 11, 30)},
        {"cabin": "business"},
        {"currency": "EUR"},
        {"adults": 2},
        {"destination": "LGW"},
    ],
)
def test_a_fare_that_is_not_wanted_finds_no_candidate_that_fires(shards: Shards, changes: dict[str, Any]) -> None:
    shards.add(alert(amount=40_000))
    assert shards.match(change(**({"price": 30_000} | changes))) == []


def test_a_window_over_several_months_is_found_in_each(shards: Shards) -> None:
    shards.add(alert(criteria=criteria(depart_from=date(2026, 12, 30), depart_to=date(2027, 3, 2))))
    days = [date(2026, 12, 31), date(2027, 1, 1), date(2027, 3, 2)]
    fired = [shards.match(change(departure_date=day, price=30_000 - 10_000 * n)) for n, day in enumerate(days)]
    assert [(message.fare.price, message.revision) for [message] in fired] == [(30_000, 1), (20_000, 2), (10_000, 3)]


def test_a_rise_of_the_holder_arms_the_alert_again(shards: Shards) -> None:
    made = alert(amount=40_000)
    shards.add(made)
    shards.match(change(FELL, 45_000, price=39_000))
    assert shards.match(change(ROSE, 39_000, price=50_000, observed_at=MONDAY + HOUR_MS)) == []
    assert (shards.state(made).trigger, shards.state(made).holder) == (40_000, None)
    [again] = shards.match(change(FELL, 50_000, price=39_500, observed_at=MONDAY + 2 * HOUR_MS))
    assert again.trigger == 40_000


def test_a_rise_of_another_fare_does_not(shards: Shards) -> None:
    made = alert(amount=40_000)
    shards.add(made)
    shards.match(change(FELL, 45_000, price=39_000))
    shards.match(change(ROSE, 39_000, price=50_000, observed_at=MONDAY + HOUR_MS, outbound_flights=("BA112",)))
    assert shards.state(made).holder is not None


def test_a_holder_that_is_gone_arms_the_alert_again(shards: Shards) -> None:
    made = alert(amount=40_000)
    shards.add(made)
    shards.match(change(FELL, 45_000, price=39_000))
    shards.match(change(GONE, 39_000, observed_at=MONDAY + 3 * DAY_MS))
    assert (shards.state(made).trigger, shards.state(made).armed_since) == (40_000, MONDAY + 3 * DAY_MS)


def test_any_change_of_the_route_after_the_holder_departed_arms_the_alert_again(shards: Shards) -> None:
    made = alert(amount=40_000)
    shards.add(made)
    shards.match(change(FELL, 45_000, price=39_000))
    later = MONDAY + 30 * DAY_MS  # 2 December: the holder left on the 1st
    shards.match(change(ROSE, 1, cabin="first", observed_at=later))
    assert (shards.state(made).holder, shards.state(made).armed_since) == (None, later)


def test_two_firings_in_an_hour_are_one_row_with_two_revisions(shards: Shards) -> None:
    shards.add(alert(amount=40_000))
    [first] = shards.match(change(FELL, 45_000, price=39_000))
    [second] = shards.match(change(FELL, 39_000, price=30_000, observed_at=MONDAY + 1_000))
    assert second.notification_id == first.notification_id
    assert (second.revision, second.fare.price, second.old_price, second.trigger) == (2, 30_000, 39_000, 40_000)
    [third] = shards.match(change(FELL, 30_000, price=20_000, observed_at=MONDAY + HOUR_MS))
    assert (third.notification_id != first.notification_id, third.revision) == (True, 1)


def test_two_firings_of_one_batch_in_an_hour_are_one_row_too(shards: Shards) -> None:
    shards.add(alert(amount=40_000))
    falls = [change(FELL, 45_000, price=39_000), change(FELL, 39_000, price=30_000, observed_at=MONDAY + 1_000)]
    [message] = shards.match(*falls)
    assert (message.revision, message.fare.price, message.trigger) == (2, 30_000, 40_000)
    assert shards.match(*falls) == []


def test_a_learning_alert_is_asked_about_every_price(shards: Shards) -> None:
    made = alert("drop_percent", 2_000)
    shards.add(made)
    assert shards.match(change(FIRST_SEEN, price=90_000)) == []
    assert shards.state(made).reference == 90_000


def test_what_somebody_else_changed_meanwhile_is_handed_back_unwritten(shards: Shards) -> None:
    made = alert(amount=40_000)
    shards.add(made)
    before = shards.rows.get(made.id)
    shards.rows.change(made.id, lambda now: replace(now, amount=30_000), owed=False)
    outcome = Outcome(before, replace(before.state, trigger=1), [])
    messages, changed = shards.ledger.record([outcome])
    assert (messages, changed) == ([], [shards.rows.get(made.id)])
    assert shards.state(made).trigger == 40_000


def test_a_paused_alert_is_not_seen_and_a_deleted_one_is_not_either(shards: Shards) -> None:
    paused, deleted = alert(ref="paused"), alert(ref="deleted")
    shards.add(paused, deleted)
    shards.rows.change(paused.id, lambda now: replace(now, paused=True), owed=False)
    shards.rows.delete(deleted.id)
    assert shards.match(change(price=10_000)) == []


def test_a_shard_that_gave_the_slot_away_refuses_the_write_and_nothing_is_written(
    sql_shards: SqlShards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fms.shards.router.WAIT_SECONDS", 0.1)
    made = alert(amount=40_000)
    sql_shards.add(made)
    slot = slot_of_id(made.id)
    shard = sql_shards.router.of(slot)
    mine = slot_owner.update().where(slot_owner.c.slot == slot)
    with writing(shard.engine) as connection:
        connection.execute(mine.values(state="moved"))
    with pytest.raises(Transient):
        sql_shards.match(change(price=10_000))
    with writing(shard.engine) as connection:
        assert connection.execute(select(outbox)).all() == []
        connection.execute(mine.values(state="active"))
    assert sql_shards.state(made).holder is None


def test_deleting_an_alert_deletes_its_windows(sql_shards: SqlShards) -> None:
    made = alert()
    sql_shards.add(made)
    sql_shards.rows.delete(made.id)
    for shard in sql_shards.router.all():
        with reading(shard.engine) as connection:
            assert connection.execute(select(alert_window)).all() == []


def test_every_slot_is_owned_once(sql_shards: SqlShards) -> None:
    sql_shards.router.check()
    assert len({shard.name for shard in sql_shards.router.all()}) == len(sql_shards.router.all())


def test_an_alert_that_was_edited_meanwhile_is_left_to_its_evaluation(shards: Shards) -> None:
    made = alert(amount=40_000)
    shards.add(made)
    before = shards.rows.get(made.id)
    shards.rows.change(made.id, lambda now: replace(now, amount=30_000, edition=2))
    outcome = Outcome(before, replace(before.state, trigger=1), [])
    assert shards.ledger.record([outcome]) == ([], [])
    assert shards.state(made).trigger == 40_000


def test_an_edit_of_a_paused_alert_owes_nothing_and_one_of_a_resumed_alert_does(shards: Shards) -> None:
    made = alert("drop_percent", 1_000)
    shards.add(made)
    shards.rows.change(made.id, lambda now: replace(now, paused=True), owed=False)
    shards.rows.change(made.id, lambda now: replace(now, amount=2_000))
    assert list(shards.rows.evaluate_owed(_on_an_empty_book)) == []
    shards.rows.change(made.id, lambda now: replace(now, paused=False))
    assert len(list(shards.rows.evaluate_owed(_on_an_empty_book))) == 1


def test_an_alert_that_is_added_twice_is_refused_the_second_time_and_may_be_tried_again(shards: Shards) -> None:
    made = alert()
    shards.add(made)
    with pytest.raises(Transient):
        shards.add(replace(made, id=MINT.new((made.id.int >> 64) & 0xFFF)))
    assert len(shards.rows.all()) == 1
