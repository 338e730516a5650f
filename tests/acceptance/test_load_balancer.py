"""Three API processes behind HAProxy: they are killed and restarted in turn, and nobody who asks safely notices."""

import http.client
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import pytest

from tests.acceptance.api_client import LONGEST, SETTINGS, Client, Reply
from tests.acceptance.commands import ended, fms, start
from tests.acceptance.harness import environment
from tests.services import guard
from tests.services.haproxy import HAProxy
from tests.services.postgres import Databases, Postgres
from tests.services.processes import free_port, until
from tests.services.shared import Shared, needed

ALERT = {"kind": "target", "depart_from": "2027-10-01", "depart_to": "2027-10-14", "currency": "GBP"}
ROUTES = [("STN", "BGY"), ("LIS", "OPO"), ("JFK", "LHR"), ("DUB", "AGP"), ("CDG", "NCE")]
PEOPLE = 3


@dataclass
class Api:
    """One process of the API, with those that it looks after."""

    port: int
    env: Mapping[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it, again perhaps."""
        with self.log.open("ab") as log:
            self.process = start("serve", "--port", str(self.port), env=self.env, stderr=log.fileno())

    def is_ready(self) -> bool:
        """Whether it says so itself: a balancer may not yet have noticed that it was away."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=LONGEST) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """Kill all of it at once."""
        assert self.process is not None
        # First it stands still: it would start others for those that die before it.
        guard.send([self.process.pid], signal.SIGSTOP)
        guard.send([*guard.family(self.process.pid), self.process.pid], signal.SIGKILL)
        ended(self.process)
        self.process = None

    def close(self) -> None:
        """Leave nothing of it behind."""
        if self.process is not None:
            self.kill()

    def stop(self) -> int:
        """Ask it to end; answers its exit code."""
        assert self.process is not None
        self.process.terminate()
        code = ended(self.process).code
        self.process = None
        return code


@dataclass
class Balanced:
    """HAProxy in front of the APIs of one site; it answers as an ``Api`` of ``api_client`` does."""

    proxy: HAProxy
    apis: list[Api]

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=3 * LONGEST)
        content = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {**content, **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read().decode())
        finally:
            connection.close()

    def all_up(self) -> None:
        """Wait until HAProxy sends requests to each of them."""
        until(lambda: all(api.is_ready() for api in self.apis), "all are ready")
        until(lambda: set(self.proxy.states.values()) == {"UP"}, f"all are up: {self.proxy.states}")


@pytest.fixture(scope="module")
def balanced(shared_servers: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    """A site on two PostgreSQL shards, three APIs of it, and HAProxy."""
    folder = tmp_path_factory.mktemp("balanced")
    databases = Databases(shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url))
    env = {f"FMS_{name.upper()}": str(value) for name, value in SETTINGS.items()} | {
        "FMS_DATA": str(folder / "site"),
        "FMS_CATALOG_URL": databases.new_database(),
        "FMS_TRUSTED_PROXIES": "1",
        "FMS_ALERTS_PER_USER": "100000",
    }
    shards = [f"--shard={name}={databases.new_database()}" for name in "ab"]
    with environment(**env):
        fms("init", *shards).checked()
    apis = [Api(free_port(), env, folder / f"api-{number}.log") for number in range(3)]
    with ExitStack() as stack:
        stack.callback(databases.drop)
        proxy = stack.enter_context(needed(lambda: HAProxy(tuple(api.port for api in apis))))  # type: ignore[arg-type]  # they are three
        for api in apis:
            stack.callback(api.close)
            api.start()
        found = Balanced(proxy, apis)
        found.all_up()
        yield found


_NUMBERS = count(1)


@dataclass
class Load:
    """Somebody who asks without a pause, and remembers what for.

    Attributes:
        keyed, bare: numbers of the alerts asked for with a key, and without one.
        failed: answers that safe requests should not have had.
        answered, lost: numbers of the bare ones that were answered, and that were not.
    """

    client: Client
    kept: str
    keyed: list[int] = field(default_factory=list)
    bare: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    rounds: int = 0

    def run(self, over: Event) -> None:
        """Until it is over."""
        while not over.is_set():
            self.rounds += 1
            self._look()
            self._make(next(_NUMBERS), uuid4().hex)
            self._make(next(_NUMBERS), None)

    def _look(self) -> None:
        for path in (f"/api/alerts/{self.kept}", "/api/alerts?limit=5"):
            self._note(f"GET {path}", self.client.ask("GET", path), 200)

    def _make(self, number: int, key: str | None) -> None:
        origin, destination = ROUTES[number % len(ROUTES)]
        # Without a ref nothing but the key keeps it from being made twice.
        wish = ALERT | {"target_minor": number, "origin": origin, "destination": destination}
        (self.bare if key is None else self.keyed).append(number)
        try:
            reply = self.client.ask("POST", "/api/alerts", wish, key=key)
        except (OSError, http.client.HTTPException) as error:
            reply = Reply(0, {}, repr(error))
        if key is not None:
            self._note(f"POST {number}", reply, 201)
        elif reply.status == 201:
            self.answered.append(number)
        elif reply.status not in (0, 502, 503, 504):
            self.failed.append(f"POST {number} without a key: {reply.status} {reply.text}")

    def _note(self, what: str, reply: Reply, wanted: int) -> None:
        if reply.status != wanted:
            self.failed.append(f"{what}: {reply.status} {reply.text}")


def loaded(balanced: Balanced) -> list[Load]:
    people = [Client(balanced).joined() for _ in range(PEOPLE)]
    first = ALERT | {"target_minor": 1_000_000, "origin": "STN", "destination": "BGY"}
    return [Load(one, one.ask("POST", "/api/alerts", first).checked(201)["id"]) for one in people]


def go_on(loads: list[Load]) -> None:
    """Wait until people have asked for something more."""
    before = sum(load.rounds for load in loads)
    until(lambda: sum(load.rounds for load in loads) > before + 5, "they go on asking")


def struck(balanced: Balanced, loads: list[Load], rounds: int) -> None:
    """Kill each API and start it again, and meanwhile restart the next in order, while people ask."""
    over = Event()
    threads = [Thread(target=load.run, args=(over,)) for load in loads]
    for thread in threads:
        thread.start()
    try:
        for place in range(rounds * len(balanced.apis)):
            killed, restarted = (balanced.apis[number % len(balanced.apis)] for number in (place, place + 1))
            killed.kill()
            assert restarted.stop() == 0
            go_on(loads)
            killed.start()
            restarted.start()
            balanced.all_up()
    finally:
        over.set()
        for thread in threads:
            thread.join()


def check(loads: list[Load]) -> None:
    assert [failure for load in loads for failure in load.failed] == []
    for load in loads:
        assert len(load.keyed) > 10
        there = Counter(alert["target_minor"] for alert in load.client.alerts())
        assert there.pop(1_000_000) == 1
        assert {number: there[number] for number in load.keyed} == dict.fromkeys(load.keyed, 1)
        assert {number: there[number] for number in load.answered} == dict.fromkeys(load.answered, 1)
        assert max(there.values()) == 1
        assert set(there) <= set(load.keyed) | set(load.bare)


def test_apis_are_killed_and_restarted_and_nobody_who_asks_safely_notices(balanced: Balanced) -> None:
    loads = loaded(balanced)
    struck(balanced, loads, 1)
    check(loads)


@pytest.mark.soak
def test_the_same_for_longer(balanced: Balanced) -> None:
    loads = loaded(balanced)
    struck(balanced, loads, 8)
    check(loads)


def test_only_what_is_everybodys_business_is_let_through(balanced: Balanced) -> None:
    for path in ("/metrics", "/livez", "/readyz"):
        assert balanced.ask("GET", path).status == 404
    forged = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
    assert balanced.ask("GET", "/api/docs", headers=forged).status == 200
    lines = [line for api in balanced.apis for line in api.log.read_text().splitlines() if "/api/docs" in line]
    assert lines
    assert all("address=127.0.0.1" in line for line in lines)
