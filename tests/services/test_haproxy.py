"""HAProxy, as it is configured: what it sends once more when a server hangs up instead of answering."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from tests.services.haproxy import HAProxy
from tests.services.processes import until
from tests.services.shared import needed


class HangsUp(BaseHTTPRequestHandler):
    """Is ready, reads what it is asked, and hangs up."""

    seen: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        """As the name says."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/readyz":
            self.send_response(200)
            self.end_headers()
            return
        self.seen[f"{self.command} {self.path}"] += 1
        self.close_connection = True

    do_POST = do_PUT = do_GET  # noqa: N815  # as the library calls them

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def hanging_up() -> Iterator[int]:
    """A server, and its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), HangsUp) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def balancer() -> Iterator[HAProxy]:
    """In front of three that hang up."""
    with ExitStack() as stack:
        one, two, three = (stack.enter_context(hanging_up()) for _ in range(3))
        found = stack.enter_context(needed(lambda: HAProxy((one, two, three))))
        until(lambda: set(found.states.values()) == {"UP"}, "all are up")
        yield found


@pytest.mark.parametrize(
    ("method", "path", "key", "again"),
    [
        ("GET", "/api/account", False, True),
        ("POST", "/api/alerts", True, True),
        ("POST", "/api/alerts", False, False),
        ("PUT", "/api/alerts", True, False),
        ("POST", "/api/auth/refresh", True, False),
        ("POST", "/api/account/password", True, False),
    ],
)
def test_only_what_is_safe_is_sent_once_more(
    balancer: HAProxy, method: str, path: str, *, key: bool, again: bool
) -> None:
    HangsUp.seen.clear()
    connection = HTTPConnection("127.0.0.1", balancer.port, timeout=30)
    connection.request(method, path, b"" if method == "GET" else b"{}", {"Idempotency-Key": "k"} if key else {})
    assert connection.getresponse().status == 502
    connection.close()
    assert (HangsUp.seen[f"{method} {path}"] > 1) is again
