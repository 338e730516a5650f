"""Bytes are cut into requests, however they arrive, and what is unusual is handed on as the last of its connection."""

import pytest

from fms.web.incoming import Incoming, TooLong, Whole

MOST = 1000
HEAD = b"POST /x HTTP/1.1\r\nHost: h\r\n"
PLAIN = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
SIZED = HEAD + b"content-LENGTH:  5 \r\n\r\nhello"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
BARE = HEAD + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"


def cut(data: bytes, step: int) -> list[Whole]:
    """The requests in some bytes that arrive so many at a time."""
    incoming, found = Incoming(MOST), []
    for start in range(0, len(data), step):
        incoming.take(data[start : start + step])
        while request := incoming.whole():
            found.append(request)
    assert not incoming
    return found


@pytest.mark.parametrize("step", [1, 2, 7, 10_000])
def test_requests_are_told_apart_however_they_arrive(step: int) -> None:
    sent = [PLAIN, SIZED, CHUNKED, BARE, SIZED, PLAIN]
    assert cut(b"".join(sent), step) == [Whole(one) for one in sent]


@pytest.mark.parametrize("whole", [PLAIN, SIZED, CHUNKED, BARE])
def test_nothing_is_handed_on_before_its_last_byte(whole: bytes) -> None:
    incoming = Incoming(MOST)
    for byte in whole[:-1]:
        incoming.take(bytes([byte]))
        assert incoming.whole() is None
    incoming.take(whole[-1:])
    assert incoming.whole() == Whole(whole)


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length: 1001\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"7ff\r\n" + b"x" * 1001,
    ],
)
def test_what_may_be_understood_in_two_ways_is_the_last_of_its_connection(headers: bytes) -> None:
    incoming = Incoming(MOST)
    incoming.take(HEAD + headers + b"\r\n" + PLAIN * 50)
    found = incoming.whole()
    assert found is not None
    assert found.last
    assert len(found.data) < 2 * MOST + len(HEAD + headers)
    assert not incoming


def test_a_head_has_a_longest_length() -> None:
    incoming = Incoming(MOST)
    incoming.take(HEAD + b"X: " + b"x" * 65_536)
    with pytest.raises(TooLong):
        incoming.whole()


def test_whoever_asks_whether_to_go_on_is_told_once() -> None:
    incoming = Incoming(MOST)
    incoming.take(HEAD + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
    assert incoming.whole() is None
    assert [incoming.wants_word(), incoming.wants_word()] == [True, False]
    incoming.take(b"hello" + SIZED[:-1])
    assert incoming.whole() is not None
    assert incoming.whole() is None
    assert not incoming.wants_word()


@pytest.mark.parametrize(
    ("line", "is_look"),
    [("GET /livez", True), ("HEAD /readyz", True), ("GET /readyz?x=1", True), ("POST /livez", False), ("GET /a", False),
     ("GET /livezz", False), ("GET /api/livez", False)],
)  # fmt: skip
def test_checks_are_told_from_other_requests(line: str, is_look: bool) -> None:
    found = cut(f"{line} HTTP/1.1\r\n\r\n".encode(), 100)
    assert [one.is_look for one in found] == [is_look]
