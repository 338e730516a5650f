"""What fires and is told while slots move to and fro is what fires and is told while they rest."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fms.model.route import SLOTS
from fms.rebalance.plan import Plan, PlannedMove
from tests.acceptance.commands import Ledger, ended, fms, ledger, start, written
from tests.acceptance.feeds import alerts, feed
from tests.acceptance.harness import environment
from tests.acceptance.stacks import STAGES, Prepared, Stack, fired, seen
from tests.rebalance.dying import Fate, Movers
from tests.rebalance.ground import Ground
from tests.reference import LOCAL
from tests.services.postgres import Postgres
from tests.services.shared import Shared

STEPS = 40
AT_ONCE = 256


class Case:
    """A feed and alerts, and what comes of them where no slot moves."""

    def __init__(self, folder: Path) -> None:
        self.feed = written(folder / "feed.jsonl", feed(STEPS))
        self.wishes = written(folder / "alerts.jsonl", alerts())
        data = folder / "at-rest"
        fms("run", "--replay", self.feed, "--alerts", self.wishes, "--data", data, "--batch-size", "20").checked()
        self.expected: Ledger = ledger(data)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("replay"))


def move_all(ground: Ground, movers: Movers, until: Callable[[], bool]) -> int:
    """Send slots from shard to shard until something has happened; answers how many moves were made."""
    made = 0
    while not until():
        with ground.shards() as shards:
            owners, names = shards.owners(), sorted(shards.urls())
            source = names[made % len(names)]
            here = [slot for slot in range(SLOTS) if owners[slot] == source]
            target = names[(made + 1) % len(names)]
            moves = [
                PlannedMove(source, target, tuple(here[first : first + AT_ONCE]), 0)
                for first in range(0, len(here), AT_ONCE)
            ]
            job = shards.journal.add(Plan(tuple(moves), (), (), ()), {})
            shards.journal.start(job.id, {})
        assert movers.run(ground.options, Fate()) == 0
        made += len(moves)
    return made


def test_a_run_during_a_rebalance_makes_the_ledger_of_a_quiet_one(case: Case, movers: Movers, tmp_path: Path) -> None:
    data = tmp_path / "moving"
    fms("alerts", "import", case.wishes, "--data", data).checked()
    fms("shard", "add", "third", "sqlite:///third.sqlite", "--data", data).checked()
    running = start("run", "--replay", case.feed, "--data", data, "--batch-size", "20")
    made = move_all(Ground({"data": str(data)}), movers, lambda: running.poll() is not None)
    ended(running).checked()
    assert made > 4
    assert ledger(data) == case.expected
    assert Ground({"data": str(data)}).faults() == []


@pytest.fixture(scope="module")
def prepared(case: Case, shared_servers: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    server = shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url)
    made = Prepared(server, tmp_path_factory.mktemp("prepared") / "site", {LOCAL: case.wishes})
    yield made
    made.drop()


def test_workers_during_a_rebalance_make_the_ledger_of_quiet_ones(
    case: Case, prepared: Prepared, broker_url: str, redis_url: str
) -> None:
    stack = prepared.copy(broker_url, redis_url, FMS_BATCH_SIZE="20")
    # The URLs of its shards are in the environment.
    with environment(**stack.env), Movers() as movers:
        ground = Ground({"data": stack.env["FMS_DATA"], "catalog_url": stack.env["FMS_CATALOG_URL"]})
        made = _replayed(stack, case, ground, movers)
        assert ground.faults() == []
    assert made > 0
    listed, rows = stack.ledger()
    assert fired(rows) == fired(case.expected[1])
    assert listed == case.expected[0]
    assert not [row for row in rows if row["status"] in ("pending", "sending")]


def _replayed(stack: Stack, case: Case, ground: Ground, movers: Movers) -> int:
    """Replay through workers while slots move; answers how many moves were made."""
    stack.fms("queues", "declare")
    stack.begin(*STAGES)
    try:
        replaying = stack.process("ingest", "--replay", case.feed, "--json")
        seen(lambda: bool(stack.notifications()), "something was told")
        made = move_all(ground, movers, lambda: replaying.poll() is not None and not stack.waiting())
        ended(replaying).checked()
        assert stack.stop() == dict.fromkeys(STAGES, 0)
    finally:
        kill(stack)
    stack.drained()
    assert stack.waiting() == {}
    return made


def kill(stack: Stack) -> None:
    for worker in stack.workers.values():
        worker.kill()
        ended(worker)
