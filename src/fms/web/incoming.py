"""The bytes that a client sends, until a request is there whole."""

import re
from dataclasses import dataclass

MOST_HEAD = 64 * 1024
"""Bytes of a request's line and headers."""

ODD, LONG = -1, -2

_MOST_LINE = 1024
"""Bytes of the line that says how long a chunk is."""

_HEADER = re.compile(
    rb"^(content-length|transfer-encoding|expect)[ \t]*:[ \t]*(.*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
_LOOK = re.compile(rb"(GET|HEAD) /(livez|readyz)[ ?]")


class TooLong(Exception):  # noqa: N818  # named after what is the matter
    """The line and the headers of a request do not end."""


@dataclass(frozen=True)
class Whole:
    """One request.

    Attributes:
        data: its bytes; only those up to the limit if its body is longer than any may be.
        last: whether nothing that follows on its connection can be understood.
        cut: whether its body is longer than any may be.
    """

    data: bytes
    last: bool = False
    cut: bool = False

    @property
    def is_look(self) -> bool:
        """Whether it asks whether the process lives or is ready."""
        return _LOOK.match(self.data) is not None


class Incoming:
    """Cuts what arrives on a connection into requests.

    How a request is understood is not decided here: whatever is unusual is handed on as it is, as the last one.

    Args:
        most: bytes of the longest body that is ever taken.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self._start_over()

    def _start_over(self) -> None:
        self._searched = self._body = self._chunk = 0
        self._length: int | None = None
        self._expects = False

    def __len__(self) -> int:
        """Bytes that wait for others."""
        return len(self._data)

    def take(self, data: bytes) -> None:
        """Add what has arrived."""
        self._data += data

    def whole(self) -> Whole | None:
        """The next request, once it is there; raises TooLong."""
        if not self._body and not self._has_head():
            return None
        end = self._chunked_end() if self._length is None else self._body + self._length
        if end < 0 or end - self._body > self._most:
            return self._rest(cut=end != ODD)
        if not end or len(self._data) < end:
            return None
        found = Whole(bytes(self._data[:end]))
        del self._data[:end]
        self._start_over()
        return found

    def wants_word(self) -> bool:
        """Whether the client waits to be told to go on; asked once a request."""
        expects, self._expects = self._expects, False
        return expects

    def _rest(self, *, cut: bool) -> Whole:
        data = bytes(self._data[: self._body + self._most + 1])
        self._data.clear()
        return Whole(data, last=True, cut=cut)

    def _has_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n", self._searched)
        if max(end, len(self._data) if end < 0 else 0) > MOST_HEAD:
            raise TooLong
        if end < 0:
            self._searched = max(0, len(self._data) - 3)
            return False
        self._body = self._chunk = end + 4
        self._read_head(bytes(self._data[: end + 2]))
        return True

    def _read_head(self, head: bytes) -> None:
        named = [(name.lower(), value) for name, value in _HEADER.findall(head)]
        self._expects = (b"expect", b"100-continue") in [(name, value.lower()) for name, value in named]
        lengths = [(name, value) for name, value in named if name != b"expect"]
        match lengths:
            case []:
                self._length = 0
            case [(b"content-length", digits)] if digits.isdigit() and len(digits) < 20:
                self._length = int(digits)
            case [(b"transfer-encoding", coding)] if coding.lower() == b"chunked":
                self._length = None
            case _:
                # To be refused by who understands it: with a body that is too long it is handed on at once.
                self._length = self._most + 1

    def _chunked_end(self) -> int:
        """Where a body in chunks ends; 0: not yet; ``ODD``: it is none; ``LONG``: too far away."""
        while True:
            end = self._data.find(b"\r\n", self._chunk, self._chunk + _MOST_LINE)
            if end < 0:
                return ODD if len(self._data) - self._chunk >= _MOST_LINE else 0
            digits = bytes(self._data[self._chunk : end]).partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
                return ODD
            size = int(digits, 16)
            if not size:
                return self._trailers_end(end)
            if end + 4 + size > len(self._data):
                return LONG if len(self._data) - self._body > self._most else 0
            self._chunk = end + 4 + size

    def _trailers_end(self, last_line: int) -> int:
        end = self._data.find(b"\r\n\r\n", last_line)
        if end < 0:
            return ODD if len(self._data) - last_line > MOST_HEAD else 0
        return end + 4
