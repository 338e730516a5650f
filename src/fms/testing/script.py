"""What a fake provider is told to do, and what it writes down."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


class Fault(Enum):
    """What goes wrong with a request that came whole."""

    REFUSE = auto()
    """RST_STREAM with REFUSED_STREAM: the server says that it did nothing with it."""
    RESET = auto()
    """RST_STREAM with INTERNAL_ERROR."""
    GOAWAY_BEFORE = auto()
    """No answer but a GOAWAY that names the stream that was last answered as the last one that is looked at."""
    GOAWAY_AFTER = auto()
    """The answer, with a GOAWAY before it that names this stream as the last one."""
    CLOSE = auto()
    """The connection ends without an answer, in order (TLS and TCP)."""
    ABORT = auto()
    """The connection is reset."""
    CUT = auto()
    """Status, headers and half of the body, then the connection ends."""
    HANG = auto()
    """Status, headers and half of the body, then nothing."""
    STALL = auto()
    """No answer, ever."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: after ``delay`` seconds, the fault, or status, headers and body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: its path with the query, its headers, and on which connection (from 1) and stream."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    stream: int


Rule = Callable[[Received], Reply]
"""An answer that depends on the request; called on the server's thread."""


class Script:
    """Which answer is next. Paths that it does not know are answered by ``otherwise``."""

    def __init__(self, otherwise: Reply | Rule = Reply()) -> None:
        self.otherwise = otherwise
        self._replies: dict[str, deque[Reply | Rule]] = {}

    def set(self, path: str, replies: Sequence[Reply | Rule]) -> None:
        """Answer a path with one after the other, and with the last again and again."""
        self._replies[path] = deque(replies)

    def next(self, received: Received) -> Reply:
        """The answer to a request."""
        replies = self._replies.get(received.path)
        if not replies:
            return self._made(self.otherwise, received)
        return self._made(replies.popleft() if len(replies) > 1 else replies[0], received)

    @staticmethod
    def _made(reply: Reply | Rule, received: Received) -> Reply:
        return reply if isinstance(reply, Reply) else reply(received)
