"""What a worker shows over HTTP, asked by real clients while the test plays the working loop."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from threading import Event, Thread
from time import monotonic

import pytest
from prometheus_client import CollectorRegistry, Counter

from fms.errors import Fatal
from fms.runtime.health import SLOW_CLIENT_SECONDS, Endpoints

LOCAL = "127.0.0.1"


class Shown:
    """Endpoints of a worker that is ready unless it says why not."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.why: str | None = None
        self.endpoints = Endpoints(LOCAL, 0, self.registry, lambda: self.why)
        self.address = LOCAL, self.endpoints.port

    def ask(self, path: str) -> tuple[int, str]:
        """The status and text of an answer, which comes while the loop goes round."""
        found: list[tuple[int, str]] = []
        client = Thread(target=lambda: found.append(self._asked(path)))
        client.start()
        while client.is_alive():
            self.endpoints.serve_pending()
            client.join(0.001)
        return found[0]

    def _asked(self, path: str) -> tuple[int, str]:
        connection = HTTPConnection(*self.address, timeout=20)
        connection.request("GET", path)
        response: HTTPResponse = connection.getresponse()
        answer = response.status, response.read().decode()
        connection.close()
        return answer

    def serve(self) -> float:
        """Go round once; how many seconds that took."""
        began = monotonic()
        self.endpoints.serve_pending()
        return monotonic() - began


@pytest.fixture
def shown() -> Iterator[Shown]:
    made = Shown()
    yield made
    made.endpoints.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def test_a_loop_that_goes_round_is_alive(shown: Shown) -> None:
    assert shown.ask("/livez") == (200, "alive\n")


def test_a_worker_is_ready_or_says_why_it_is_not(shown: Shown) -> None:
    assert shown.ask("/readyz") == (200, "ready\n")
    shown.why = "no connection to the broker"
    assert shown.ask("/readyz") == (503, "no connection to the broker\n")


def test_metrics_are_those_of_the_registry(shown: Shown) -> None:
    Counter("fms_rows", "Rows.", registry=shown.registry).inc(3)
    status, text = shown.ask("/metrics")
    assert status == 200
    assert "fms_rows_total 3.0" in text


def test_whatever_else_is_asked_for_is_not_there(shown: Shown) -> None:
    assert shown.ask("/")[0] == 404


def test_without_a_client_the_loop_goes_on_at_once(shown: Shown) -> None:
    assert shown.serve() < SLOW_CLIENT_SECONDS


def test_a_client_that_says_nothing_is_left_and_the_next_one_is_answered(shown: Shown, stack: ExitStack) -> None:
    stack.enter_context(socket.create_connection(shown.address))
    assert shown.serve() < 10 * SLOW_CLIENT_SECONDS
    assert shown.ask("/livez") == (200, "alive\n")


def test_a_client_that_says_a_little_at_a_time_is_left_too(shown: Shown, stack: ExitStack) -> None:
    client = stack.enter_context(socket.create_connection(shown.address))
    enough = Event()

    def drip() -> None:
        for letter in b"GET /livez HTTP/1.1\r\n" * 50:
            if enough.wait(SLOW_CLIENT_SECONDS / 4):
                return
            client.send(bytes([letter]))

    dripping = Thread(target=drip)
    dripping.start()
    assert shown.serve() < 10 * SLOW_CLIENT_SECONDS
    enough.set()
    dripping.join()


def test_a_client_that_hangs_up_makes_no_noise(shown: Shown, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(shown.address) as client:
        client.send(b"GET /met")
    shown.serve()
    assert capfd.readouterr() == ("", "")
    assert shown.ask("/livez") == (200, "alive\n")


def test_a_port_that_is_taken_is_refused_in_one_line(shown: Shown) -> None:
    with pytest.raises(Fatal, match=rf"metrics_port: {LOCAL}:{shown.address[1]}: .*in use"):
        Endpoints(*shown.address, shown.registry, lambda: None)
