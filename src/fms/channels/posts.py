"""What is posted, what becomes of it, and how much of it at once."""

from collections.abc import Mapping
from dataclasses import dataclass

LARGEST_BODY = 8_192
"""Bytes kept of an answer's body; the rest is not waited for."""


@dataclass(frozen=True, slots=True)
class Request:
    """A POST.

    Attributes:
        url: https; its host is who the certificate must be for.
        headers: by name.
        body: what is posted.
        key: the caller's name for it, found again in the answer.
        address: the IP address to connect to, whatever the host's name stands for (see ``guard``); None: asked of DNS.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    key: object = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        key: the request's.
        status: of HTTP; 0 if none came.
        headers: by name in small letters; of several of one name the last.
        body: its first ``LARGEST_BODY`` bytes.
        error: why there is no whole answer, in words; None: there is one.
        seconds: from the start of the request to its end.
        ambiguous: there is no whole answer, and the request may have been processed all the same.
    """

    key: object
    status: int
    headers: Mapping[str, str]
    body: bytes
    error: str | None
    seconds: float
    ambiguous: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, and for how long.

    Attributes:
        connections: to one host.
        streams: open at once on one connection, also where the server would take more.
        connect_seconds: until the connection and its TLS are there.
        total_seconds: from the start of a request to the end of its answer.
    """

    connections: int = 4
    streams: int = 100
    connect_seconds: float = 5.0
    total_seconds: float = 10.0

    @property
    def per_host(self) -> int:
        """Requests under way to one host; those after them wait here, so that their time does not begin."""
        return self.connections * self.streams
