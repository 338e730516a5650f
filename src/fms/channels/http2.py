"""Many POSTs at once over few connections: libcurl's multi interface, HTTP/2 where the server speaks it.

Nothing here tries again, follows a redirect or asks the environment for a proxy. libcurl would try again, unseen: what
was sent on a connection that then died, it sends once more on another. A body that can be read only once keeps it from
that. Whether to repeat what may have been processed is the caller's to decide, who can say that it is the same.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pycurl

from fms.channels.hosts import Host, Hosts
from fms.channels.posts import LARGEST_BODY, Answer, Limits, Request

LARGEST_HEAD = 8_192
"""Bytes kept of an answer's headers; what comes after them is left out."""

KEPT_SECONDS = 240
"""For how long a connection is kept that nobody uses."""

_NOT_AGAIN = "necessary data rewind was not possible"
_HTTP_1 = (pycurl.CURL_HTTP_VERSION_1_0, pycurl.CURL_HTTP_VERSION_1_1)


class _Call:
    """A libcurl handle, used for one request after the other."""

    def __init__(self, curl: Any) -> None:  # pycurl has no types
        self.curl = curl
        self.request: Request
        self.host: Host
        self.started = 0.0
        self.was_read = False
        self._rest = b""
        self.body = bytearray()
        self.is_cut = False
        self.head = bytearray()
        curl.setopt(pycurl.READFUNCTION, self._read)
        curl.setopt(pycurl.WRITEFUNCTION, self._write)
        curl.setopt(pycurl.HEADERFUNCTION, self._header)

    def begin(self, request: Request, host: Host, now: float) -> None:
        """Take a request on; raises UnicodeError and ValueError if it can't be put into HTTP."""
        self.request, self.host, self.started = request, host, now
        self.was_read = self.is_cut = False
        self._rest = request.body
        self.body.clear()
        self.head.clear()
        set_option = self.curl.setopt
        set_option(pycurl.URL, request.url)
        set_option(pycurl.HTTPHEADER, _lines(request.headers))
        # Of no known length, an empty body is read too: without that it would be sent again.
        set_option(pycurl.POSTFIELDSIZE_LARGE, len(request.body) or -1)
        set_option(pycurl.CONNECT_TO, _place(request.address))

    def _read(self, size: int) -> bytes:
        self.was_read = True
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def _write(self, data: bytes) -> int:
        room = LARGEST_BODY - len(self.body)
        self.body += data[:room]
        self.is_cut = len(data) > room
        return -1 if self.is_cut else len(data)

    def _header(self, line: bytes) -> None:
        # A 1xx answer comes before the one that counts.
        if line.startswith(b"HTTP/"):
            self.head.clear()
        elif len(self.head) + len(line) <= LARGEST_HEAD:
            self.head += line


def _lines(headers: Mapping[str, str]) -> list[str]:
    # libcurl would ask first whether the body is welcome, and call it a form.
    lines = ["Expect:", *(f"{name}: {value}" for name, value in headers.items())]
    if not any(name.lower() == "content-type" for name in headers):
        lines.append("Content-Type: application/octet-stream")
    if any(not line.isprintable() for line in lines):
        raise ValueError("a header with a line break or another control character")
    return lines


def _place(address: str | None) -> list[str]:
    if address is None:
        return []
    # Without a host and a port it holds for whatever libcurl finds in the URL.
    return [f"::[{address}]:" if ":" in address else f"::{address}:"]


def _headers(head: bytes | bytearray) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}


class Transport:
    """Posts requests, many at once; raises nothing on account of what a server or the network does.

    It belongs to one thread and one process.

    Args:
        limits: how much at once, and for how long.
        ca_file: whose certificates are trusted (PEM); None: those that the system trusts.
        now: seconds that only grow.
    """

    def __init__(
        self, limits: Limits = Limits(), ca_file: Path | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._ca_file = ca_file
        self._now = now
        self._multi: Any = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, limits.connections)
        self._multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, limits.streams)
        self._hosts = Hosts(limits.per_host, now)
        self._calls: dict[Any, _Call] = {}
        self._idle: list[_Call] = []
        self._stillborn: list[Answer] = []
        self.unanswered = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; what is under way gets no answer."""
        for curl, call in self._calls.items():
            self._multi.remove_handle(curl)
            call.curl.close()
        for call in self._idle:
            call.curl.close()
        self._calls.clear()
        self._idle.clear()
        self._multi.close()

    def post_many(self, requests: Iterable[Request], at_once: int = 1_000) -> Iterator[Answer]:
        """Post all, with at most so many unanswered at a time; answers come as they are there, in any order.

        Requests are asked for as there is room for them.
        """
        left = iter(requests)
        more = True
        while more or self.unanswered:
            while more and self.unanswered < at_once:
                if (request := next(left, None)) is None:
                    more = False
                else:
                    self.submit(request)
            yield from self.poll(1.0)

    def submit(self, request: Request) -> None:
        """Post it as soon as its host has room; ``poll`` brings the answer."""
        self.unanswered += 1
        host = self._hosts.of(request.url)
        host.waiting.append(request)
        self._fill(host)

    def poll(self, seconds: float) -> list[Answer]:
        """Let the network work until there are answers, at most for so long; all that are there."""
        end = self._now() + seconds
        while True:
            self._multi.perform()
            answers = self._ended()
            left = end - self._now()
            if answers or not self._calls or left <= 0:
                return answers
            # select knows nothing of libcurl's own time limits: alone it would wait past them.
            due = self._multi.timeout()
            self._multi.select(left if due < 0 else min(left, due / 1_000))

    def _fill(self, host: Host) -> None:
        while (request := host.next()) is not None:
            call = self._idle.pop() if self._idle else _Call(self._curl())
            try:
                call.begin(request, host, self._now())
            except (UnicodeError, ValueError, pycurl.error) as error:
                host.end(is_answered=False, now=self._now())
                self._idle.append(call)
                self._stillborn.append(Answer(request.key, 0, {}, b"", f"no HTTP request: {error}", 0.0, False))
                continue
            self._calls[call.curl] = call
            self._multi.add_handle(call.curl)

    def _ended(self) -> list[Answer]:
        answers, self._stillborn = self._stillborn, []
        more = 1
        while more:
            more, whole, failed = self._multi.info_read(1_000)
            answers += [self._end(curl, 0, "") for curl in whole]
            answers += [self._end(curl, code, text) for curl, code, text in failed]
        self.unanswered -= len(answers)
        return answers

    def _end(self, curl: Any, code: int, text: str) -> Answer:
        call = self._calls.pop(curl)
        self._multi.remove_handle(curl)
        answer = self._answer(call, code, text)
        self._idle.append(call)
        call.host.end(is_answered=answer.error is None, now=self._now())
        self._fill(call.host)
        return answer

    def _answer(self, call: _Call, code: int, text: str) -> Answer:
        status = call.curl.getinfo(pycurl.RESPONSE_CODE)
        if status and call.curl.getinfo(pycurl.INFO_HTTP_VERSION) in _HTTP_1:
            call.host.speaks_http_1 = True
        is_whole = code == 0 or call.is_cut
        # libcurl gives up so when a stream was refused, or is behind the last one of a GOAWAY: both say that nothing
        # was done with it. When a connection dies, there is another text before, but for an HTTP/1 one that is closed.
        was_refused = code == pycurl.E_SEND_FAIL_REWIND and text == _NOT_AGAIN and not call.host.speaks_http_1
        error = None if is_whole else "refused by the server" if was_refused else text or f"broken off ({code})"
        return Answer(
            call.request.key,
            status,
            _headers(call.head),
            bytes(call.body),
            error,
            self._now() - call.started,
            not is_whole and call.was_read and not was_refused,
        )

    def _made_mortal(self, fd: int, purpose: int) -> int:  # noqa: ARG002  # libcurl's signature
        """Let the system end a connection whose other end is gone without a word.

        Else it would be used for another quarter of an hour, and each request on it would be ambiguous.
        """
        made = socket.socket(fileno=fd)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._limits.total_seconds * 1_000))
        made.detach()
        return 0

    def _curl(self) -> Any:
        curl = pycurl.Curl()
        for option, value in (
            (pycurl.POST, 1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
            (pycurl.PIPEWAIT, 1),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.PROXY, ""),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.SSL_VERIFYPEER, 1),
            (pycurl.SSL_VERIFYHOST, 2),
            (pycurl.NOSIGNAL, 1),
            (pycurl.MAXAGE_CONN, KEPT_SECONDS),
            (pycurl.USERAGENT, "fms"),
            (pycurl.SOCKOPTFUNCTION, self._made_mortal),
            (pycurl.CONNECTTIMEOUT_MS, round(self._limits.connect_seconds * 1_000)),
            (pycurl.TIMEOUT_MS, round(self._limits.total_seconds * 1_000)),
        ):
            curl.setopt(option, value)
        if self._ca_file is not None:
            curl.setopt(pycurl.CAINFO, str(self._ca_file))
        return curl
