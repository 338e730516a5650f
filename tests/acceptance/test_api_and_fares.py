"""Alerts that are made and changed over the API while prices fall: none is passed over, and none fires twice."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, product
from pathlib import Path
from random import Random
from string import ascii_uppercase
from threading import Event, Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from fms.bootstrap import CATCH_UP_MS, Site
from fms.db.tables import notification
from fms.model.clock import Clock, system_clock
from fms.model.route import slot_of_user
from fms.runs import replay
from fms.settings import Settings
from fms.shards.ownership import is_owned
from fms.sources.open import open_source
from fms.web.app import create_app
from tests.acceptance.api_client import PASSWORD, SETTINGS, Client, Served, fenced
from tests.acceptance.commands import written
from tests.acceptance.killed import found
from tests.acceptance.stacks import STAGES, Prepared, seen
from tests.contracts.making import made
from tests.services.postgres import Databases, Postgres
from tests.services.redis import Redis
from tests.services.shared import Shared

TODAY = datetime.now(UTC).date()
BEGIN = datetime.combine(TODAY - timedelta(days=1), datetime.min.time(), UTC)
DAYS = 240
EMAIL = "anna@example.org"
HIGH, LOW, TARGET = 6_000, 3_900, 4_000


@dataclass
class Town:
    """A site whose run and whose API are two sites over the same data, as two processes have them.

    Attributes:
        site: the run's.
        app: the API.
    """

    site: Site
    app: Flask
    folder: Path
    said: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None) -> TestResponse:
        """One request of its one inhabitant."""
        return self.app.test_client().open(path, method=method, json=body, headers=self.said)

    def joined(self) -> "Town":
        """Itself, with an inhabitant."""
        credentials = {"email": EMAIL, "password": PASSWORD}
        assert self.ask("POST", "/api/auth/register", credentials).status_code == 201
        tokens = self.ask("POST", "/api/auth/login", credentials).get_json()
        self.said = {"Authorization": f"Bearer {tokens['access_token']}"}
        return self

    def make(self, *wishes: dict[str, Any]) -> list[str]:
        """Make alerts over the API; answers where they are."""
        replies = [self.ask("POST", "/api/alerts", one) for one in wishes]
        assert {reply.status_code for reply in replies} <= {201}, [reply.text for reply in replies]
        return [reply.headers["Location"] for reply in replies]

    def bring(self, *wishes: dict[str, Any]) -> None:
        """Import alerts over the API."""
        lines, said = "".join(f"{json.dumps(one)}\n" for one in wishes), {"Content-Type": "application/x-ndjson"}
        reply = self.app.test_client().post("/api/alerts/import", data=lines, headers=self.said | said)
        assert reply.status_code == 200, reply.text

    def run(self, *fares: dict[str, Any]) -> None:
        """One run over fares."""
        file = written(self.folder / "fares.jsonl", fares)
        with self.site.exclusive():
            replay(self.site, [open_source(str(file))], channel=Silent())


class Silent:
    """Users hear nothing."""

    def send(self, push: Any, now: int) -> None:
        """See Channel."""


@contextmanager
def town_in(folder: Path, clock: Clock = system_clock, **settings: Any) -> Iterator[Town]:
    """A town in a folder."""
    here: dict[str, Any] = {"data": folder / "site", "batch_size": 1} | settings
    with (
        Site(Settings(**here), clock) as site,
        Site(Settings(**SETTINGS, **here), clock, served=True) as api,
    ):
        yield Town(site, create_app(api), folder).joined()


@pytest.fixture(scope="module")
def any_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One in files, whose run takes each fare for itself."""
    with town_in(tmp_path_factory.mktemp("town")) as found:
        yield found


@pytest.fixture
def story(any_town: Town) -> "Story":
    """There, on a route of its own."""
    return Story(next(ORIGINS), any_town)


ORIGINS = map("".join, product("X", ascii_uppercase, ascii_uppercase))


@dataclass(frozen=True)
class Route:
    """From somewhere to Bergamo."""

    origin: str

    def wish(self, ref: str, target: int = TARGET, day: int = 0) -> dict[str, Any]:
        """An alert."""
        departs = departure(day)
        found = {"ref": f"{self.origin} {ref}", "kind": "target", "target_minor": target, "origin": self.origin}
        return found | {"destination": "BGY", "depart_from": departs, "depart_to": departs, "currency": "GBP"}

    def fare(self, step: int, price: int, day: int = 0) -> dict[str, Any]:
        """A fare as it was seen at a step of the story."""
        seen = {"observed_at": f"{BEGIN + timedelta(seconds=step):%Y-%m-%dT%H:%M:%SZ}", "total_amount_minor": price}
        route = {"origin": self.origin, "destination": "BGY", "departure_date": departure(day), "currency": "GBP"}
        return route | seen | {"outbound_flights": ["FR1"]}


@dataclass(frozen=True)
class Story(Route):
    """What becomes of alerts for the fares of one route."""

    town: Town

    def make(self, ref: str, day: int = 0) -> None:
        """Make an alert over the API."""
        self.town.make(self.wish(ref, day=day))

    def deeds(self) -> Callable[[], object]:
        """Alerts that are made, imported, edited and resumed at once; those to be changed wait for it."""
        town = self.town
        edited, resumed = town.make(self.wish("edited", target=LOW // 2), self.wish("resumed"))
        assert town.ask("POST", f"{resumed}/pause").status_code == 200

        def act() -> None:
            self.make("made")
            town.bring(self.wish("imported"))
            assert town.ask("PUT", edited, self.wish("edited")).status_code == 200
            assert town.ask("POST", f"{resumed}/resume").status_code == 200

        return act

    def rows(self) -> list[tuple[str, str]]:
        """What is in the inbox: ref and status."""
        query = select(notification.c.ref, notification.c.status).where(is_owned(notification))
        answers = self.town.site.router.read_all(lambda connection: connection.execute(query).all())
        found = [(*row[0].split(" ", 1), row[1]) for rows in answers for row in rows]
        return [(ref, status) for origin, ref, status in found if origin == self.origin]

    def fired(self) -> Counter[str]:
        """How often each alert has fired, by ref."""
        return Counter(ref for ref, _ in self.rows())


def departure(day: int) -> str:
    """In 60 days or later."""
    return f"{TODAY + timedelta(days=60 + day)}"


@contextmanager
def meanwhile(place: str, act: Callable[[], object], nth: int, *, before: bool) -> Iterator[None]:
    """Something happens before or after the nth call of a function."""
    owner, name, call = found(place)
    calls = count(1)

    def watched(*arguments: Any, **named: Any) -> Any:
        now = next(calls) == nth
        if now and before:
            act()
        result = call(*arguments, **named)
        if now and not before:
            act()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, watched)
        yield
    assert next(calls) > nth, f"{place} was not called so often"


STEPS = [
    (f"fms.stages.{name}", before)
    for name in ("diff:Diff.process", "match:Match.process", "notify:Notify.process", "diff:Diff.settle")
    for before in (True, False)
]
"""Every moment between two steps of a batch."""


ALL_ONCE = {"made": 1, "imported": 1, "edited": 1, "resumed": 1}


@pytest.mark.parametrize("after", [[], [HIGH]], ids=["stays low", "rises at once"])
@pytest.mark.parametrize(("place", "before"), STEPS)
def test_an_alert_made_or_changed_between_two_steps_of_the_batch_in_which_its_fare_falls_fires_once(
    story: Story, place: str, *, before: bool, after: list[int]
) -> None:
    run = story.town.run
    run(story.fare(0, HIGH))
    with meanwhile(place, story.deeds(), 2, before=before):
        run(story.fare(1, HIGH, day=1), *(story.fare(step, price) for step, price in enumerate([LOW, *after], 2)))
    run(story.fare(9, HIGH, day=2))
    assert story.fired() == ALL_ONCE


def test_an_alert_that_is_written_when_the_run_in_which_its_fare_falls_is_over_fires_in_the_next_one(
    story: Story,
) -> None:
    run = story.town.run
    run(story.fare(0, HIGH))
    with meanwhile("fms.db.creation:AlertCreation.add", lambda: run(story.fare(1, LOW)), 1, before=True):
        story.make("made")
    assert story.fired() == {}
    run(story.fare(2, HIGH, day=1))
    assert story.fired() == {"made": 1}


def test_what_has_passed_an_alert_by_is_told_to_its_user(story: Story) -> None:
    story.town.run(story.fare(0, HIGH))
    with meanwhile("fms.stages.diff:Diff.settle", lambda: story.make("made"), 1, before=True):
        story.town.run(story.fare(1, LOW))
    assert story.rows() == [("made", "sent")]


def test_an_alert_that_fires_when_it_is_made_is_answered_also_if_the_inbox_cannot_be_written_just_then(
    story: Story,
) -> None:
    story.town.run(story.fare(0, LOW))
    with fenced(story.town.site, slot_of_user(EMAIL)):
        story.make("made")
    assert story.rows() == []
    story.town.run()
    assert story.rows() == [("made", "sent")]


def test_an_alert_made_while_prices_cannot_be_read_is_judged_by_the_next_run(own_redis: Redis, tmp_path: Path) -> None:
    with town_in(tmp_path, price_book_url=own_redis.url) as town:
        story = Story(next(ORIGINS), town)
        town.run(story.fare(0, LOW))
        own_redis.stop()
        made_then = town.ask("POST", "/api/alerts", story.wish("made"))
        assert made_then.status_code == 201
        answered = made_then.get_json()
        assert (answered["known_fares"], answered["trigger_minor"]) == (None, None)
        own_redis.start()
        town.run()
        assert story.fired() == {"made": 1}


@dataclass
class Later:
    """A clock that can be put forward."""

    ms: int = 0

    def __call__(self) -> int:
        return system_clock() + self.ms


def test_an_alert_made_while_workers_have_its_fare_in_hand_fires_once_when_they_catch_up(tmp_path: Path) -> None:
    clock = Later()
    with town_in(tmp_path, clock, batch_size=100) as town:
        story, site = Story("STN", town), town.site
        diff, match, act = site.diff(), site.match(), story.deeds()

        def passed_on(fare: dict[str, Any]) -> int:
            file = written(tmp_path / "fares.jsonl", [fare])
            [batch] = site.ingest().batches(open_source(str(file)))
            return len(match.process(diff.process(batch)))

        def caught_up() -> list[str]:
            return sorted(message.ref for messages in site.alerts.catch_up() for message in messages)

        assert passed_on(story.fare(0, HIGH)) == 0
        diff.settle()
        assert passed_on(story.fare(1, LOW)) == 0
        act()
        diff.settle()
        assert caught_up() == []
        clock.ms += CATCH_UP_MS
        assert caught_up() == [f"STN {ref}" for ref in sorted(ALL_ONCE)]
        clock.ms += CATCH_UP_MS
        assert caught_up() == []
        assert passed_on(story.fare(2, LOW)) == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_alerts_made_at_random_moments_of_runs_in_which_prices_fall_all_fire_once(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    at_random_moments(request, tmp_path, kind, rounds=4)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_alerts_made_at_random_moments_of_many_runs_all_fire_once(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    at_random_moments(request, tmp_path, kind, rounds=60)


def at_random_moments(request: pytest.FixtureRequest, folder: Path, kind: str, rounds: int) -> None:
    """Let people make alerts while one route after the other falls, and see each of them fire."""
    settings: dict[str, Any] = {"batch_size": DAYS // 3, "alerts_per_user": 1_000_000}
    if kind == "postgres":
        databases: Databases = request.getfixturevalue("postgres")
        settings["catalog_url"] = databases.new_database()
        made(folder / "site", settings["catalog_url"], {name: databases.new_database() for name in "ab"})
    with town_in(folder, **settings) as town:
        made_by_all = 0
        for turn, origin in zip(range(rounds), ORIGINS, strict=False):
            story = Story(origin, town)
            town.run(*(story.fare(0, HIGH, day) for day in range(DAYS)))
            with busy(story.make, Random(turn)) as refs:
                town.run(*(story.fare(1, LOW, day) for day in range(DAYS)))
            town.run()
            assert story.fired() == dict.fromkeys(refs, 1)
            made_by_all += len(refs)
        assert made_by_all > 2 * rounds


@contextmanager
def busy(make: Callable[[str, int], None], random: Random) -> Iterator[list[str]]:
    """Somebody makes alerts as fast as they can, each for a day; gives their refs."""
    over, failed = Event(), list[BaseException]()
    refs: list[str] = []

    def go_on() -> None:
        try:
            while not over.is_set():
                make(ref := f"alert {len(refs)}", random.randrange(DAYS))
                refs.append(ref)
        except BaseException as error:  # noqa: BLE001  # raised below
            failed.append(error)

    person = Thread(target=go_on, daemon=True)
    person.start()
    try:
        yield refs
    finally:
        over.set()
        person.join(60)
    assert not failed, failed


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_alerts_made_at_random_moments_while_workers_pass_falls_on_all_fire_once(
    shared_servers: Shared, broker_url: str, redis_url: str, tmp_path: Path
) -> None:
    prepared = Prepared(
        shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url), tmp_path / "site", {}
    )
    stack, routes = prepared.copy(broker_url, redis_url), [Route(next(ORIGINS)) for _ in range(20)]
    highs = [route.fare(0, HIGH, day) for route in routes for day in range(DAYS)]
    stack.fms("queues", "declare")
    stack.fms("ingest", "--replay", written(tmp_path / "highs.jsonl", highs))
    stack.drained()
    stack.begin(*STAGES)
    try:
        with Served(stack.env, tmp_path) as api:
            anna = Client(api).joined()
            refs: list[str] = []
            for route in routes:

                def make(ref: str, day: int, route: Route = route) -> None:
                    anna.ask("POST", "/api/alerts", route.wish(ref, day=day)).checked(201)

                lows = written(tmp_path / "lows.jsonl", [route.fare(1, LOW, day) for day in range(DAYS)])
                with busy(make, Random(route.origin)) as made_here:
                    stack.fms("ingest", "--replay", lows)
                    seen(lambda: not stack.waiting(), "all is passed on")
                refs += [f"{route.origin} {ref}" for ref in made_here]
            seen(lambda: len({row["ref"] for row in stack.notifications()}) == len(refs), "all have fired")
        assert Counter(row["ref"] for row in stack.notifications()) == dict.fromkeys(refs, 1)
    finally:
        stack.stop()
        prepared.drop()
