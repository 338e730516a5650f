"""Two at the same alerts or messages at once, on PostgreSQL: who comes second sees what the first has done."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier, Event
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import select

from fms.db import alerts, matching, notifications, users
from fms.db.alerts import AlertRows, Judge
from fms.db.matching import SqlAlertLedger
from fms.db.notifications import SqlNotifications
from fms.db.tables import outbox
from fms.db.users import Users
from fms.model.alert import Alert
from fms.model.change import FELL, ROSE, ChangeBatch
from fms.model.clock import HOUR_MS, system_clock
from fms.model.evaluation import evaluate
from fms.model.ids import IdMint
from fms.model.notification import Message
from fms.model.route import slot_of_od, slot_of_user
from fms.ports import Outcome, Probe
from fms.shards.engine import reading
from fms.shards.router import Router
from fms.stages.match import Match
from tests.builders import MINT, MONDAY, alert, change, change_batch, criteria
from tests.contracts.place import Place
from tests.contracts.waiting import somebody_waits

PLACES = ("LHR", "CDG", "AMS", "FRA", "MAD", "LIS", "FCO", "ZRH")
PATIENCE = 30
"""Seconds."""


@contextmanager
def site(place: Place) -> Iterator[Router]:
    router = place.router()
    try:
        yield router
    finally:
        router.close()


def judge(owed: Sequence[tuple[Alert, bool]]) -> list[Outcome]:
    return [Outcome(one, evaluate(one, [], None, resume=resumed)[0], []) for one, resumed in owed]


def add(router: Router, *new: Alert) -> AlertRows:
    rows = AlertRows(router, MINT, system_clock)
    rows.add(new)
    list(rows.evaluate_owed(judge))
    return rows


def fired(router: Router) -> list[tuple[str, int, int]]:
    """Ref, hour and revision of everything in the outboxes."""
    found: list[tuple[str, int, int]] = []
    for shard in router.all():
        with reading(shard.engine) as connection:
            query = select(outbox.c.ref, outbox.c.hour, outbox.c.revision)
            found += [(row.ref, row.hour - MONDAY // HOUR_MS, row.revision) for row in connection.execute(query)]
    return sorted(found)


class Held:
    """A function that is replaced by one that stops after its first call, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
        self._function = getattr(module, name)
        self._reached, self._go, self._first = Event(), Event(), True
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        done = self._function(*arguments, **named)
        first, self._first = self._first, False
        if first:
            self._reached.set()
            assert self._go.wait(PATIENCE)
        return done

    def wait_until_reached(self) -> None:
        assert self._reached.wait(PATIENCE)

    def let_go(self) -> None:
        self._go.set()


def done(*futures: Future[Any]) -> list[Any]:
    return [future.result(PATIENCE) for future in futures]


def somebody_waits_in(router: Router, slot: int) -> None:
    """Return when somebody waits for a lock in the shard that owns the slot."""
    somebody_waits(router.of(slot).engine.url.render_as_string(hide_password=False))


OURS, MINE = slot_of_od("JFK-LHR"), slot_of_user("me@example.org")
"""Where the alerts are, and the inbox."""


def falling(hours: int) -> list[ChangeBatch]:
    """Every route falls below a trigger once an hour, and rises high above it between."""
    return [
        change_batch(
            [
                change(kind, 90_000, destination=place, price=price, observed_at=MONDAY + hour * HOUR_MS + later)
                for kind, price, later in ((FELL, 39_000, 0), (ROSE, 60_000, 1_000))
                for place in PLACES
            ]
        )
        for hour in range(hours)
    ]


def test_matchers_at_the_same_changes_at_once_fire_each_alert_once_an_event(postgres_place: Place) -> None:
    with site(postgres_place) as router:
        add(router, *(alert(ref=place, criteria=criteria(destination=place)) for place in PLACES))
        batches, together = falling(hours=6), Barrier(3)

        def work(_number: int) -> int:
            with site(postgres_place) as own:
                match = Match(SqlAlertLedger(own, IdMint()))
                written = 0
                for batch in batches:
                    together.wait(PATIENCE)
                    written += len(match.process(batch))
                return written

        with ThreadPoolExecutor(3) as pool:
            written = list(pool.map(work, range(3)))
        assert fired(router) == sorted((place, hour, 1) for place in PLACES for hour in range(6))
        assert sum(written) == 6 * len(PLACES)


def test_who_records_second_waits_sees_that_the_alert_has_fired_and_leaves_it(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(postgres_place) as router, site(postgres_place) as other, ThreadPoolExecutor(2) as pool:
        made = alert()
        add(router, made)
        fall = change_batch([change(FELL, 90_000, price=39_000)])
        held = Held(monkeypatch, matching, "write_firings")
        first = pool.submit(Match(SqlAlertLedger(router, MINT)).process, fall)
        held.wait_until_reached()
        second = pool.submit(Match(SqlAlertLedger(other, IdMint())).process, fall)
        somebody_waits_in(router, OURS)
        held.let_go()
        assert [len(batch) for batch in done(first, second)] == [1, 0]
        assert fired(router) == [("mine", 0, 1)]


def test_without_the_version_in_the_locked_read_an_alert_fires_twice(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AnyVersion(dict[object, int]):
        def get(self, _key: object, _default: object = None) -> Any:
            return 2

    with site(postgres_place) as router:
        made = alert()
        rows = add(router, made)
        assert rows.get(made.id).version == 2
        monkeypatch.setattr("fms.db.matching._locked_versions", lambda *_anything: AnyVersion())
        fall = change_batch([change(FELL, 90_000, price=39_000)])

        class Late(SqlAlertLedger):
            """Another matcher is done with the same changes when this one has read its candidates."""

            def candidates(self, probe: Probe) -> list[Alert]:
                found = super().candidates(probe)
                Match(SqlAlertLedger(router, MINT)).process(fall)
                return found

        Match(Late(router, MINT)).process(fall)
        assert fired(router) == [("mine", 0, 2)]


def test_an_edit_waits_for_a_firing_and_is_made_of_what_that_left(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(postgres_place) as router, site(postgres_place) as other, ThreadPoolExecutor(2) as pool:
        made = alert()
        rows = add(router, made)
        held = Held(monkeypatch, matching, "write_firings")
        fall = change_batch([change(FELL, 90_000, price=39_000)])
        firing = pool.submit(Match(SqlAlertLedger(router, MINT)).process, fall)
        held.wait_until_reached()
        seen: list[Alert] = []

        def edit(now: Alert) -> Alert:
            seen.append(now)
            return replace(now, snoozed_until=MONDAY)

        editing = pool.submit(AlertRows(other, MINT, system_clock).change, made.id, edit, owed=False)
        somebody_waits_in(router, OURS)
        held.let_go()
        done(firing, editing)
        assert (seen[0].state.fired_price, seen[0].version) == (39_000, 3)
        assert (rows.get(made.id).state.fired_price, rows.get(made.id).snoozed_until) == (39_000, MONDAY)


@pytest.mark.parametrize("delete", [False, True])
def test_a_firing_waits_for_an_edit_and_leaves_the_alert_to_it(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch, *, delete: bool
) -> None:
    with site(postgres_place) as router, site(postgres_place) as other, ThreadPoolExecutor(2) as pool:
        made = alert()
        rows = add(router, made)
        held = Held(monkeypatch, alerts, "_drop_windows")
        editing: Future[Any]
        if delete:
            editing = pool.submit(rows.delete, made.id)
        else:
            editing = pool.submit(rows.change, made.id, lambda now: replace(now, amount=30_000, edition=2))
        held.wait_until_reached()
        fall = change_batch([change(FELL, 90_000, price=39_000)])
        firing = pool.submit(Match(SqlAlertLedger(other, IdMint())).process, fall)
        somebody_waits_in(router, OURS)
        held.let_go()
        done(editing)
        assert len(firing.result(PATIENCE)) == 0
        assert fired(router) == []


def test_an_evaluation_that_one_is_at_another_passes_over(postgres_place: Place) -> None:
    with site(postgres_place) as router, site(postgres_place) as other:
        made = [alert(ref=place, criteria=criteria(destination=place)) for place in PLACES]
        rows = AlertRows(router, MINT, system_clock)
        rows.add(made)
        judged: list[tuple[str, str]] = []

        def judging(name: str, meanwhile: Callable[[], object] = bool) -> Judge:
            def judged_by(owed: Sequence[tuple[Alert, bool]]) -> list[Outcome]:
                judged.extend((name, one.ref) for one, _ in owed)
                meanwhile()
                return judge(owed)

            return judged_by

        def another_looks() -> None:
            list(AlertRows(other, MINT, system_clock).evaluate_owed(judging("another")))

        list(rows.evaluate_owed(judging("one", another_looks)))
        assert sorted(ref for _, ref in judged) == sorted(PLACES)
        assert {one.version for one in rows.all()} == {2}


def test_evaluations_that_are_owed_for_less_than_some_time_are_left_alone(postgres_place: Place) -> None:
    with site(postgres_place) as router:
        rows = AlertRows(router, MINT, lambda: MONDAY)
        rows.add([alert()])
        assert list(rows.evaluate_owed(judge, before=MONDAY)) == []
        assert len(list(rows.evaluate_owed(judge, before=MONDAY + 1))) == 1


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_revisions_handed_over_at_once_the_higher_one_stays(
    postgres_place: Place, monkeypatch: pytest.MonkeyPatch, order: tuple[int, int]
) -> None:
    with site(postgres_place) as router, site(postgres_place) as other, ThreadPoolExecutor(2) as pool:
        user = Users(router, MINT, system_clock).find_or_add("me@example.org")
        made = alert(user_id=user.id)
        add(router, made)
        falls = [change(FELL, 90_000, price=40_000 - 9_000 * n, observed_at=MONDAY + n) for n in range(2)]
        match = Match(SqlAlertLedger(router, MINT))
        revisions: dict[int, Message] = {}
        for fall in falls:
            [message] = match.process(change_batch([fall])).rows()
            revisions[message.revision] = message
        held = Held(monkeypatch, notifications, "take_in")
        first = pool.submit(SqlNotifications(router).hand_over, [revisions[order[0]]])
        held.wait_until_reached()
        second = pool.submit(SqlNotifications(other).hand_over, [revisions[order[1]]])
        somebody_waits_in(router, MINE)
        held.let_go()
        assert done(first, second) == [1, 0]
        [row] = SqlNotifications(router).all()
        assert (row.message.revision, row.message.fare.price) == (2, 31_000)
        assert list(SqlNotifications(router).waiting()) == []


def test_a_user_who_is_made_twice_at_once_is_one(postgres_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with site(postgres_place) as router, site(postgres_place) as other, ThreadPoolExecutor(2) as pool:
        held = Held(monkeypatch, users, "insert_rows")
        first = pool.submit(Users(router, MINT, system_clock).find_or_add, "me@example.org")
        held.wait_until_reached()
        second = pool.submit(Users(other, IdMint(), system_clock).find_or_add, "me@example.org")
        somebody_waits_in(router, MINE)
        held.let_go()
        one, two = done(first, second)
        assert one == two
