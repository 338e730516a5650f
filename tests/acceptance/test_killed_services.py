"""RabbitMQ, Redis or PostgreSQL killed in the middle of a replay, and workers that are paused or meddled with."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pika
import pytest

from fms.queues.topology import CHANGES, FARES, dead_letters_of, queue_of
from tests.acceptance.commands import Ledger, ended, fms, ledger, written
from tests.acceptance.feeds import ROUTES, alerts, feed
from tests.acceptance.stacks import STAGES, Prepared, Stack, fired, seen
from tests.reference import LOCAL
from tests.services.postgres import Postgres
from tests.services.processes import Broken, until
from tests.services.rabbitmq import Node, RabbitMQ
from tests.services.redis import Redis
from tests.services.shared import Shared

STEPS = 30
PATIENCE = 90


class Case:
    """A feed and alerts, and what one process without services makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines = list(feed(STEPS))
        self.feed = written(folder / "feed.jsonl", self.lines)
        self.wishes = written(folder / "alerts.jsonl", alerts())
        data = folder / "embedded"
        fms("run", "--replay", self.feed, "--alerts", self.wishes, "--data", data, "--batch-size", "20").checked()
        self.expected: Ledger = ledger(data)

    def prepared(self, server: str, folder: Path) -> Prepared:
        return Prepared(server, folder / "site", {LOCAL: self.wishes})


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("services"))


@pytest.fixture(scope="module")
def prepared(case: Case, shared_servers: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    server = shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url)
    made = case.prepared(server, tmp_path_factory.mktemp("prepared"))
    yield made
    made.drop()


@pytest.fixture
def started() -> Iterator[list[Stack]]:
    """Stacks whose workers end with the test."""
    stacks: list[Stack] = []
    yield stacks
    for stack in stacks:
        for worker in stack.workers.values():
            worker.kill()
            ended(worker)


def working(stack: Stack, case: Case, started: list[Stack]) -> "subprocess.Popen[bytes]":
    """Ingest that is at work, and all workers behind it; some batches have gone all the way."""
    started.append(stack)
    stack.fms("queues", "declare")
    stack.begin(*STAGES)
    replaying = stack.process("ingest", "--replay", case.feed, "--json")
    seen(lambda: bool(stack.notifications()), "something was told")
    return replaying


def finished(stack: Stack, replaying: "subprocess.Popen[bytes]") -> None:
    """Everything is through, nobody had to be started again, and every worker ends well."""
    assert ended(replaying).checked().report["accepted"] > 500
    seen(lambda: not stack.waiting(), "the queues are empty")
    assert all(worker.poll() is None for worker in stack.workers.values())
    assert stack.stop() == dict.fromkeys(STAGES, 0)
    stack.drained()
    assert stack.waiting() == {}


def assert_undisturbed(stack: Stack, case: Case) -> None:
    """What fired is what fires undisturbed; each row was told at most once."""
    listed, rows = stack.ledger()
    assert fired(rows) == fired(case.expected[1])
    assert listed == case.expected[0]
    assert not [row for row in rows if row["status"] in ("pending", "sending")]


def test_a_broker_killed_in_the_middle_of_a_replay_loses_nothing(
    case: Case, prepared: Prepared, own_broker: RabbitMQ, redis_url: str, started: list[Stack]
) -> None:
    stack = prepared.copy(own_broker.url, redis_url, FMS_BATCH_SIZE="20")
    replaying = working(stack, case, started)
    own_broker.kill()
    own_broker.restart()
    finished(stack, replaying)
    assert_undisturbed(stack, case)


def test_a_price_book_killed_in_the_middle_of_a_replay_hides_nothing(
    case: Case, prepared: Prepared, broker_url: str, own_redis: Redis, started: list[Stack]
) -> None:
    stack = prepared.copy(broker_url, own_redis.url, FMS_BATCH_SIZE="20")
    replaying = working(stack, case, started)
    own_redis.kill()
    own_redis.restart()
    finished(stack, replaying)
    assert_nothing_missing(stack, case)


def test_a_price_book_that_was_emptied_hides_nothing(
    case: Case, prepared: Prepared, broker_url: str, own_redis: Redis, started: list[Stack]
) -> None:
    stack = prepared.copy(broker_url, own_redis.url, FMS_BATCH_SIZE="20")
    replaying = working(stack, case, started)
    own_redis.flush()
    finished(stack, replaying)
    assert_nothing_missing(stack, case)


def test_a_price_book_that_went_back_in_time_hides_nothing(
    case: Case, prepared: Prepared, broker_url: str, own_redis: Redis, started: list[Stack]
) -> None:
    stack = prepared.copy(broker_url, own_redis.url, FMS_BATCH_SIZE="20")
    replaying = working(stack, case, started)
    older = own_redis.save()
    enough = min(len(stack.notifications()) + 5, len(case.expected[1]))
    seen(lambda: len(stack.notifications()) >= enough, "more was told")
    own_redis.restore(older)
    finished(stack, replaying)
    assert_nothing_missing(stack, case)


def test_shards_killed_in_the_middle_of_a_replay_lose_nothing(
    case: Case, own_postgres: Postgres, broker_url: str, redis_url: str, started: list[Stack], tmp_path: Path
) -> None:
    stack = case.prepared(own_postgres.url, tmp_path).copy(broker_url, redis_url, FMS_BATCH_SIZE="20")
    replaying = working(stack, case, started)
    own_postgres.kill()
    own_postgres.restart()
    finished(stack, replaying)
    assert_undisturbed(stack, case)


@dataclass(frozen=True)
class Services:
    """One of each, the test's own."""

    broker: RabbitMQ
    book: Redis
    databases: Postgres


def _restart(server: RabbitMQ | Redis | Postgres) -> None:
    server.kill()
    server.restart()


def _freeze(server: RabbitMQ | Redis | Postgres) -> None:
    server.pause()
    try:
        until(lambda: False, "it thaws", 5)
    except Broken:
        server.resume()


def _go_back(book: Redis) -> None:
    older = book.save()
    book.flush()
    book.restore(older)


FAULTS: dict[str, Callable[[Services], None]] = {
    "the broker is killed": lambda services: _restart(services.broker),
    "the broker is frozen": lambda services: _freeze(services.broker),
    "the price book is killed": lambda services: _restart(services.book),
    "the price book is frozen": lambda services: _freeze(services.book),
    "the price book is emptied": lambda services: services.book.flush(),
    "the price book goes back in time": lambda services: _go_back(services.book),
    "the databases are killed": lambda services: _restart(services.databases),
    "the databases are frozen": lambda services: _freeze(services.databases),
}


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("round_", range(20))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_that_fails_at_any_time_loses_nothing(
    case: Case,
    own_broker: RabbitMQ,
    own_redis: Redis,
    own_postgres: Postgres,
    started: list[Stack],
    tmp_path: Path,
    fault: str,
    round_: int,
) -> None:
    random = Random(f"{fault} {round_}")
    services = Services(own_broker, own_redis, own_postgres)
    stack = case.prepared(own_postgres.url, tmp_path).copy(own_broker.url, own_redis.url, FMS_BATCH_SIZE="20")
    replaying = working(stack, case, started)
    told = min(len(stack.notifications()) + random.randrange(1, 60), len(case.expected[1]))
    seen(lambda: len(stack.notifications()) >= told, "more was told")
    FAULTS[fault](services)
    finished(stack, replaying)
    assert_nothing_missing(stack, case)
    if "price book" not in fault:
        assert_undisturbed(stack, case)


def assert_nothing_missing(stack: Stack, case: Case) -> None:
    """Every alert was told of all that it is told of undisturbed, at worst by a firing that made it superfluous.

    What fires in addition lowers the trigger, so that a later fall may not reach it: then a fare at most a twentieth
    dearer was told before. Nothing fired above the alert's threshold.
    """
    listed, rows = stack.ledger()
    told = fired(rows)
    for row in fired(case.expected[1]):
        covering = [
            one
            for one in told
            if one["ref"] == row["ref"]
            and one["observed_at"] <= row["observed_at"]
            and one["price_minor"] * 19 <= row["price_minor"] * 20
        ]
        assert row in told or covering, row
    assert all(one["price_minor"] <= one["trigger_minor"] for one in told)
    targets = {one["ref"]: one["target_minor"] for one in listed if one["kind"] == "target"}
    assert all(one["price_minor"] <= targets[one["ref"]] for one in told if one["kind"] == "target")


@pytest.mark.parametrize("stage", STAGES)
def test_a_paused_worker_that_wakes_up_after_another_took_its_work_changes_nothing(
    case: Case,
    prepared: Prepared,
    broker_node: Node,
    broker_url: str,
    redis_url: str,
    started: list[Stack],
    stage: str,
) -> None:
    stack = prepared.copy(broker_url, redis_url, FMS_BATCH_SIZE="20")
    started.append(stack)
    stack.fms("ingest", "--replay", case.feed)
    for one in STAGES[: STAGES.index(stage)]:
        stack.once(one)
    paused = stack.begin_and_stop(stage)
    # The broker would notice in two minutes that nobody answers; so it is told.
    broker_node.close_connections(broker_url)
    assert stack.once(stage)["messages"] > 0
    paused.send_signal(signal.SIGCONT)
    stack.drained(STAGES[STAGES.index(stage) :])
    assert paused.poll() is None
    assert stack.stop() == {stage: 0}
    stack.drained(STAGES[STAGES.index(stage) :])
    assert_undisturbed(stack, case)
    assert stack.waiting() == {}


def test_two_workers_of_each_kind_without_a_single_active_consumer_do_no_harm(
    case: Case, prepared: Prepared, broker_url: str, redis_url: str, started: list[Stack]
) -> None:
    stack = prepared.copy(broker_url, redis_url, FMS_BATCH_SIZE="20", FMS_SINGLE_ACTIVE_CONSUMER="false")
    other = Stack(stack.folder, stack.env)
    started += [stack, other]
    stack.fms("queues", "declare")
    stack.begin(*STAGES)
    other.begin(*STAGES)
    stack.fms("ingest", "--replay", case.feed)
    seen(lambda: not stack.waiting(), "the queues are empty")
    for one in (stack, other):
        assert one.stop() == dict.fromkeys(STAGES, 0)
    stack.drained()
    assert_undisturbed(stack, case)


def test_a_worker_that_starts_before_its_databases_waits_for_them(
    case: Case, own_postgres: Postgres, broker_url: str, redis_url: str, started: list[Stack], tmp_path: Path
) -> None:
    stack = case.prepared(own_postgres.url, tmp_path).copy(broker_url, redis_url, FMS_BATCH_SIZE="20")
    started.append(stack)
    own_postgres.kill()
    stack.begin("price")
    logs = stack.folder.glob("log-*")
    [log] = logs
    until(lambda: "tried again" in log.read_text(), "it waits", PATIENCE)
    own_postgres.restart()
    stack.fms("ingest", "--replay", case.feed)
    seen(lambda: not any("fare" in name for name in stack.waiting()), "the fares are taken")
    assert stack.stop() == {"price": 0}


def test_an_empty_queue_deleted_under_its_workers_is_made_again(
    case: Case, prepared: Prepared, broker_url: str, redis_url: str, started: list[Stack]
) -> None:
    stack = prepared.copy(broker_url, redis_url, FMS_BATCH_SIZE="20")
    started.append(stack)
    stack.fms("queues", "declare")
    stack.begin(*STAGES)
    seen(lambda: consumers(broker_url, queue_of(FARES, partition())) == 1, "the price worker is there")
    seen(lambda: consumers(broker_url, queue_of(CHANGES, partition())) == 1, "the alert worker is there")
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        for kind in (FARES, CHANGES):
            connection.channel().queue_delete(queue_of(kind, partition()))
    finished(stack, stack.process("ingest", "--replay", case.feed, "--json"))
    assert_undisturbed(stack, case)


def test_messages_that_cannot_be_read_become_dead_letters_and_the_others_go_on(
    case: Case, prepared: Prepared, broker_url: str, redis_url: str
) -> None:
    stack = prepared.copy(broker_url, redis_url, FMS_BATCH_SIZE="20")
    stack.fms("queues", "declare")
    bad: list[tuple[bytes, Mapping[str, object], str]] = [
        (b"not Arrow", {"fms.kind": FARES, "fms.version": 1}, "no file of fare batches"),
        (b"", {}, "expected a message of fare batches"),
        (b"", {"fms.kind": FARES, "fms.version": 2}, "schema version 2, this fms knows 1"),
        (b"", {"fms.kind": CHANGES, "fms.version": 1}, "expected a message of fare batches, found 'change'"),
    ]
    for body, headers, _ in bad:
        publish(broker_url, queue_of(FARES, partition()), body, headers)
    stack.fms("ingest", "--replay", case.feed)
    assert stack.once("price")["dead"] == len(bad)
    stack.drained(STAGES[1:])
    assert_undisturbed(stack, case)
    reasons = [str(headers["fms.reason"]) for headers, _ in letters(broker_url, dead_letters_of(FARES))]
    for (_, _, words), reason in zip(bad, reasons, strict=True):
        assert words in reason


def test_a_worker_that_would_bury_a_whole_queue_stops_and_says_what_to_do(
    prepared: Prepared, broker_url: str, redis_url: str
) -> None:
    stack = prepared.copy(broker_url, redis_url, FMS_DEAD_LETTER_LIMIT="3")
    stack.fms("queues", "declare")
    for number in range(5):
        publish(broker_url, queue_of(FARES, partition()), b"%d" % number, {})
    done = ended(stack.process("worker", "price", "--once"))
    assert done.code == 4
    assert stack.waiting() == {dead_letters_of(FARES): 3, queue_of(FARES, partition()): 2}
    assert json.loads(stack.fms("queues", "retry", "fare", "--json").out) == {"fare": 3}
    assert stack.waiting() == {queue_of(FARES, partition()): 5}


def partition() -> int:
    """A partition that the feed has fares of."""
    from fms.model.route import partition_of_od

    return partition_of_od("-".join(ROUTES[0]))


def publish(url: str, queue: str, body: bytes, headers: Mapping[str, object]) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", queue, body, pika.BasicProperties(headers=dict(headers), delivery_mode=2))


def letters(url: str, queue: str) -> list[tuple[dict[str, object], bytes]]:
    """What waits in a queue without a single active consumer."""
    found = []
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found.append((got[1].headers, got[2]))
    return found


def consumers(url: str, queue: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        found = connection.channel().queue_declare(queue, passive=True).method.consumer_count
        return int(found)
