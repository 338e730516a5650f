"""What a worker shows over HTTP: ``/livez``, ``/readyz`` and ``/metrics``, answered by the working loop itself.

There is no thread, so an answer proves that the loop goes round; while a batch is at work a request waits.
"""

import select
import socket
import time
from collections.abc import Callable, Iterable
from io import BufferedReader, RawIOBase
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from fms.errors import Fatal

SLOW_CLIENT_SECONDS = 0.2
"""How long a client may keep the worker waiting for its request."""

AT_ONCE = 4
"""Requests that are answered between two messages."""


class _Limited(RawIOBase):
    """What a client sends until its time is over, however little at a time: then it raises TimeoutError."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._end = time.monotonic() + SLOW_CLIENT_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Quiet(WSGIRequestHandler):
    timeout = SLOW_CLIENT_SECONDS

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        # It is only read from.
        self.rfile = cast("Any", BufferedReader(_Limited(self.connection)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class calls it so
        """Requests are no events of a worker."""


class _Server(WSGIServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nor is a client that is too slow or hangs up."""


class Endpoints:
    """Serves while somebody calls ``serve_pending``.

    Args:
        host, port: where; 0 is any free port.
        registry: what ``/metrics`` shows.
        not_ready: why the worker can do nothing now; None: it can.

    Raises Fatal if the port is taken.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, not_ready: Callable[[], str | None]) -> None:
        self._registry = registry
        self._not_ready = not_ready
        try:
            self._server: WSGIServer = make_server(host, port, self._answer, _Server, _Quiet)
        except (OSError, OverflowError) as error:
            raise Fatal(f"metrics_port: {host}:{port}: {getattr(error, 'strerror', None) or error}") from None
        self.port = self._server.server_port

    def serve_pending(self) -> None:
        """Answer who is waiting, but not for ever."""
        for _ in range(AT_ONCE):
            if not select.select([self._server], [], [], 0)[0]:
                return
            self._server.handle_request()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            encode, kind = choose_encoder(environ.get("HTTP_ACCEPT", ""))
            return _reply(start, "200 OK", encode(self._registry), kind)
        if path == "/livez":
            return _reply(start, "200 OK", b"alive\n")
        if path == "/readyz":
            why = self._not_ready()
            return _reply(start, "503 Service Unavailable" if why else "200 OK", f"{why or 'ready'}\n".encode())
        return _reply(start, "404 Not Found", b"/livez, /readyz or /metrics\n")


def _reply(start: StartResponse, status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> list[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
