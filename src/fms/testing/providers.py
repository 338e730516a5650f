"""Push services on this machine that answer as they are told and write down what they got."""

import asyncio
import datetime
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from fms.testing.certificate import certificate
from fms.testing.script import Received, Reply, Rule, Script
from fms.testing.server import Connection


class Providers:
    """An HTTP/2 server with TLS on a free port of 127.0.0.1, on a thread of its own; a context manager.

    Args:
        streams: that a client may have open at once on a connection.
        names: that the certificate is for, besides ``localhost`` and 127.0.0.1.
        record: keep every request; without it they are only counted.
    """

    def __init__(self, streams: int = 100, names: Sequence[str] = (), *, record: bool = True) -> None:
        self._streams = streams
        self._names = ("localhost", "127.0.0.1", *names)
        self._record = record
        self._script = Script()
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._sends: Counter[str] = Counter()
        self._open: set[Connection] = set()
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fms.testing.Providers", daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        """Start; when it returns, the port is open."""
        self._folder = TemporaryDirectory(prefix="fms-testing-")
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End: connections are closed, and the port."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    @property
    def ca_file(self) -> Path:
        """The authority's certificate (PEM) that a client has to trust."""
        return Path(self._folder.name) / "ca.pem"

    def url(self, path: str = "/", host: str = "localhost") -> str:
        """The URL of a path."""
        return f"https://{host}:{self.port}{path}"

    def answer(self, path: str, *replies: Reply | Rule) -> None:
        """Answer a path with one reply after the other, and with the last of them again and again."""
        with self._lock:
            self._script.set(path, replies)

    def otherwise(self, reply: Reply | Rule) -> None:
        """Answer all other paths so; 200 without this."""
        with self._lock:
            self._script.otherwise = reply

    def allow(self, streams: int) -> None:
        """Let a client have so many streams open on a connection, also on those that are there already."""
        self._streams = streams
        self._each(lambda connection: connection.allow(streams))

    def drop(self) -> None:
        """Reset all connections."""
        self._each(Connection.abort)

    @property
    def received(self) -> list[Received]:
        """The requests that came whole so far, whatever was answered."""
        with self._lock:
            return list(self._received)

    def sends(self, path: str | None = None) -> int:
        """How many requests came whole, of a path or of all."""
        with self._lock:
            return self._sends.total() if path is None else self._sends[path]

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return self._connections

    def forget(self) -> None:
        """Start again: without records, and all is answered with 200."""
        with self._lock:
            self._script = Script()
            self._received.clear()
            self._sends.clear()

    def _answer(self, received: Received) -> Reply:
        with self._lock:
            self._sends[received.path] += 1
            if self._record:
                self._received.append(received)
            return self._script.next(received)

    def _each(self, do: Callable[[Connection], None]) -> None:
        async def done() -> None:
            for connection in list(self._open):
                do(connection)

        asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def _connected(self) -> Connection:
        self._connections += 1
        return Connection(self._connections, self._streams, self._answer, self._open)

    async def _listen(self) -> asyncio.Server:
        ca, own = certificate(self._names, datetime.datetime.now(datetime.UTC))
        self.ca_file.write_bytes(ca)
        server = self.ca_file.with_name("server.pem")
        server.write_bytes(own)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server)
        context.set_alpn_protocols(["h2"])
        return await asyncio.get_running_loop().create_server(self._connected, "127.0.0.1", 0, ssl=context)

    async def _end(self) -> None:
        self._server.close()
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)
