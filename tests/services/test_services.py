"""The private servers start, answer, stand still, die, come back and are never left behind."""

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.guard import family
from tests.services.postgres import Postgres
from tests.services.processes import Broken, Server, program, until
from tests.services.redis import Redis
from tests.services.shared import Shared, needed

ROOT = Path(__file__).resolve().parents[2]
SHORTLY = 0.3
"""Seconds in which a server that can would have answered."""


@dataclass(frozen=True)
class Greeted:
    """A server, and what every client of its kind says first."""

    server: Server
    greeting: bytes

    def answers(self) -> bool:
        return answers(self.server.port, self.greeting)


def answers(port: int, greeting: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), SHORTLY) as connection:
            connection.sendall(greeting)
            return connection.recv(1) != b""
    except OSError:
        return False


@pytest.fixture(params=["own_postgres", "own_redis", "own_broker"])
def greeted(request: pytest.FixtureRequest) -> Greeted:
    greetings = {
        "own_postgres": bytes.fromhex("00000008 04d2162f"),
        "own_redis": b"PING\r\n",
        "own_broker": b"AMQP\x00\x00\x09\x01",
    }
    return Greeted(request.getfixturevalue(request.param), greetings[request.param])


@pytest.fixture(params=[Postgres, Redis])
def kind(request: pytest.FixtureRequest) -> type[Server]:
    made: type[Server] = request.param
    needed(made).close()
    return made


def test_a_paused_server_answers_nothing_until_it_goes_on(greeted: Greeted) -> None:
    greeted.server.pause()
    assert not greeted.answers()
    greeted.server.resume()
    until(greeted.answers, "it answers again")


def test_a_killed_server_takes_its_helpers_along_and_comes_back_on_its_port(greeted: Greeted) -> None:
    before = family(greeted.server._guard or 0)
    assert before
    greeted.server.kill()
    assert not greeted.server.running
    assert not greeted.answers()
    assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]
    greeted.server.restart()
    until(greeted.answers, "it answers again")


def test_a_paused_server_can_be_killed_or_stopped(kind: type[Server]) -> None:
    with kind() as server:
        server.pause()
        server.stop()
        assert not server.running
        server.start()
        server.pause()
        server.kill()
        assert not server.running


def test_a_server_ends_when_its_owner_does_even_if_that_is_killed(kind: type[Server]) -> None:
    make = f"from {kind.__module__} import {kind.__name__} as Kind; server = Kind().start()"
    script = f"{make}; print(server._guard, server.folder, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        guard, folder = owner.stdout.readline().decode().split()
        everybody = family(int(guard))
        owner.kill()
    assert everybody
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in [*everybody, guard]), "all of it is gone")
    assert not Path(folder).exists()


def test_a_server_that_is_closed_leaves_nothing_behind(kind: type[Server]) -> None:
    with kind() as server:
        everybody = family(server._guard or 0)
    assert everybody
    assert not any(Path(f"/proc/{pid}").exists() for pid in everybody)
    assert not server.folder.exists()


def test_a_folder_that_was_given_stays_and_serves_the_next(tmp_path: Path) -> None:
    for known in (None, b"here"):
        with needed(lambda: Redis(tmp_path / "redis", save=True)) as server, server.client() as client:
            assert client.get("name") == known
            client.set("name", "here")
            server.stop()


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(Broken, match="nonsense"), needed(lambda: Redis(options=["--nonsense", "1"])):
        pass


def test_a_run_has_one_server_for_all_who_share_it(tmp_path: Path) -> None:
    made: list[int] = []

    def start(owner: int) -> str:
        made.append(owner)
        return "there"

    assert [Shared(tmp_path, 7).place("name", start) for _ in range(2)] == ["there"] * 2
    assert made == [7]


def test_where_a_program_is_missing_tests_are_skipped_but_in_ci_they_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-server is not installed"):
        needed(lambda: program("no-such-server"))
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-server is not installed"):
        needed(lambda: program("no-such-server"))
