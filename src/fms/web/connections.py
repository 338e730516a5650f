"""gunicorn's process with threads, in which nobody who sends or reads slowly has a thread meanwhile."""

import errno
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from os import _exit
from selectors import EVENT_READ
from typing import Any

from gunicorn import http
from gunicorn.errors import AppImportError
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from fms.errors import Fatal
from fms.web.incoming import Incoming, TooLong, Whole

LOOK_SECONDS = 0.25
"""How often it is looked whose time is over."""

LEAVE_SECONDS = 2.0
"""How long a connection that we have ended waits for the client to read what it was sent."""

ANSWER_SECONDS = 30.0
"""How long a client may take to read an answer."""

SEND_BYTES = 256 * 1024
"""So much of an answer waits for its client in the system, and not in a thread."""

MOST_HELD = 64 << 20
"""Bytes of unfinished requests that a process holds."""

_REFUSALS = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_STATUS_OF = {"LimitRequestLine": 414, "LimitRequestHeaders": 431}


def _refusal(status: int) -> bytes:
    return f"HTTP/1.1 {status} {_REFUSALS[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection; ``last``, ``cut``: see ``Whole``, of the request at work; ``leaving``: whether we have ended it."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, incoming: Incoming) -> None:
        super().__init__(cfg, sock, client, server)
        self.incoming = incoming
        self.last = self.cut = self.leaving = False
        # The parser is given the request: it is not to read from the connection itself.
        self.initialized = self.data_ready = True


class TimedWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A process whose threads are given requests that are there whole.

    Who only begins a request, who does not read the answer, and who stays without asking has no thread, and is sent
    away after a time. Whether the process lives and is ready is answered by a thread that does nothing else.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._due: dict[Connection, float] = {}  # those that no thread has
        self._sending: dict[socket.socket, float] = {}
        self._looked = 0.0
        self._mine = threading.local()

    def init_process(self) -> None:
        """Run, until it is to end."""
        self._looking = ThreadPoolExecutor(1)
        super().init_process()

    def init_signals(self) -> None:
        """The terminal's signals are for the process that looks after this one."""
        import signal

        super().init_signals()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def handle_quit(self, _number: int, _frame: Any) -> None:
        """End at once: no thread is waited for."""
        _exit(0)

    def load_wsgi(self) -> None:
        """Make the app, and measure how long its answers are under way."""
        try:
            self.wsgi = self.app.make(self._goes_on)
        except Fatal as error:
            # So the others end too, with the exit code of somebody who must act.
            raise AppImportError(f"fms: {error}") from None
        app = self.wsgi

        def timed(environ: Any, start: Any) -> Any:
            self._measure(environ)
            answer = app(environ, start)
            self._sending[environ["gunicorn.socket"]] = time.monotonic() + ANSWER_SECONDS
            return answer

        self.wsgi = timed

    def _measure(self, environ: Any) -> None:
        """Say how long a body in chunks is: of one that is too long Werkzeug would give the beginning as all of it."""
        if environ.pop("HTTP_TRANSFER_ENCODING", None):
            cut = self._mine.conn.cut
            body = b"" if cut else environ["wsgi.input"].read()
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(self.app.most_body + 1 if cut else len(body))

    def _goes_on(self) -> bool:
        """Show life while the app is being made; whether it is still wanted."""
        self.notify()
        return bool(self.alive)

    def accept(self, listener: Any) -> None:
        """Take a new connection."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE):
                return
            raise
        if self.nr_conns >= self.worker_connections - 1 and self._due:
            # They are in the order in which they began to wait; those that we have ended go first.
            self._drop(min(self._due, key=lambda one: not one.leaving))
        self.nr_conns += 1
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        conn = Connection(self.cfg, sock, client, listener.getsockname(), Incoming(self.app.most_body))
        self._wait_for(conn, self.app.request_seconds, self._read)
        self._read(conn)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Take new connections or none; at the end those that wait are taken, and nobody listens any more."""
        super().set_accept_enabled(enabled)
        if self.alive or enabled:
            return
        for listener in self.sockets:
            taken = -1
            while taken != self.nr_conns:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()

    def _wait_for(self, conn: Connection, seconds: float, call: Any) -> None:
        conn.sock.setblocking(False)
        self._due[conn] = time.monotonic() + seconds
        self.poller.register(conn.sock, EVENT_READ, lambda _sock: call(conn))

    def _forget(self, conn: Connection) -> None:
        if self._due.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)

    def _received(self, conn: Connection) -> bytes | None:
        """What has arrived; None: nothing. Who has gone, or sends what nobody wants, is dropped."""
        try:
            data: bytes = conn.sock.recv(65_536)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self._drop(conn)
        return data or None

    def _read(self, conn: Connection) -> None:
        data = self._received(conn)
        if data is None:
            return
        if not conn.incoming:
            self._due[conn] = time.monotonic() + self.app.request_seconds
        conn.incoming.take(data)
        self._go_on(conn)

    def _go_on(self, conn: Connection) -> None:
        """Answer the next request of a connection, if it is there."""
        try:
            request = conn.incoming.whole()
        except TooLong:
            self._refuse(conn, 431)
            return
        if request is not None:
            self._forget(conn)
            self._begin(conn, request)
        elif len(conn.incoming) > 65_536 and sum(len(one.incoming) for one in self._due) > MOST_HELD:
            self._refuse(conn, 503)
        elif conn.incoming.wants_word():
            self._say(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")

    def _begin(self, conn: Connection, request: Whole) -> None:
        conn.last, conn.cut = request.last, request.cut
        conn.parser = http.get_parser(self.cfg, [request.data], conn.client)
        pool = self._looking if request.is_look else self.tpool
        pool.submit(self.handle, conn).add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Answer a request; called in a thread. Towards the end each answer is the last of its connection."""
        if conn.last or self.app.drain():
            req.force_close()
        # Who waited for the word to go on was given it before.
        req._expected_100_continue = False  # noqa: SLF001  # gunicorn has no other way
        return super().handle_request(req, conn)

    def handle(self, conn: Connection) -> Any:
        """Answer what has arrived; called in a thread."""
        self._mine.conn = conn
        try:
            return super().handle(conn)
        finally:
            self._sending.pop(conn.sock, None)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Refuse what cannot be read, without quoting it: secrets may be among it. Called in a thread."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        self.log.warning("a request could not be read: %s", type(exc).__name__)
        self._say(client, _refusal(_STATUS_OF.get(type(exc).__name__, 400)))

    def finish_request(self, conn: Connection, done: "Future[Any]") -> None:
        """Go on with a connection whose request was answered."""
        try:
            keep = not done.cancelled() and done.exception() is None and bool(done.result())
            if not keep or conn.last or conn.parser.unreader.buf.getvalue():
                self._leave(conn)
                return
            idle = self.cfg.keepalive if self.alive else LEAVE_SECONDS
            self._wait_for(conn, self.app.request_seconds if conn.incoming else idle, self._read)
            if conn.incoming:
                self._go_on(conn)
        except (OSError, ValueError):
            self._drop(conn)

    def _leave(self, conn: Connection) -> None:
        """End a connection from our side, and let the client read to the end: else the system may throw that away."""
        self._forget(conn)
        conn.leaving = True
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._wait_for(conn, LEAVE_SECONDS, self._received)
        except (OSError, ValueError):
            self._drop(conn)

    def _refuse(self, conn: Connection, status: int) -> None:
        self._say(conn.sock, _refusal(status))
        self._leave(conn)

    def _say(self, sock: socket.socket, text: bytes) -> None:
        with suppress(OSError):
            sock.send(text)

    def _drop(self, conn: Connection) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Do what there is to do, for at most so long."""
        super().wait_for_and_dispatch_events(min(timeout, LOOK_SECONDS) if self._due or self._sending else timeout)

    def murder_pending(self) -> None:
        """Send those away whose time is over."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        for conn in [conn for conn, due in self._due.items() if due < now]:
            if conn.incoming and not conn.leaving:
                self._refuse(conn, 408)
            else:
                self._drop(conn)
        for sock in [sock for sock, due in self._sending.copy().items() if due < now]:
            self._sending.pop(sock, None)
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def murder_keepalived(self, force: bool = False) -> None:  # as gunicorn calls it
        """Drop all that no thread has, at the very end."""
        for conn in list(self._due) if force else ():
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn, due in self._due.items():
            if not conn.incoming:
                self._due[conn] = min(due, deadline)
