"""gunicorn as fms runs it: processes that each open the site for themselves, and an orderly end."""

import logging
import os
import signal
import socket
from collections.abc import Callable
from mmap import mmap
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from fms.errors import Fatal
from fms.settings import Settings
from fms.web.alert_files import FILE_FACTOR
from fms.web.connections import TimedWorker
from fms.web.metering import bury

SILENT_SECONDS = 30
"""After which a process that shows no life is replaced."""

CONNECTIONS = 512
"""Of one process; the one that has waited longest makes room for the next."""

KEPT_SECONDS = 75
"""How long a connection on which nothing is asked stays open."""

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

HURRIED = 130
"""The exit code if it was asked to end twice."""


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


class ServerLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """What gunicorn has to say goes where all log lines go; of requests it says nothing: the app does."""

    def setup(self, cfg: Any) -> None:
        """See gunicorn."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = logging.WARNING
        self.error_log.setLevel(logging.WARNING)
        self.error_log.propagate = True


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Serves an app that is made anew in each process.

    Args:
        settings: how many processes and threads, and how long things may take.
        listener: where; see ``listen``.
        make: makes the app, in each process. It is given a function to be called while it waits, which answers whether
            to go on.
        on_listening: called once, when it is served.

    Attributes:
        drain: whether it is about to end.
        request_seconds, most_body: how long a client may take to send a request, and bytes of the longest one.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        make: Callable[[Callable[[], bool]], Any],
        drain: Drain,
        on_listening: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._listener = listener
        self.make = make
        self.drain = drain
        self._on_listening = on_listening
        self.request_seconds = settings.request_seconds
        self.most_body = settings.body_limit_kb * 1024 * FILE_FACTOR
        self._asked = 0
        self._ignored = [number for number in ENDING if signal.getsignal(number) is signal.SIG_IGN]
        super().__init__()

    def load_config(self) -> None:
        """What gunicorn is told."""
        settings = self._settings
        told = {
            # It is gunicorn's from now on: when it closes it, nobody listens any more.
            "bind": f"fd://{self._listener.detach()}",
            "workers": settings.serve_processes,
            "worker_class": TimedWorker,
            "worker_connections": CONNECTIONS,
            "threads": settings.serve_threads,
            "timeout": SILENT_SECONDS,
            "graceful_timeout": settings.drain_seconds,
            "keepalive": KEPT_SECONDS,
            "logger_class": ServerLog,
            "proc_name": "fms serve",
            # It would wait for slow readers without an end.
            "sendfile": False,
            # Its socket in the user's home would be one for all instances.
            "control_socket_disable": True,
            # Whose word is taken for a client's address is the app's business.
            "forwarded_allow_ips": "",
            "when_ready": self._ready,
            "child_exit": lambda _arbiter, worker: bury(worker.pid),
        }
        for name, value in told.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Never called: see ``TimedWorker.load_wsgi``."""
        raise NotImplementedError

    def run(self) -> int:
        """Serve until it is to end; answers the exit code."""
        mine = os.getpid()
        try:
            Arbiter(self).run()
        except SystemExit as ended:
            if os.getpid() != mine:
                # One of the processes, which come by here too: what is to be done at the end is not theirs.
                os._exit(int(ended.code or 0))
            return HURRIED if self._asked > 1 else int(ended.code or 0)
        finally:
            # Python would die of it once it has let go of its handlers.
            signal.setitimer(signal.ITIMER_REAL, 0)
        return 0

    def _ready(self, arbiter: Any) -> None:
        signal.signal(signal.SIGALRM, lambda *_: arbiter.signal(signal.SIGTERM, None))
        for number in ENDING:
            # Who starts it with nohup wants it to outlive the terminal.
            ignored = number in self._ignored
            signal.signal(number, signal.SIG_IGN if ignored else lambda number, _: self._end(arbiter, number))
        # It would start itself anew from the command line.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        self._on_listening()

    def _end(self, arbiter: Any, number: int) -> None:
        """Let balancers know first, unless a terminal asked: nobody balances there. Asked twice: at once."""
        self._asked += 1
        self.drain.begin()
        if self._asked > 1:
            arbiter.cfg.set("graceful_timeout", 1)
            arbiter.signal(signal.SIGQUIT, None)
        elif number == signal.SIGTERM and self._settings.unready_seconds:
            signal.setitimer(signal.ITIMER_REAL, self._settings.unready_seconds)
        else:
            arbiter.signal(signal.SIGTERM, None)


def listen(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket that has its place but lets nobody in yet, and its URL; raises Fatal."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise Fatal(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None
    here, number = listener.getsockname()[:2]
    return listener, f"http://{f'[{here}]' if family == socket.AF_INET6 else here}:{number}"
