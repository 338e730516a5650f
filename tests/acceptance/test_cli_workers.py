"""``fms worker`` and ``fms queues`` as who runs them sees them; price book and alerts are in the data directory."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from fms.errors import Invalid
from fms.queues.topology import FARES, REJECTS, dead_letters_of, queue_of
from fms_cli.running import parse_partitions
from tests.acceptance.commands import Done, ended, fms, ledger, refused, start, written
from tests.acceptance.feeds import alerts, feed
from tests.acceptance.harness import environment
from tests.acceptance.stacks import seen
from tests.acceptance.test_killed_services import consumers, letters, publish
from tests.services.processes import until

STAGES = ("price", "alert", "notify")


@pytest.fixture(autouse=True)
def _site(broker_url: str, tmp_path: Path) -> Iterator[None]:
    """Every command of a test works on a directory of its own and the test's broker."""
    with environment(FMS_BROKER_URL=broker_url, FMS_DATA=str(tmp_path / "data")):
        yield


@pytest.fixture
def fares(tmp_path: Path) -> Path:
    return written(tmp_path / "feed.jsonl", feed(10))


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Processes that end with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
            ended(process)


def waiting() -> dict[str, int]:
    rows = fms("queues", "status", "--seconds", "0.1", "--json").checked().lines
    return {row["queue"]: row["waiting"] for row in rows if row["waiting"]}


def test_the_stages_one_after_the_other_make_the_ledger_of_a_run(tmp_path: Path, fares: Path) -> None:
    wishes = written(tmp_path / "alerts.jsonl", alerts())
    with environment(FMS_BROKER_URL=""):
        fms("run", "--replay", fares, "--alerts", wishes, "--data", tmp_path / "embedded").checked()
        expected = ledger(tmp_path / "embedded")
    fms("alerts", "import", wishes).checked()
    sent = fms("ingest", "--replay", fares, "--json").checked().report
    assert sent["published"] == sum(waiting().values()) > 0
    assert sent["documents"] == sent["accepted"] + sent["rejected"]
    price, alert, notify = (fms("worker", stage, "--once", "--json").checked() for stage in STAGES)
    assert price.report["rows"] == sent["accepted"]
    assert price.report["published"] == alert.report["messages"]
    assert alert.report["fired"] == notify.report["rows"] == notify.report["notifications"]
    assert len(notify.lines) == 1
    assert waiting() == {}
    assert ledger(tmp_path / "data") == expected


def test_a_drained_stage_has_nothing_more_to_do(fares: Path) -> None:
    fms("ingest", "--replay", fares).checked()
    fms("worker", "price", "--once").checked()
    again = fms("worker", "price", "--once", "--json").checked().report
    assert (again["messages"], again["rows"]) == (0, 0)


def test_files_put_into_a_directory_are_taken_and_put_away(tmp_path: Path, fares: Path) -> None:
    arriving = tmp_path / "arriving"
    arriving.mkdir()
    fares.rename(arriving / "fares.jsonl")
    written(arriving / "bad.jsonl", ["no document", '{"origin": "JFK"}'])
    (arriving / "table.csv").write_text("a,b\n1,2\n")
    (arriving / "later.jsonl.partial").write_text("{}")
    done = fms("worker", "ingest", "--follow", arriving, "--once", "--json").checked()
    assert done.report["rejected_by_reason"]["not_json"] >= 1
    assert sorted(path.name for path in (arriving / "done").iterdir()) == ["bad.jsonl", "fares.jsonl"]
    assert [path.name for path in (arriving / "failed").iterdir()] == ["table.csv"]
    assert (arriving / "later.jsonl.partial").exists()
    assert "needs a mapping" in done.err
    [*rejected] = [json.loads(line) for _, body in letters(os.environ["FMS_BROKER_URL"], REJECTS)
                   for line in body.splitlines()]  # fmt: skip
    assert len(rejected) == done.report["rejected"]
    assert {"line": 1, "reason": "not_json", "raw": "no document"}.items() <= rejected[0].items()
    assert fms("worker", "price", "--once", "--json").checked().report["rows"] == done.report["accepted"]


def test_a_follower_takes_what_arrives_later_and_stops_when_it_is_asked(
    tmp_path: Path, fares: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    arriving = tmp_path / "arriving"
    arriving.mkdir()
    follower = start("worker", "ingest", "--follow", arriving, "--json")
    processes.append(follower)
    until((arriving / "failed").exists, "it looks into its directory", 60)
    fares.rename(arriving / ".coming")
    (arriving / ".coming").rename(arriving / "fares.jsonl")
    until((arriving / "done" / "fares.jsonl").exists, "the file is through", 60)
    follower.terminate()
    assert ended(follower).checked().report["accepted"] > 300


def test_lines_on_stdin_are_published_until_they_end(fares: Path) -> None:
    follower = start("worker", "ingest", "--follow", "-", "--json", stdin=subprocess.PIPE)
    done = ended(follower, fares.read_bytes()).checked()
    assert done.report["accepted"] > 300
    assert fms("worker", "price", "--once", "--json").checked().report["rows"] == done.report["accepted"]


def consuming(worker: str) -> bool:
    return consumers(os.environ["FMS_BROKER_URL"], queue_of(worker, 15)) == 1


def test_a_worker_asked_to_stop_ends_well_and_says_what_it_did(
    fares: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    fms("queues", "declare").checked()
    worker = start("worker", "price")
    processes.append(worker)
    fms("ingest", "--replay", fares).checked()
    seen(lambda: FARES not in str(waiting()) and consuming(FARES), "the fares are taken")
    worker.terminate()
    done = ended(worker).checked()
    assert "batch done" in done.err
    assert done.out.count("\n") == 1
    assert " first seen" in done.out


def test_a_worker_asked_twice_ends_at_once_and_loses_nothing(
    fares: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    fms("ingest", "--replay", fares).checked()
    worker = start("worker", "price", env={"FMS_PRICE_BOOK_URL": "redis://127.0.0.1:1/0"})
    processes.append(worker)
    assert worker.stderr is not None
    seen = b""
    while b"held" not in seen and b"tried again" not in seen:
        seen += worker.stderr.readline()
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGTERM)
    code = ended(worker).code
    assert code in (0, 130)
    assert fms("worker", "price", "--once", "--json").checked().report["rows"] > 300


def test_several_processes_share_the_partitions_and_their_counts_are_added_up(fares: Path) -> None:
    accepted = fms("ingest", "--replay", fares, "--json").checked().report["accepted"]
    done = ended(start("worker", "price", "--processes", "2", "--once", "--json")).checked()
    assert (done.report["rows"], len(done.lines)) == (accepted, 1)
    assert waiting().keys().isdisjoint({queue_of(FARES, number) for number in range(16)})


def test_no_process_is_started_without_a_partition() -> None:
    done = ended(start("worker", "price", "--partitions", "3,7", "--processes", "4", "--once", "--json")).checked()
    assert len(done.lines) == 1
    assert "process died" not in done.err
    assert done.err.count("started") == 2


def test_a_killed_process_is_replaced_and_all_end_with_their_supervisor(
    fares: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    fms("queues", "declare").checked()
    supervisor = start("worker", "price", "--processes", "2")
    processes.append(supervisor)
    seen(lambda: consuming(FARES), "the workers are there")
    [first, *_] = children(supervisor.pid)
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in children(supervisor.pid) and len(children(supervisor.pid)) == 2, "it is replaced", 60)
    fms("ingest", "--replay", fares).checked()
    seen(lambda: FARES not in str(waiting()), "the fares are taken")
    left = children(supervisor.pid)
    supervisor.kill()
    ended(supervisor)
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in left), "they end with it", 60)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_answers_whether_it_lives_is_ready_and_what_it_counted(
    fares: Path, processes: list["subprocess.Popen[bytes]"]
) -> None:
    fms("ingest", "--replay", fares).checked()
    worker = start("worker", "price", "--metrics-port", "0", "--log", "json")
    processes.append(worker)
    assert worker.stderr is not None
    port = 0
    while not port:
        line = json.loads(worker.stderr.readline())
        port = line.get("port", 0)
    seen(lambda: get(port, "readyz") == (200, "ready\n"), "it is ready")
    assert get(port, "livez") == (200, "alive\n")
    assert get(port, "elsewhere")[0] == 404
    seen(lambda: FARES not in str(waiting()), "the fares are taken")
    _, text = get(port, "metrics")
    assert 'fms_messages_total{outcome="done",stage="price"}' in text
    assert 'fms_stage_rows{kind="first_seen",stage="price"}' in text
    worker.terminate()
    done = ended(worker).checked()
    lines = [json.loads(line) for line in done.err.splitlines()]
    batches = [line for line in lines if line["event"] == "batch done"]
    assert {"queue", "batch", "run", "rows", "published", "seconds", "age", "worker"} <= batches[0].keys()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_queues_are_listed_with_the_age_of_what_waits(fares: Path) -> None:
    assert fms("queues", "declare").checked().out == "55 queues are there\n"
    assert fms("queues", "status", "--seconds", "0.1").checked().out == "every queue is empty (--all shows them)\n"
    fms("ingest", "--replay", fares).checked()
    text = fms("queues", "status", "--seconds", "0.1").checked().out
    assert text.splitlines()[0].split("  ")[0] == "queue"
    assert "fms.fare." in text
    fms("worker", "price", "--once").checked()
    rows = fms("queues", "status", "--seconds", "0.1", "--json").checked().lines
    assert {"queue", "waiting", "per_second", "consumers", "oldest_seconds"} == rows[0].keys()


def test_a_queue_is_emptied_only_when_that_is_meant(fares: Path) -> None:
    fms("ingest", "--replay", fares).checked()
    queue, count = next(iter(waiting().items()))
    asked = ended(start("queues", "purge", queue, stdin=subprocess.PIPE), b"n\n")
    assert asked.code == 130
    assert f"{count} messages of {queue}" in asked.err
    assert waiting()[queue] == count
    assert fms("queues", "purge", queue, "--yes", "--json").checked().report == {"queue": queue, "purged": count}
    assert queue not in waiting()


def test_dead_letters_are_shown_and_given_another_try() -> None:
    fms("queues", "declare").checked()
    publish(os.environ["FMS_BROKER_URL"], queue_of(FARES, 3), b"odd", {})
    done = fms("worker", "price", "--once", "--json").checked()
    assert done.report["dead"] == 1
    assert "message is a dead letter" in done.err
    assert waiting() == {dead_letters_of(FARES): 1}
    assert fms("queues", "retry").checked().out == "1 fare, 0 change, 0 outbox back in their queues\n"
    assert waiting() == {queue_of(FARES, 3): 1}


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("worker", "price", "--partitions", "16"), "--partitions: 0 to 15 wanted", 2),
        (("worker", "price", "--partitions", "a"), "--partitions: not a list", 2),
        (("worker", "ingest", "--follow", "nowhere", "--once"), "nowhere: No such file", 4),
        (("queues", "purge", "nothing", "--yes"), "no queue 'nothing'", 2),
        (("queues", "retry", "nothing"), "one of fare, change, outbox wanted", 2),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: tuple[str, ...], words: str, code: int) -> None:
    done = fms(*arguments)
    assert words in refused(Done(done.code, done.out, done.err.splitlines(keepends=True)[-1]), code)


@pytest.mark.parametrize("command", [("worker", "price", "--once"), ("queues", "status"), ("queues", "declare")])
def test_without_a_broker_the_line_says_what_to_set(command: tuple[str, ...]) -> None:
    with environment(FMS_BROKER_URL=""):
        assert "set FMS_BROKER_URL" in refused(fms(*command), 4)


def test_a_broker_that_is_away_is_busy_for_a_command_that_does_not_stay(fares: Path) -> None:
    with environment(FMS_BROKER_URL="amqp://guest:secret@127.0.0.1:1/"):
        for command in (("queues", "status"), ("ingest", "--replay", str(fares))):
            text = refused(fms(*command), 3)
            assert "127.0.0.1:1 is away" in text
            assert "secret" not in text


def test_partitions_are_listed_as_people_write_them() -> None:
    assert parse_partitions("3,0-2, 2,15") == [0, 1, 2, 3, 15]
    for text in ("", "-1", "2-1", "1,,2", "x", "0-16"):
        with pytest.raises(Invalid):
            parse_partitions(text)


def test_the_demo_has_nothing_to_do_with_configured_services(tmp_path: Path) -> None:
    away = "postgresql://127.0.0.1:1/x"
    with environment(
        FMS_CATALOG_URL=away, FMS_PRICE_BOOK_URL="redis://127.0.0.1:1", FMS_BROKER_URL="amqp://127.0.0.1:1"
    ):
        done = fms("demo", "--data", tmp_path / "demo").checked()
    assert "bergamo-weekend: STN-BGY 24.99 GBP" in done.out
    assert (tmp_path / "demo" / "prices.sqlite").exists()
