"""The transport of pushes and servers that misbehave: what it answers, and that it sends nothing twice by itself."""

import ast
import datetime
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fms.channels.guard import Guard
from fms.channels.http2 import LARGEST_HEAD, Transport
from fms.channels.posts import LARGEST_BODY, Answer, Limits, Request
from fms.testing import Fault, Providers, Received, Reply
from fms.testing.certificate import certificate

SOURCES = Path(__file__).resolve().parents[2] / "src"
QUICK = Limits(connect_seconds=0.3, total_seconds=0.5)


@pytest.fixture(scope="module")
def _server() -> Iterator[Providers]:
    with Providers(names=["push.test"]) as providers:
        yield providers


@pytest.fixture
def providers(_server: Providers) -> Providers:
    """A server without connections and records."""
    _server.drop()
    _server.allow(100)
    _server.forget()
    return _server


@pytest.fixture
def transport(providers: Providers) -> Iterator[Transport]:
    with Transport(ca_file=providers.ca_file) as made:
        yield made


def posted(transport: Transport, *requests: Request) -> list[Answer]:
    return list(transport.post_many(requests))


def warmed(transport: Transport, providers: Providers) -> None:
    """Let it find out that the server takes many requests at once."""
    answers = posted(transport, *[Request(providers.url("/first"), {}, b"x")] * 100)
    assert {answer.status for answer in answers} == {200}
    providers.forget()


def one(transport: Transport, url: str, body: bytes = b"x", address: str | None = None) -> Answer:
    (answer,) = posted(transport, Request(url, {}, body, "key", address))
    return answer


# What is sent, and what is answered.


def test_a_request_arrives_as_it_was_given_and_its_answer_comes_back(
    providers: Providers, transport: Transport
) -> None:
    providers.answer("/p?q=1", Reply(410, {"Retry-After": "7"}, b'{"reason": "Unregistered"}'))
    request = Request(providers.url("/p?q=1"), {"apns-topic": "a.b", "Content-Type": "application/json"}, b"\0\xff", 7)
    (answer,) = posted(transport, request)
    assert (answer.key, answer.status, answer.body, answer.error) == (7, 410, b'{"reason": "Unregistered"}', None)
    assert answer.headers == {"retry-after": "7"}
    assert not answer.ambiguous
    assert 0 < answer.seconds < 10
    (received,) = providers.received
    assert (received.path, received.body) == ("/p?q=1", b"\0\xff")
    sent = {name: value for name, value in received.headers.items() if not name.startswith(":")}
    assert sent.pop("user-agent") == "fms"
    assert sent == {"accept": "*/*", "apns-topic": "a.b", "content-type": "application/json", "content-length": "2"}


@pytest.mark.parametrize("size", [0, 1, 4_096, 200_000])
def test_a_body_of_any_size_arrives_whole(providers: Providers, transport: Transport, size: int) -> None:
    assert one(transport, providers.url("/p"), b"x" * size).status == 200
    assert [len(received.body) for received in providers.received] == [size]


def test_many_requests_share_one_connection(providers: Providers) -> None:
    before = providers.connections
    with Transport(Limits(connections=1), providers.ca_file) as transport:
        answers = posted(transport, *(Request(providers.url(f"/{n}"), {}, b"x", n) for n in range(500)))
    assert sorted(answer.key for answer in answers if isinstance(answer.key, int)) == list(range(500))
    assert {answer.status for answer in answers} == {200}
    received = providers.received
    assert {one.connection for one in received} == {before + 1}
    assert len({one.stream for one in received}) == 500


def test_requests_that_come_together_wait_for_one_new_connection(providers: Providers, transport: Transport) -> None:
    warmed(transport, providers)
    providers.answer("/last", Reply(fault=Fault.GOAWAY_AFTER))
    one(transport, providers.url("/last"))
    before = providers.connections
    assert {answer.status for answer in posted(transport, *[Request(providers.url("/p"), {}, b"x")] * 50)} == {200}
    assert providers.connections == before + 1


def test_many_are_under_way_at_once_on_it(providers: Providers) -> None:
    gate = Gate(50)
    with Transport(Limits(connections=1), providers.ca_file) as transport:
        warmed(transport, providers)
        providers.otherwise(gate)
        posted(transport, *[Request(providers.url("/p"), {}, b"x")] * 50)
    assert gate.most == 50


class Gate:
    """Answers late, so that as many as come before are under way together; counts them."""

    def __init__(self, all_of_them: int) -> None:
        self.most = 0
        self._all = all_of_them

    def __call__(self, received: Received) -> Reply:
        self.most += 1
        # Those before the last would be answered by now if they had not been under way at once.
        return Reply(delay=0.0 if self.most == self._all else 0.2)


def test_a_server_that_takes_few_streams_gets_few(providers: Providers) -> None:
    providers.allow(3)
    providers.otherwise(Reply(delay=0.002))
    with Transport(Limits(connections=2), providers.ca_file) as transport:
        answers = posted(transport, *(Request(providers.url("/p"), {}, b"x", n) for n in range(300)))
    refused = [answer for answer in answers if answer.status == 0]
    # A new connection is used before the server has said how many it takes.
    assert len(refused) < 10
    assert not any(answer.ambiguous for answer in answers)
    assert providers.sends() == 300 - len(refused)


def test_a_host_is_tried_with_one_request_and_trusted_with_more_as_it_answers(
    providers: Providers, transport: Transport
) -> None:
    providers.otherwise(Reply(delay=0.02))
    for n in range(40):
        transport.submit(Request(providers.url("/p"), {}, b"x", n))
    transport.poll(5)
    first = providers.sends()
    while transport.unanswered > 20:
        transport.poll(5)
    assert first == 1
    assert providers.sends() > 25


def test_a_host_that_fails_is_trusted_with_fewer(providers: Providers) -> None:
    with Transport(QUICK, providers.ca_file) as transport:
        warmed(transport, providers)
        providers.otherwise(Reply(fault=Fault.STALL))
        posted(transport, *[Request(providers.url("/p"), {}, b"x")] * 20)
        providers.forget()
        providers.otherwise(Reply(fault=Fault.STALL))
        for n in range(20):
            transport.submit(Request(providers.url("/p"), {}, b"x", n))
        transport.poll(5)
        assert providers.sends() == 1


def test_limits_of_connections_hold(providers: Providers) -> None:
    before = providers.connections
    providers.otherwise(Reply(delay=0.02))
    with Transport(Limits(connections=2, streams=5), providers.ca_file) as transport:
        answers = posted(transport, *[Request(providers.url("/p"), {}, b"x")] * 100)
    assert Counter(answer.status for answer in answers) == {200: 100}
    assert providers.connections - before == 2


def test_requests_are_asked_for_only_as_there_is_room(providers: Providers, transport: Transport) -> None:
    asked = 0

    def requests() -> Iterator[Request]:
        nonlocal asked
        for n in range(100):
            asked += 1
            yield Request(providers.url("/p"), {}, b"x", n)

    answers = transport.post_many(requests(), at_once=10)
    next(answers)
    assert asked == 10
    assert len(list(answers)) == 99


def test_a_host_that_stalls_does_not_hold_up_another(providers: Providers) -> None:
    providers.answer("/stall", Reply(fault=Fault.STALL))
    with Transport(Limits(connections=1, streams=2), providers.ca_file) as transport:
        for n in range(20):
            transport.submit(Request(providers.url("/stall"), {}, b"x", n))
        transport.submit(Request(providers.url("/p", host="127.0.0.1"), {}, b"x", "other"))
        assert [answer.key for answer in transport.poll(5)] == ["other"]


# What goes wrong.

FAULTS = {
    # fault: (the error, status, whether it may have been processed)
    Fault.REFUSE: ("refused by the server", 0, False),
    Fault.GOAWAY_BEFORE: ("refused by the server", 0, False),
    Fault.RESET: ("reset by server", 0, True),
    Fault.CLOSE: ("", 0, True),
    Fault.ABORT: ("", 0, True),
    Fault.CUT: ("", 200, True),
    Fault.HANG: ("timed out", 200, True),
    Fault.STALL: ("timed out", 0, True),
    Fault.GOAWAY_AFTER: (None, 200, False),
}


@pytest.mark.parametrize("reused", [False, True], ids=["on a new connection", "on a connection in use"])
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_each_fault_has_its_answer_and_one_send(providers: Providers, fault: Fault, reused: bool) -> None:
    error, status, ambiguous = FAULTS[fault]
    providers.answer("/p", Reply(body=b"answer", fault=fault))
    with Transport(QUICK, providers.ca_file) as transport:
        if reused:
            assert one(transport, providers.url("/first")).status == 200
        answer = one(transport, providers.url("/p"))
    assert (answer.status, answer.ambiguous) == (status, ambiguous)
    assert (answer.error is None) == (error is None)
    assert (error or "") in (answer.error or "")
    assert providers.sends("/p") == 1


@pytest.mark.parametrize("body", [b"", b"x"], ids=["without a body", "with a body"])
@pytest.mark.parametrize(
    "fault", [Fault.REFUSE, Fault.GOAWAY_BEFORE, Fault.CLOSE, Fault.ABORT], ids=lambda one: one.name
)
def test_whatever_becomes_of_a_connection_in_use_each_request_on_it_is_sent_once(
    providers: Providers, fault: Fault, body: bytes
) -> None:
    stalled = [Reply(fault=Fault.STALL)] * 29
    with Transport(QUICK, providers.ca_file) as transport:
        warmed(transport, providers)
        providers.answer("/p", *stalled, Reply(fault=fault))
        answers = posted(transport, *(Request(providers.url("/p"), {}, body, n) for n in range(30)))
    assert providers.sends("/p") == 30
    assert len(answers) == 30
    sure = {answer.key for answer in answers if not answer.ambiguous}
    if fault in (Fault.CLOSE, Fault.ABORT):
        assert sure == set()
    elif fault is Fault.GOAWAY_BEFORE:
        # It says so of all that came after the last that was answered.
        assert sure == set(range(30))
    else:
        assert len(sure) == 1


@pytest.mark.parametrize("how", ["nobody listens", "nobody answers", "no TLS", "no name"])
def test_without_a_connection_nothing_can_have_been_processed(providers: Providers, how: str) -> None:
    def talks(listening: socket.socket) -> None:
        client, _ = listening.accept()
        client.sendall(b"220 mail.example.org ESMTP\r\n" * 10)
        client.close()

    limits = Limits(connect_seconds=0.3, total_seconds=30)
    with socket.socket() as listening, Transport(limits, providers.ca_file) as transport:
        listening.bind(("127.0.0.1", 0))
        if how != "nobody listens":
            listening.listen()
        thread = threading.Thread(target=talks, args=(listening,))
        if how == "no TLS":
            thread.start()
        host = "nowhere.invalid" if how == "no name" else "127.0.0.1"
        answer = one(transport, f"https://{host}:{listening.getsockname()[1]}/")
        if how == "no TLS":
            thread.join()
    assert answer.error
    assert (answer.status, answer.ambiguous) == (0, False)
    assert answer.seconds < 10


def test_the_system_ends_a_connection_whose_other_end_is_gone(providers: Providers) -> None:
    with Transport(QUICK, providers.ca_file) as transport:
        one(transport, providers.url("/p"))
        assert _patience_of_sockets(providers.port) == [500]


def _patience_of_sockets(port: int) -> list[int]:
    """For how many ms this process's sockets to a port wait for a sign of life."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        # The folder that is read is among them, and closed by now.
        with suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as own:
            if own.family in (socket.AF_INET, socket.AF_INET6) and own.getpeername()[1] == port:
                found.append(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found


def test_the_time_limit_ends_a_request_though_poll_would_wait_longer(providers: Providers) -> None:
    providers.answer("/p", Reply(fault=Fault.STALL))
    with Transport(QUICK, providers.ca_file) as transport:
        transport.submit(Request(providers.url("/p"), {}, b"x"))
        (answer,) = transport.poll(60)
    assert 0.5 <= answer.seconds < 5


def test_what_waits_for_a_stream_until_its_time_is_over_was_not_processed(providers: Providers) -> None:
    providers.allow(1)
    with Transport(Limits(connections=1, total_seconds=0.5), providers.ca_file) as transport:
        warmed(transport, providers)
        providers.answer("/p", Reply(fault=Fault.STALL))
        answers = posted(transport, *(Request(providers.url("/p"), {}, b"x", n) for n in range(3)))
    assert Counter(answer.ambiguous for answer in answers) == {True: 1, False: 2}
    assert providers.sends("/p") == 1


@pytest.mark.parametrize("size", [LARGEST_BODY, LARGEST_BODY + 1, 50 * LARGEST_BODY])
def test_of_a_large_body_the_beginning_is_kept_and_the_status_counts(
    providers: Providers, transport: Transport, size: int
) -> None:
    providers.answer("/p", Reply(200, {"apns-id": "7"}, b"x" * size))
    answer = one(transport, providers.url("/p"))
    assert (answer.status, answer.error, answer.ambiguous, len(answer.body)) == (200, None, False, LARGEST_BODY)
    assert answer.headers["apns-id"] == "7"


def test_the_rest_of_a_large_body_is_not_waited_for(providers: Providers) -> None:
    providers.answer("/p", Reply(200, body=b"x" * 3 * LARGEST_BODY, fault=Fault.HANG))
    with Transport(QUICK, providers.ca_file) as transport:
        answer = one(transport, providers.url("/p"))
    assert (answer.status, answer.error, len(answer.body)) == (200, None, LARGEST_BODY)


def test_of_large_headers_the_first_are_kept(providers: Providers, transport: Transport) -> None:
    providers.answer("/p", Reply(200, {f"x-{n}": "y" * 1_000 for n in range(40)}))
    answer = one(transport, providers.url("/p"))
    assert answer.status == 200
    assert 0 < sum(len(name) + len(value) for name, value in answer.headers.items()) <= LARGEST_HEAD


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(providers: Providers, transport: Transport, status: int) -> None:
    providers.answer("/p", Reply(status, {"location": providers.url("/elsewhere")}))
    assert one(transport, providers.url("/p")).status == status
    assert providers.sends("/elsewhere") == 0


def test_no_proxy_is_taken_from_the_environment(providers: Providers, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Transport(ca_file=providers.ca_file) as transport:
        assert one(transport, providers.url("/p")).status == 200


def test_a_certificate_of_an_unknown_authority_is_refused(providers: Providers) -> None:
    with Transport() as transport:
        answer = one(transport, providers.url("/p"))
    assert answer.error
    assert (answer.status, answer.ambiguous, providers.sends()) == (0, False, 0)


@pytest.mark.parametrize(
    "request_",
    [
        Request("http://localhost/", {}, b"x"),
        Request("file:///etc/passwd", {}, b"x"),
        Request("https://[/", {}, b"x"),
        Request("https://püsh.example.org/\0", {}, b"x"),
        Request("", {}, b"x"),
        Request("https://localhost/", {}, b"x", None, "not an address"),
    ],
)
def test_what_is_no_request_gets_an_answer_too(transport: Transport, request_: Request) -> None:
    (answer,) = posted(transport, request_)
    assert answer.error
    assert (answer.status, answer.ambiguous) == (0, False)


@pytest.mark.parametrize("name", ["a", "a\nb", "ä"])
@pytest.mark.parametrize("value", ["b\r\nhost: evil", "b\nc", "b\0c", "ü"])
def test_headers_that_break_out_of_their_line_are_not_sent(
    providers: Providers, transport: Transport, name: str, value: str
) -> None:
    (answer,) = posted(transport, Request(providers.url("/p"), {name: value}, b"x"))
    assert answer.error
    assert (answer.ambiguous, providers.sends()) == (False, 0)


# Where it connects to.


def test_it_connects_to_the_address_it_is_given_and_the_certificate_must_be_for_the_name(
    providers: Providers, transport: Transport
) -> None:
    guard = Guard(lambda: 0.0, lambda _: ["127.0.0.1"], opens_loopback=True)
    named, other = providers.url("/p", host="push.test"), providers.url("/p", host="other.test")
    assert one(transport, named, address=guard.address(named)).status == 200
    assert providers.received[0].headers[":authority"] == f"push.test:{providers.port}"
    refused = one(transport, other, address=guard.address(other))
    assert (refused.status, refused.ambiguous) == (0, False)
    assert providers.sends() == 1


def test_a_connection_to_one_address_is_not_used_for_another(providers: Providers) -> None:
    named = providers.url("/p", host="push.test")
    with Transport(QUICK, ca_file=providers.ca_file) as transport:
        assert one(transport, named, address="127.0.0.1").status == 200
        assert one(transport, named, address="::1").status == 0
        assert one(transport, named).status == 0
    assert providers.sends() == 1


def test_no_other_part_of_fms_speaks_http_to_others() -> None:
    clients = {"pycurl", "requests", "httpx", "httpx2", "aiohttp", "urllib3", "urllib.request", "http.client"}
    found = {
        (file.relative_to(SOURCES).as_posix(), name)
        for file in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in _imported(node)
        if name in clients
    }
    assert found == {("fms/channels/http2.py", "pycurl")}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


# Servers that speak HTTP/1.1 only.


class Old(BaseHTTPRequestHandler):
    """Answers on a connection that stays; on ``/close`` it hangs up, in order or not; ``/hints`` has two answers."""

    protocol_version = "HTTP/1.1"
    posts: Counter[str]
    expecting: bool

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).posts[self.path] += 1
        type(self).expecting |= "Expect" in self.headers
        if self.path.startswith("/close"):
            self.close_connection = True
            if self.path == "/close/in-order" and isinstance(self.connection, ssl.SSLSocket):
                self.connection.settimeout(1)
                with suppress(OSError):
                    self.connection.unwrap()
            return
        if self.path == "/hints":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n")
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
        pass


@pytest.fixture
def old(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    ca, own = certificate(["localhost"], datetime.datetime.now(datetime.UTC))
    (tmp_path / "ca.pem").write_bytes(ca)
    (tmp_path / "own.pem").write_bytes(own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem")
    Old.posts = Counter()
    Old.expecting = False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Old)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"https://localhost:{server.server_address[1]}", tmp_path / "ca.pem"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_without_http_2_is_spoken_to_in_the_old_way(old: tuple[str, Path]) -> None:
    url, ca_file = old
    with Transport(ca_file=ca_file) as transport:
        answers = posted(transport, *(Request(f"{url}/p", {}, str(n).encode(), n) for n in range(20)))
    assert {(answer.key, answer.body) for answer in answers} == {(n, str(n).encode()) for n in range(20)}


def test_a_large_body_is_sent_there_without_asking_first(old: tuple[str, Path]) -> None:
    url, ca_file = old
    with Transport(ca_file=ca_file) as transport:
        assert one(transport, f"{url}/p", b"x" * 3_000_000).status == 201
    assert not Old.expecting


def test_an_answer_before_the_answer_is_not_mixed_up_with_it(old: tuple[str, Path]) -> None:
    url, ca_file = old
    with Transport(ca_file=ca_file) as transport:
        answer = one(transport, f"{url}/hints")
    assert answer.status == 201
    assert "x-early" not in answer.headers


@pytest.mark.parametrize("path", ["/close", "/close/in-order"])
def test_what_such_a_server_may_have_got_before_it_hung_up_is_not_sent_again(old: tuple[str, Path], path: str) -> None:
    url, ca_file = old
    with Transport(ca_file=ca_file) as transport:
        assert one(transport, f"{url}/p").status == 201
        answer = one(transport, f"{url}{path}")
    assert answer.error
    assert answer.ambiguous
    assert Old.posts[path] == 1


# Load.


@pytest.mark.parametrize("count", [5_000, pytest.param(50_000, marks=pytest.mark.soak)])
def test_memory_does_not_grow_with_the_requests(count: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "fms.testing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as playing:
        assert playing.stdin is not None
        assert playing.stdout is not None
        url, ca_file = (playing.stdout.readline().strip() for _ in range(2))
        requests: Callable[[int], Iterator[Request]] = lambda many: (  # noqa: E731
            Request(url, {"authorization": "bearer " + "x" * 160}, b"x" * 200, n) for n in range(many)
        )
        with Transport(ca_file=Path(ca_file)) as transport:
            assert sum(answer.status == 200 for answer in transport.post_many(requests(2_000))) == 2_000
            before = _resident()
            assert sum(answer.status == 200 for answer in transport.post_many(requests(count))) == count
            grown = _resident() - before
        playing.stdin.close()
        assert int(playing.stdout.read()) == count + 2_000
    assert grown < 2 << 20


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4_096
