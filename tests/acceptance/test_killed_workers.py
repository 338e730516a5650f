"""Workers killed at every step, on RabbitMQ, Redis and PostgreSQL: the ledger is that of an undisturbed run."""

import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.commands import Ledger, fms, ledger, written
from tests.acceptance.feeds import USERS, alerts, feed, peopled
from tests.acceptance.killed import ALERTING, FEEDING, NOTIFYING, PRICING, Scaffold
from tests.acceptance.stacks import STAGES, Prepared, Stack
from tests.reference import LOCAL
from tests.services.shared import Shared

STEPS = 10
POINTS_OF = {"ingest": FEEDING, "price": PRICING, "alert": ALERTING, "notify": NOTIFYING}


class Case:
    """A feed, a prepared site, and the ledger that one process without services makes of both."""

    def __init__(self, server: str, folder: Path) -> None:
        self.feed = written(folder / "feed.jsonl", feed(STEPS))
        mine, theirs = written(folder / "mine.jsonl", alerts()), written(folder / "others.jsonl", alerts("theirs"))
        self.expected = self._embedded(folder, mine)
        caps = [["users", "set", USERS[0], "--daily-cap", "1"]]
        self.prepared = Prepared(server, folder / "site", dict.fromkeys(USERS, theirs) | {LOCAL: mine}, caps)

    def _embedded(self, folder: Path, mine: Path) -> Ledger:
        data = peopled(folder)
        fms("run", "--replay", self.feed, "--alerts", mine, "--data", data, "--batch-size", "20").checked()
        return ledger(data)


@pytest.fixture(scope="module")
def case(shared_servers: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    from tests.services.postgres import Postgres

    server = shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url)
    made = Case(server, tmp_path_factory.mktemp("workers"))
    yield made
    made.prepared.drop()


@pytest.fixture
def stack(case: Case, broker_url: str, redis_url: str) -> Stack:
    return case.prepared.copy(broker_url, redis_url, FMS_BATCH_SIZE="20")


@pytest.fixture(scope="module")
def scaffold() -> Iterator[Scaffold]:
    with Scaffold() as opened:
        yield opened


def command(stage: str, case: Case) -> list[str | Path]:
    if stage == "ingest":
        return ["ingest", "--replay", case.feed, "--json"]
    return ["worker", stage, "--once", "--json"]


def test_undisturbed_workers_make_the_ledger_that_one_process_makes(case: Case, stack: Stack) -> None:
    counts = stack.fms(*command("ingest", case)).report
    assert counts["documents"] == counts["accepted"] + counts["rejected"] > 300
    stack.drained()
    assert stack.ledger() == case.expected
    assert stack.waiting() == {}
    assert len(case.expected[1]) > 100


@pytest.mark.parametrize("disturbed", POINTS_OF)
def test_a_worker_killed_at_every_step_leaves_the_ledger_of_an_undisturbed_one(
    case: Case, stack: Stack, scaffold: Scaffold, disturbed: str
) -> None:
    for stage in ("ingest", *STAGES):
        if stage == disturbed:
            for point in POINTS_OF[stage]:
                scaffold.kill(point, *command(stage, case), env=stack.env)
        stack.fms(*command(stage, case))
    assert stack.ledger() == case.expected
    assert stack.waiting() == {}


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("round_", range(20))
def test_workers_killed_at_random_steps_leave_the_ledger_of_undisturbed_ones(
    case: Case, stack: Stack, scaffold: Scaffold, round_: int
) -> None:
    random = Random(round_)
    for stage in ("ingest", *STAGES):
        points = list(POINTS_OF[stage])
        random.shuffle(points)
        for point in points:
            done = scaffold.run(point, *command(stage, case), env=stack.env)
            assert done.code in (0, -signal.SIGKILL), done.err
        stack.fms(*command(stage, case))
    assert stack.ledger() == case.expected
    assert stack.waiting() == {}
