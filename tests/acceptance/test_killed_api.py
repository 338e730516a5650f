"""The API killed around each of its commits, and its databases under it: what was answered is there, and there once."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any, Self
from uuid import UUID

import pytest
from sqlalchemy import func, select

from fms.bootstrap import Site, open_site
from fms.db.tables import user_account
from fms.shards.engine import reading
from fms.shards.ownership import SHARD
from tests.acceptance.api_client import LONGEST, Client, Mortals, Reply, Request, Served
from tests.acceptance.commands import fms, written
from tests.acceptance.harness import environment
from tests.contracts.making import made
from tests.rebalance.dying import Fate
from tests.services.postgres import Databases, Postgres
from tests.services.processes import until
from tests.services.shared import Shared

TODAY = datetime.now(UTC).date()
FARE: dict[str, Any] = {
    "origin": "STN", "destination": "BGY", "departure_date": f"{TODAY + timedelta(days=60)}", "currency": "GBP",
    "outbound_flights": ["FR1"], "total_amount_minor": 3_900, "observed_at": f"{TODAY - timedelta(days=1)}T00:00:00Z",
}  # fmt: skip
WISH: dict[str, Any] = {
    "kind": "target", "target_minor": 4_000, "origin": "STN", "destination": "BGY", "currency": "GBP",
    "depart_from": f"{TODAY + timedelta(days=50)}", "depart_to": f"{TODAY + timedelta(days=70)}",
}  # fmt: skip
"""Fulfilled by the fare that is known: so a request for it commits all that one can."""

REFS = map("alert {}".format, count())


@dataclass(frozen=True)
class House:
    """A site with an API that dies.

    Attributes:
        api: the same.
        folder: of the site, and for files.
        env: the settings for commands.
    """

    api: Mortals
    folder: Path
    env: dict[str, str]

    def fms(self, *arguments: str | Path) -> list[Any]:
        """The lines of what a command prints as JSON."""
        with environment(**self.env):
            return fms(*arguments, "--json").checked().lines

    def run(self) -> None:
        """A run that brings no news."""
        self.fms("run", "--replay", written(self.folder / "none.jsonl", []))

    def told(self) -> Counter[str]:
        """How often each alert has fired, by ref."""
        return Counter(row["ref"] for row in self.fms("notifications", "list"))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_servers: Shared
) -> Iterator[House]:
    """A site of two shards of one kind, with a fare in its price book."""
    folder = tmp_path_factory.mktemp("house")
    settings = {"data": str(folder / "site")}
    databases = None
    if request.param == "postgres":
        databases = Databases(shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url))
        settings["catalog_url"] = databases.new_database()
        made(folder / "site", settings["catalog_url"], {name: databases.new_database() for name in "ab"})
    env = {f"FMS_{name.upper()}": value for name, value in settings.items()}
    with environment(**env):
        report = fms("run", "--replay", written(folder / "fares.jsonl", [FARE]), "--json").checked().report
        assert report["first_seen"] == 1
    with Mortals(settings) as api:
        yield House(api, folder, env)
    if databases:
        databases.drop()


def creation(who: Client, key: str | None = None) -> Request:
    """A request for an alert of a new ref."""
    return Request("POST", "/api/alerts", WISH | {"ref": next(REFS)}, who.said(key))


def named(who: Client, request: Request) -> list[dict[str, Any]]:
    """The alerts that have the ref of a request."""
    return [one for one in who.alerts() if one["ref"] == request.body["ref"]]


def test_an_alert_asked_for_with_a_key_is_made_once_and_has_one_answer_whenever_the_api_dies(house: House) -> None:
    anna, asked = Client(house.api).joined(), []
    for death, request in house.api.die_of(lambda: creation(anna, f"key {next(REFS)}")):
        # Nothing of it is there, or all that was promised is.
        assert len(named(anna, request)) == (death.committed > 0)
        first, second = house.api.again(request), house.api.again(request)
        assert first.checked(201)["trigger_minor"]
        assert (second.status, second.text, second.headers["etag"]) == (201, first.text, first.headers["etag"])
        assert len(named(anna, request)) == 1
        asked.append(request.body["ref"])
    assert len(asked) >= 6
    fired_once(house, asked)


def test_an_alert_asked_for_without_a_key_is_made_at_most_once_whenever_the_api_dies(house: House) -> None:
    anna, there = Client(house.api).joined(), []
    for death, request in house.api.die_of(lambda: creation(anna)):
        found = named(anna, request)
        assert len(found) == (death.committed > 0)
        # By its ref whoever asks again knows that it is there.
        assert house.api.again(request).status == (409 if found else 201)
        assert len(named(anna, request)) == 1
        there.append(request.body["ref"])
    assert len(there) >= 6
    fired_once(house, there)


def fired_once(house: House, refs: list[str]) -> None:
    """What alerts have to tell when they are made or changed reaches their user after the next run, and once."""
    house.run()
    told = house.told()
    assert {ref: told[ref] for ref in refs} == dict.fromkeys(refs, 1)


def test_what_was_answered_with_201_is_there_after_the_api_has_died(house: House) -> None:
    anna = Client(house.api).joined()
    request = creation(anna, "answered")
    first = house.api.again(request)
    # To be sent again it needs no commit: there is none at which one could die.
    assert list(house.api.die_of(lambda: request)) == []
    assert house.api.again(request).text == first.text
    assert [one["id"] for one in named(anna, request)] == [first.checked(201)["id"]]


def test_a_change_is_made_whole_or_not_at_all_and_judged_in_the_end_whenever_the_api_dies(house: House) -> None:
    anna, changed = Client(house.api).joined(), []

    def change() -> Request:
        made = creation(anna)
        reply = house.api.again(replace(made, body=made.body | {"target_minor": 3_000}))
        changed.append((made.body["ref"], reply.headers["etag"]))
        said = anna.said(**{"If-Match": reply.headers["etag"]})
        return Request("PUT", reply.headers["location"], WISH | {"target_minor": 4_500}, said)

    for death, request in house.api.die_of(change):
        now = anna.ask("GET", request.path)
        done = now.checked()["target_minor"] == 4_500
        assert done == (death.committed > 0)
        assert done or (now.json["target_minor"], now.headers["etag"]) == (3_000, changed[-1][1])
        assert house.api.again(request).status == (412 if done else 200)
    assert len(changed) > 6
    fired_once(house, [ref for ref, _ in changed])


def test_an_import_can_be_repeated_and_makes_each_alert_once_whenever_the_api_dies(house: House) -> None:
    anna, refs = Client(house.api).joined(), list[str]()

    def importing() -> Request:
        # In two shards; the first of them is fulfilled.
        wishes = [WISH | {"ref": next(REFS)}, WISH | {"ref": next(REFS), "origin": "JFK", "destination": "LHR"}]
        refs.extend(wish["ref"] for wish in wishes)
        return Request("POST", "/api/alerts/import", "\n".join(map(json.dumps, wishes)), anna.said())

    for _, request in house.api.die_of(importing):
        assert house.api.again(request).status == 200
    assert len(refs) > 16
    assert sorted(one["ref"] for one in anna.alerts()) == sorted(refs)
    fired_once(house, refs[::2])


def test_an_alert_is_deleted_whole_or_not_at_all_whenever_the_api_dies(house: House) -> None:
    anna, deaths = Client(house.api).joined(), 0

    def deletion() -> Request:
        return Request("DELETE", house.api.again(creation(anna)).headers["location"], None, anna.said())

    for death, request in house.api.die_of(deletion):
        gone = death.committed > 0
        assert anna.ask("GET", request.path).status == (404 if gone else 200)
        assert house.api.again(request).status == (404 if gone else 204)
        assert anna.ask("GET", request.path).status == 404
        deaths += 1
    assert deaths >= 2


def test_a_registration_can_be_repeated_whenever_the_api_dies(house: House) -> None:
    deaths = 0

    def registration() -> Request:
        return Request("POST", "/api/auth/register", Client(house.api).credentials)

    for death, request in house.api.die_of(registration):
        login = Request("POST", "/api/auth/login", request.body)
        assert house.api.again(login).status == (200 if death.committed else 401)
        assert house.api.again(request).status == 201
        assert house.api.again(login).status == 200
        deaths += 1
    assert deaths >= 2


def test_a_login_can_be_repeated_whenever_the_api_dies(house: House) -> None:
    anna, deaths = Client(house.api).joined(), 0
    for _, request in house.api.die_of(lambda: Request("POST", "/api/auth/login", anna.credentials)):
        assert house.api.again(request).status == 200
        deaths += 1
    assert deaths >= 2
    # Its own, those repeated, the one of which nobody died, and that whose answer was lost.
    assert len(anna.ask("GET", "/api/account/sessions").checked()["items"]) == 1 + deaths + 1 + deaths // 2


def test_a_refresh_token_whose_answer_was_lost_is_used_up_if_and_only_if_that_was_committed(house: House) -> None:
    deaths, people = 0, []

    def renewal() -> Request:
        people.append(Client(house.api).joined())
        return Request("POST", "/api/auth/refresh", {"refresh_token": people[-1].refresh})

    for death, request in house.api.die_of(renewal):
        used = death.committed > 0
        assert house.api.again(request).status == (401 if used else 200)
        # Nobody knows who has the lost one: the login has ended.
        assert people[-1].ask("GET", "/api/account").status == (401 if used else 200)
        assert people[-1].logged_in().ask("GET", "/api/account").status == 200
        deaths += 1
    assert deaths >= 2


def test_a_deletion_of_an_account_that_has_begun_is_finished_whenever_the_api_dies(house: House) -> None:
    deaths, people = 0, {}

    def deletion() -> Request:
        anna = Client(house.api).joined()
        for wish in (WISH, WISH | {"origin": "JFK", "destination": "LHR"}):
            anna.ask("POST", "/api/alerts", wish, key=wish["origin"]).checked(201)
        people[anna.ask("GET", "/api/account").checked()["id"]] = anna.email
        return Request("DELETE", "/api/account", {"password": anna.credentials["password"]}, anna.said())

    for death, request in house.api.die_of(deletion):
        # Who is told that it has failed can ask again; else nobody gets in any more, and it is finished for them.
        assert house.api.again(request).status == (401 if death.committed else 204)
        deaths += 1
    assert deaths >= 8
    house.fms("db", "maintain")
    with open_site(**{name.removeprefix("FMS_").lower(): value for name, value in house.env.items()}) as site:
        assert rows_of(site, [UUID(one) for one in people]) == {}
    assert not set(people.values()) & {row["email"] for row in house.fms("users", "list")}


def rows_of(site: Site, users: list[UUID]) -> dict[str, int]:
    """How many rows there are about some users, by table, those of none left out."""
    found: Counter[str] = Counter()
    for table in SHARD.sorted_tables:
        if "user_id" in table.c or table is user_account:
            column = table.c.id if table is user_account else table.c.user_id
            query = select(func.count()).select_from(table).where(column.in_(users))
            for shard in site.router.all():
                with reading(shard.engine) as connection:
                    found[table.name] += connection.execute(query).scalar_one()
    return {name: count for name, count in found.items() if count}


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_whenever_the_api_dies_of_a_request_and_of_the_same_one_sent_again_it_is_carried_out_once(house: House) -> None:
    anna, asked = Client(house.api).joined(), []
    places = [Fate(nth, before=before) for nth in range(1, 6) for before in (True, False)]
    for first in places:
        for second in places:
            request = creation(anna, f"key {next(REFS)}")
            for fate in (first, second):
                house.api.try_to(request, fate)
            reply = house.api.again(request)
            assert house.api.again(request).text == reply.text
            assert [one["id"] for one in named(anna, request)] == [reply.checked(201)["id"]]
            asked.append(request.body["ref"])
    fired_once(house, asked)


class Load(Thread):
    """Somebody who makes one alert after the other, each with a key, and asks until it is answered with 201.

    Attributes:
        first: key → the first answer.
        refused: how often they were told to ask again.
        seconds: how long the longest request took.
    """

    def __init__(self, who: Client, number: int) -> None:
        super().__init__(daemon=True)
        self._who = who
        self._number = number
        self.ending = Event()
        self.first: dict[str, Reply] = {}
        self.refused = 0
        self.seconds = 0.0
        self.failed: BaseException | None = None

    def run(self) -> None:
        """What the thread does."""
        try:
            while not self.ending.is_set():
                key = f"{self._number} {len(self.first)}"
                self.first[key] = self.insist(key)
        except BaseException as error:  # noqa: BLE001  # raised by works
            self.failed = error

    def insist(self, key: str) -> Reply:
        """Ask until there is an answer."""
        while True:
            began = monotonic()
            reply = self._who.ask("POST", "/api/alerts", WISH, key=key)
            self.seconds = max(self.seconds, monotonic() - began)
            if reply.status == 201:
                return reply
            assert (reply.status, reply.json["type"]) == (503, "urn:fms:problem:unavailable"), reply.text
            assert int(reply.headers["retry-after"]) > 0
            self.refused += 1

    def works(self) -> Self:
        """Themselves; raises what went wrong."""
        if self.failed:
            raise self.failed
        return self

    def end(self) -> None:
        """Wait for the end; raises as ``works``."""
        self.ending.set()
        self.join(60)
        assert not self.works().is_alive()


HEALED_SECONDS = 8
"""After which everybody must be answered again once a server is back."""


def test_databases_that_are_killed_under_load_lose_and_double_nothing(own_postgres: Postgres, tmp_path: Path) -> None:
    killed_under_load(own_postgres, tmp_path, times=2)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_databases_that_are_killed_again_and_again_lose_and_double_nothing(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    killed_under_load(own_postgres, tmp_path, times=40)


def killed_under_load(server: Postgres, folder: Path, times: int) -> None:
    """Kill the server of all databases of a site while people make alerts: all is answered, and each made once."""
    databases = Databases(server.url)
    catalog = databases.new_database()
    made(folder / "site", catalog, {name: databases.new_database() for name in "ab"})
    env = {"FMS_DATA": str(folder / "site"), "FMS_CATALOG_URL": catalog, "FMS_SERVE_PROCESSES": "2"}
    with Served(env | {"FMS_ALERTS_PER_USER": "1000000"}, folder) as api:
        people = [Client(api).joined() for _ in range(2)]
        load = [Load(people[number % 2], number) for number in range(4)]
        for one in load:
            one.start()
        all_get_on(load)
        for turn in range(times):
            server.kill()
            # The one time when all have noticed, the other at once.
            if turn % 2 == 0:
                all_are_refused(load)
            server.start()
            all_get_on(load)
        for one in load:
            one.end()
        assert sum(one.refused for one in load) > 0
        assert max(one.seconds for one in load) < LONGEST
        ids = sorted(reply.json["id"] for one in load for reply in one.first.values())
        assert sorted(alert["id"] for who in people for alert in who.alerts()) == ids
        assert [one.insist(key).text for one in load for key in one.first] == [
            reply.text for one in load for reply in one.first.values()
        ]


def all_are_refused(load: list[Load]) -> None:
    """Wait until everybody was told to ask again once more."""
    before = [one.refused for one in load]
    until(lambda: all(one.works().refused > had for one, had in zip(load, before, strict=True)), "all are refused")


def all_get_on(load: list[Load]) -> None:
    """Wait until everybody has had some more answers."""
    before = [len(one.first) for one in load]
    until(
        lambda: all(len(one.works().first) > had + 2 for one, had in zip(load, before, strict=True)),
        "all are answered",
        HEALED_SECONDS,
    )
