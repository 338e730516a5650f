"""``fms serve`` as who runs it sees it: how it starts, ends, heals and counts, and what slow clients cannot do."""

import json
import os
import signal
import socket
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from fms.bootstrap import open_site
from tests.acceptance.api_client import PASSWORD, Client, Served
from tests.acceptance.commands import PATIENCE, ended, fms, fms_process, refused, start
from tests.acceptance.harness import environment
from tests.services.guard import family
from tests.services.processes import free_port, until

LONG = 1.0
"""Seconds that a balancer waits for the answer to its check."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the demo, whose user has a password."""
    folder = tmp_path_factory.mktemp("demo") / "site"
    fms("demo", "--data", folder).checked()
    with open_site(folder, fast_passwords=True) as site:
        site.accounts().add("local@localhost", PASSWORD)
    return folder


@pytest.fixture(scope="module")
def served(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo, served by two processes of two threads each."""
    settings = {"FMS_SERVE_PROCESSES": "2", "FMS_SERVE_THREADS": "2", "FMS_REQUEST_SECONDS": "2"}
    with serving(demo, tmp_path_factory.mktemp("log"), **settings) as found:
        yield found


@contextmanager
def serving(data: Path, folder: Path, **env: str) -> Iterator[Served]:
    with Served({"FMS_DATA": str(data)} | env, folder) as found:
        until(lambda: found.ask("GET", "/livez").status == 200, "it answers")
        yield found


@pytest.fixture
def own(demo: Path, tmp_path: Path) -> Iterator[Served]:
    """The demo, served by one process that a test may end."""
    with serving(demo, tmp_path, FMS_UNREADY_SECONDS="1") as found:
        yield found


def log_of(found: Served) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.log.read_text().splitlines()]


def connected(found: Served, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", found._port), timeout=10)
    connection.sendall(sent)
    return connection


def read(connection: socket.socket) -> str:
    """All that is sent until the other side ends it; and that is the end of it."""
    with connection:
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


def register(email: str) -> bytes:
    body = json.dumps({"email": email, "password": PASSWORD})
    head = f"POST /api/auth/register HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n{body}".encode()


def test_the_alerts_of_the_demo_are_shown(served: Served) -> None:
    shown = Client(served, "local@localhost").logged_in().alerts()
    assert {one["ref"] for one in shown} >= {"porto-under-25", "london-before-christmas"}


def test_the_key_is_made_so_that_only_its_owner_reads_it(tmp_path: Path) -> None:
    with serving(tmp_path / "site", tmp_path, FMS_SECRET_KEY="") as found:
        assert stat.S_IMODE((tmp_path / "site" / "secret.key").stat().st_mode) == 0o600
        Client(found).joined()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("x" * 40)
    (tmp_path / "secret.key").chmod(0o640)
    assert "others may read it (mode 640)" in refused(fms("serve", "--data", tmp_path), 4)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("RATE_LIMIT", "often", "setting rate_limit: not a rate such as 20/minute"),
        ("LOGIN_RATE_LIMIT", "5 per", "setting login_rate_limit: not a rate"),
        ("FAST_PASSWORDS", "1", "fms serve listens on the loopback only"),
        ("SERVE_PORT", "99999", "setting serve_port (FMS_SERVE_PORT)"),
        ("SECRET_KEY", "short", "setting secret_key (FMS_SECRET_KEY): 32 characters or more wanted"),
    ],
)
def test_a_setting_that_will_not_do_is_named(tmp_path: Path, setting: str, value: str, said: str) -> None:
    with environment(**{"FMS_SERVE_HOST": "0.0.0.0", f"FMS_{setting}": value}):  # noqa: S104  # nothing listens
        assert said in refused(fms("serve", "--data", tmp_path), 4)
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fms_process("serve", "--data", tmp_path, "--port", str(port))
    assert refused(done, 4) == f"cannot listen on 127.0.0.1, port {port}: Address already in use"
    assert not done.out


def test_databases_that_are_away_at_the_start_are_waited_for(tmp_path: Path) -> None:
    env = {"FMS_CATALOG_URL": f"postgresql://fms@127.0.0.1:{free_port()}/fms", "TMPDIR": str(tmp_path)}
    log = tmp_path / "log"
    left = tmp_path / "fms-metrics-of-one-that-was-killed"
    left.mkdir()
    os.utime(left, (0, 0))
    with log.open("wb") as out:
        process = start("serve", "--data", tmp_path / "site", "--port", "0", env=env, stderr=out.fileno())
    until(lambda: log.read_text().count("tried again") > 1, "it tries again")
    process.terminate()
    assert ended(process).code == 128 + signal.SIGTERM
    assert log.read_text().splitlines()[-1] == "fms: ended before it served anybody"
    assert not list(tmp_path.glob("fms-metrics-*"))


def test_it_goes_on_until_balancers_know_and_finishes_what_was_begun(own: Served) -> None:
    begun = connected(own, register("begun@example.org")[:-9])
    own.process.terminate()
    until(lambda: own.ask("GET", "/readyz").status == 503, "/readyz says so")
    assert own.ask("GET", "/readyz").text == "ending\n"
    reply = own.ask("GET", "/api/docs")
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    begun.sendall(register("begun@example.org")[-9:])
    assert read(begun).startswith("HTTP/1.1 201")
    assert ended(own.process).code == 0


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Nobody else writes to a shard meanwhile."""
    with ExitStack() as stack:
        for file in data.glob("local*.sqlite"):
            connection = sqlite3.connect(file, isolation_level=None)
            stack.callback(connection.close)
            connection.execute("BEGIN IMMEDIATE")
        yield


def at_work(own: Served, demo: Path, email: str) -> socket.socket:
    """A connection whose request waits for a shard that is held."""
    connection = connected(own, register(email))
    files = [os.path.realpath(file) for file in demo.glob("local*.sqlite-wal")]
    (worker,) = family(own.process.pid)

    def opened() -> bool:
        there = [os.path.realpath(one) for one in Path(f"/proc/{worker}/fd").iterdir() if one.exists()]
        return any(file in there for file in files)

    until(opened, "it has a shard open")
    return connection


def test_requests_at_work_are_finished(own: Served, demo: Path) -> None:
    with held(demo):
        waiting = at_work(own, demo, "at-work@example.org")
        own.process.send_signal(signal.SIGHUP)
        until(lambda: not listens(own), "nobody is let in any more")
        assert own.process.poll() is None
    assert read(waiting).startswith("HTTP/1.1 201")
    assert ended(own.process).code == 0


def listens(found: Served) -> bool:
    try:
        connected(found).close()
    except OSError:
        return False
    return True


def test_asked_twice_it_ends_at_once(own: Served, demo: Path) -> None:
    with held(demo):
        waiting = at_work(own, demo, "twice@example.org")
        own.process.terminate()
        until(lambda: own.ask("GET", "/readyz").status == 503, "/readyz says so")
        own.process.terminate()
        assert ended(own.process).code == 130
    assert not read(waiting)


def test_the_terminal_ends_it_in_order_and_without_waiting_for_balancers(own: Served) -> None:
    begun = connected(own, register("terminal@example.org")[:-9])
    until(lambda: own.ask("GET", "/livez").status == 200, "it has read that")
    # A terminal sends it to all of them.
    for pid in [*family(own.process.pid), own.process.pid]:
        os.kill(pid, signal.SIGINT)
    until(lambda: not listens(own), "nobody is let in any more", 0.9)
    begun.sendall(register("terminal@example.org")[-9:])
    assert read(begun).startswith("HTTP/1.1 201")
    assert ended(own.process).code == 0


def counted(found: Served, route: str) -> int:
    """How often a route was asked, as the metrics have it."""
    lines = found.ask("GET", "/metrics").text.splitlines()
    mine = [line for line in lines if line.startswith("fms_api_requests_total") and f'route="{route}"' in line]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in mine)


def test_a_process_that_dies_is_replaced_and_what_it_counted_stays(served: Served) -> None:
    before = counted(served, "/api/docs/start.js")
    workers = set(family(served.process.pid))
    assert len(workers) == 2

    def who_answered() -> Counter[int]:
        lines = [line for line in log_of(served) if line.get("route") == "/api/docs/start.js"]
        return Counter(line["process"] for line in lines)

    asked = 0
    while len(who_answered()) < 2 or asked < 20:
        asked += 1
        assert served.ask("GET", "/api/docs/start.js").status == 200
    assert counted(served, "/api/docs/start.js") == before + asked
    for victim, how in zip(workers, (signal.SIGKILL, signal.SIGTERM), strict=True):
        os.kill(victim, how)
    until(lambda: len(set(family(served.process.pid)) - workers) == 2, "they are replaced")
    assert counted(served, "/api/docs/start.js") == before + asked
    assert [line["level"] for line in log_of(served) if "was sent SIGKILL" in line["event"]] == ["error"]


def test_a_method_that_somebody_invents_is_counted_as_another(served: Served) -> None:
    assert served.ask("BREW", "/livez").status == 405
    assert 'method="other"' in served.ask("GET", "/metrics").text
    assert "BREW" not in served.ask("GET", "/metrics").text


def seconds_to(found: Served, path: str) -> float:
    began = monotonic()
    assert found.ask("GET", path).status == 200
    return monotonic() - began


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /livez HTTP/1.1\r\nHost: h", register("slow@example.org")[:-5]],
    ids=["nothing", "header", "body"],
)
def test_who_sends_slowly_keeps_nobody_waiting_and_is_sent_away(served: Served, begun: bytes) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(served, begun)) for _ in range(50)]
        for path in ("/livez", "/readyz", "/api/docs"):
            assert max(seconds_to(served, path) for _ in range(4)) < LONG
        answers = [read(one) for one in slow]
    assert {answer.split("\r\n")[0] for answer in answers} == {"HTTP/1.1 408 Request Timeout" if begun else ""}


def test_a_byte_now_and_then_is_no_reason_to_wait(served: Served) -> None:
    with connected(served) as slow:
        began, sent = monotonic(), b""
        slow.settimeout(0.2)
        while monotonic() - began < PATIENCE:
            try:
                slow.sendall(b"GET /livez HTTP/1.1\r\nX-Slow: "[len(sent) : len(sent) + 1] or b"x")
                sent += b"x"
                assert slow.recv(100).startswith(b"HTTP/1.1 408")
                break
            except TimeoutError:
                continue
        assert monotonic() - began < 2 + 3


def test_who_does_not_read_keeps_no_check_waiting(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", served._port))
            client.sendall(b"GET /api/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: here\r\n\r\n")
        for path in ("/livez", "/readyz"):
            assert max(seconds_to(served, path) for _ in range(4)) < LONG


def test_more_connections_than_there_may_be_push_the_oldest_out(own: Served) -> None:
    with ExitStack() as stack:
        # Others have less time than one that was answered: the oldest is whoever has waited longest all the same.
        answered = stack.enter_context(connected(own, b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"))
        assert answered.recv(4)
        connections = [stack.enter_context(connected(own)) for _ in range(600)]
        assert max(seconds_to(own, "/readyz") for _ in range(4)) < LONG
        for oldest in (answered, connections[0]):
            oldest.settimeout(LONG)
            read(oldest)


def test_requests_on_one_connection_are_answered_one_after_the_other(served: Served) -> None:
    one = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = head + b"2;x=y\r\n{}\r\n0\r\nT: x\r\n\r\n"
    last = b"GET /readyz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    with connected(served, one + chunked + last) as connection:
        found = read(connection)
    assert [part[:3] for part in found.split("HTTP/1.1 ")[1:]] == ["200", "415", "200"]


def test_a_client_that_asks_whether_to_go_on_is_told(served: Served) -> None:
    request = register("asks-first@example.org").replace(b"Host", b"Expect: 100-continue\r\nConnection: close\r\nHost")
    head, _, body = request.partition(b"\r\n\r\n")
    with connected(served, head + b"\r\n\r\n") as connection:
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read(connection).startswith("HTTP/1.1 201 CREATED")


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 99999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n" + b" " * 1_100_000],
    ids=["length", "chunks"],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_there(served: Served, rest: bytes) -> None:
    begun = b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    found = read(connected(served, begun + rest))
    assert found.startswith("HTTP/1.1 413"), found
    assert "Connection: close" in found


def test_a_head_without_an_end_is_refused(served: Served) -> None:
    with connected(served, b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 66_000) as connection:
        assert read(connection).startswith("HTTP/1.1 431")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nAuthorization Bearer canary\r\n\r\n", 400),
        (b"canary\r\n\r\n", 400),
        (b"GET /?canary HTTP/7\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: h\r\nContent-Length: canary\r\n\r\n", 400),
        (b"POST /livez HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n", 400),
        (b"GET /?" + b"canary" * 2000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET /livez HTTP/1.1\r\nHost: h\r\n" + b"Canary: canary\r\n" * 200 + b"\r\n", 431),
    ],
    ids=["header", "line", "version", "length", "chunk", "long line", "many headers"],
)
def test_what_cannot_be_read_is_refused_and_quoted_nowhere(served: Served, request_: bytes, status: int) -> None:
    found = read(connected(served, request_))
    assert found.startswith(f"HTTP/1.1 {status} ")
    assert "canary" not in (found + served.log.read_text()).lower()


def test_every_line_of_the_log_is_json_and_a_request_has_one(served: Served) -> None:
    before = len(log_of(served))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: served.ask("GET", f"/api/nothing/{number}?secret=1", None), range(20)))
    until(lambda: len(log_of(served)) >= before + 20, "they are logged")
    mine = log_of(served)[before:]
    assert len(mine) == 20
    assert len({line["request_id"] for line in mine}) == 20
    assert {(line["event"], line["route"], line["status"]) for line in mine} == {("request", "none", 404)}
    assert set(mine[0]) >= {"timestamp", "level", "process", "method", "ms", "bytes", "address", "user"}
    assert "secret" not in served.log.read_text()
