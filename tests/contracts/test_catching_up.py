"""An alert made while a price falls: the change passes it by, and the price book has it a moment later."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from fms.alerts import Alerts
from fms.db.alerts import AlertRows
from fms.db.matching import SqlAlertLedger
from fms.db.memory.alerts import MemoryAlertRows
from fms.db.memory.matching import MemoryAlertLedger
from fms.db.memory.shard import MemoryShard
from fms.db.memory.users import MemoryUsers
from fms.db.users import Users
from fms.model.alert import Alert
from fms.model.fare import Fare, FareBatch
from fms.model.notification import Message
from fms.model.route import partition_of_od
from fms.ports import AlertLedger
from fms.pricebook.book import Book
from fms.pricebook.memory import MemoryPageStore
from fms.shards.router import Router
from fms.stages.diff import Diff
from fms.stages.match import Match
from tests.builders import FARE, MINT, MONDAY, alert, fare
from tests.contracts.place import EmptySites

AFTER = 1_000
HOUR = 3_600_000
PARTITION = partition_of_od(FARE.od)


@dataclass
class Site:
    """Diff, match and the alerts, over databases or in memory, around one price book; a clock set by hand."""

    router: Router | None = None
    now: int = 0
    pages: MemoryPageStore = field(default_factory=MemoryPageStore)

    def __post_init__(self) -> None:
        self.diff = Diff(self.pages)
        shard = MemoryShard()
        ledger: AlertLedger = MemoryAlertLedger(shard, MINT)
        self.rows: AlertRows | MemoryAlertRows = MemoryAlertRows(shard, MINT, lambda: self.now)
        users: Users | MemoryUsers = MemoryUsers(shard, MINT)
        if self.router:
            ledger = SqlAlertLedger(self.router, MINT)
            self.rows = AlertRows(self.router, MINT, lambda: self.now)
            users = Users(self.router, MINT, lambda: self.now)
        self.match = Match(ledger)
        self.user = users.find_or_add("me@example.org")
        self.alerts = Alerts(self.rows, users, Book(self.pages), MINT, AFTER)

    def passed_on(self, *fares: Fare) -> list[Message]:
        """What diff sees it passes on, and match matches; the price book does not have it yet."""
        batch = FareBatch.of_fares(fares, PARTITION)
        return list(self.match.process(self.diff.process(batch)).rows())

    def seen(self, *fares: Fare) -> list[Message]:
        found = self.passed_on(*fares)
        self.diff.settle()
        return found

    def made(self, amount: int) -> Alert:
        new = alert(user_id=self.user.id, amount=amount)
        self.rows.add([new])
        self.evaluated()
        return new

    def evaluated(self) -> list[Message]:
        return self.alerts.evaluate_owed()

    def caught_up(self) -> list[Message]:
        self.now += AFTER
        return [message for messages in self.alerts.catch_up() for message in messages]


@pytest.fixture(params=["memory", 2])
def site(request: pytest.FixtureRequest, empty_sites: EmptySites, tmp_path: Path) -> Iterator[Site]:
    if request.param == "memory":
        yield Site()
        return
    router = empty_sites.copied(tmp_path, request.param).router()
    yield Site(router)
    router.close()


def test_a_fall_that_passed_a_new_alert_by_is_told(site: Site) -> None:
    site.seen(fare(price=50_000))
    assert site.passed_on(fare(price=39_000, observed_at=MONDAY + HOUR)) == []
    one = site.made(amount=40_000)
    site.diff.settle()
    assert [message.fare.price for message in site.caught_up()] == [39_000]
    assert site.rows.get(one.id).state.trigger == 39_000 * 95 // 100
    assert site.caught_up() == []


def test_a_fall_that_did_not_pass_it_by_is_told_once(site: Site) -> None:
    site.seen(fare(price=50_000))
    site.made(amount=40_000)
    assert len(site.seen(fare(price=39_000, observed_at=MONDAY + HOUR))) == 1
    assert site.caught_up() == []


def test_what_was_known_when_the_alert_was_made_is_told_once(site: Site) -> None:
    site.seen(fare(price=39_000))
    new = alert(user_id=site.user.id, amount=40_000)
    site.rows.add([new])
    assert len(site.evaluated()) == 1
    site.seen(fare(price=39_000, observed_at=MONDAY + HOUR))
    assert site.caught_up() == []


def test_a_holder_that_rose_unseen_arms_the_alert_again(site: Site) -> None:
    site.seen(fare(price=39_000))
    site.passed_on(fare(price=60_000, observed_at=MONDAY + HOUR))
    one = site.made(amount=40_000)
    site.diff.settle()
    assert site.rows.get(one.id).state.holder is not None
    assert site.caught_up() == []
    state = site.rows.get(one.id).state
    assert (state.holder, state.trigger) == (None, 40_000)
    assert len(site.seen(fare(price=38_500, observed_at=MONDAY + 2 * HOUR))) == 1


def test_a_holder_a_little_above_the_target_keeps_the_alert(site: Site) -> None:
    site.seen(fare(price=39_000))
    one = site.made(amount=40_000)
    site.seen(fare(price=40_500, observed_at=MONDAY + HOUR))
    before = site.rows.get(one.id).state
    assert site.caught_up() == []
    assert site.rows.get(one.id).state == before


def test_nobody_looks_before_it_is_time(site: Site) -> None:
    site.seen(fare(price=50_000))
    site.passed_on(fare(price=39_000, observed_at=MONDAY + HOUR))
    site.made(amount=40_000)
    site.diff.settle()
    site.now += AFTER - 1
    assert [message for messages in site.alerts.catch_up() for message in messages] == []
    site.now -= AFTER - 1
    assert len(site.caught_up()) == 1


def test_without_catching_up_the_fall_would_never_be_told(site: Site) -> None:
    site.seen(fare(price=50_000))
    site.passed_on(fare(price=39_000, observed_at=MONDAY + HOUR))
    one = site.made(amount=40_000)
    site.diff.settle()
    assert site.seen(fare(price=39_000, observed_at=MONDAY + 2 * HOUR)) == []
    assert site.rows.get(one.id).state.holder is None


@pytest.mark.parametrize("site", [2], indirect=True)
def test_in_files_those_to_be_judged_are_found_without_a_look_at_all_the_others(site: Site) -> None:
    plans: set[str] = set()

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_others: Any) -> None:
        if "ORDER BY alert.od" in statement:
            plans.add(str(cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchone()[-1]))

    assert site.router
    for shard in site.router.all():
        event.listen(shard.engine, "before_cursor_execute", explain)
    site.evaluated()
    list(site.alerts.catch_up(whenever=True))
    searched = {plan.split(" (")[0] for plan in plans}
    assert searched == {f"SEARCH alert USING INDEX ix_alert_{name}" for name in ("owed", "catch_up")}
