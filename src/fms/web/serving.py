"""gunicorn as fms runs it: processes that each open the site for themselves, and an orderly end."""

import signal
import socket
import time
from collections.abc import Callable
from mmap import mmap
from types import FrameType
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from fms.settings import Settings

SILENT_SECONDS = 30
"""After which a process that shows no life is replaced."""


class Drain:
    """Whether the processes are about to end, which all of them see. Made before they are."""

    def __init__(self) -> None:
        self._flag = mmap(-1, 1)

    def begin(self) -> None:
        """They are."""
        self._flag[0] = 1

    def __call__(self) -> bool:
        """Whether they are."""
        return self._flag[0] == 1


class TimedWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A process with threads, in which nobody who sends a request slowly keeps a thread for long.

    gunicorn itself waits for ever for the rest of what was begun.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begun: dict[socket.socket, float] = {}

    def handle(self, conn: Any) -> Any:
        """Answer a request on a connection; called in a thread."""
        self._begun[conn.sock] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._begun.pop(conn.sock, None)

    def murder_pending(self) -> None:
        """Called about each second: end the reading of requests that are not there after their time."""
        super().murder_pending()
        too_old = time.monotonic() - self.app.request_seconds
        for sock in [sock for sock, begun in self._begun.copy().items() if begun < too_old]:
            self._begun.pop(sock, None)
            # What is to be sent can still be sent.
            sock.shutdown(socket.SHUT_RD)


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Serves an app that is made anew in each process.

    Args:
        settings: where, with how many processes and threads.
        make_app: called in each process.
        drain: begun before they end, so that load balancers stop to send requests here.
        on_listening: called once with the address that is listened on.
    """

    def __init__(
        self, settings: Settings, make_app: Callable[[], Any], drain: Drain, on_listening: Callable[[str, int], None]
    ) -> None:
        self._settings = settings
        self._make_app = make_app
        self._drain = drain
        self._on_listening = on_listening
        self.request_seconds = settings.request_seconds
        super().__init__()

    def load_config(self) -> None:
        """What gunicorn is told."""
        settings = self._settings
        told = {
            "bind": f"{settings.serve_host}:{settings.serve_port}",
            "workers": settings.serve_processes,
            "worker_class": TimedWorker,
            "threads": settings.serve_threads,
            "timeout": SILENT_SECONDS,
            "graceful_timeout": settings.drain_seconds,
            "keepalive": 75,
            "loglevel": "warning",
            "proc_name": "fms serve",
            # Its socket in the user's home would be one for all instances.
            "control_socket_disable": True,
            # Whose word is taken for a client's address is the app's business.
            "forwarded_allow_ips": "",
            "when_ready": self._ready,
        }
        for name, value in told.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The app of one process."""
        return self._make_app()

    def _ready(self, arbiter: Any) -> None:
        def end(_number: int, frame: FrameType | None) -> None:
            arbiter.signal(signal.SIGTERM, frame)

        def ask(number: int, frame: FrameType | None) -> None:
            if self._drain() or not self._settings.unready_seconds:
                end(number, frame)
            else:
                self._drain.begin()
                signal.setitimer(signal.ITIMER_REAL, self._settings.unready_seconds)

        signal.signal(signal.SIGALRM, end)
        signal.signal(signal.SIGTERM, ask)
        for listener in arbiter.LISTENERS:
            host, port = listener.sock.getsockname()[:2]
            self._on_listening(host, port)
