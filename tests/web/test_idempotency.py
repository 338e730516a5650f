"""Requests that are sent again or at the same time: one alert of a key, one answer, and one change of a version."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Barrier, Event
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from flask import Flask

from fms.bootstrap import Site
from fms.db.alerts import Judge
from fms.db.creation import Key, New
from fms.db.retention import maintain
from fms.db.tables import idempotency_key
from fms.model.alert import Alert
from fms.model.alert_document import parse_alert
from fms.model.clock import HOUR_MS
from fms.model.ids import parse_id
from fms.model.notification import Message
from fms.model.route import slot_of_od
from fms.rebalance.mover import Pace
from fms.settings import Settings
from fms.shards.engine import writing
from fms.web.app import create_app
from fms.web.parts import Parts
from tests.acceptance.api_client import fenced
from tests.contracts.making import made, sqlite
from tests.contracts.waiting import somebody_waits
from tests.rebalance.conftest import founded
from tests.rebalance.ground import ROUTES, SLOTS
from tests.services.postgres import Databases, Postgres
from tests.services.shared import Shared
from tests.web.conftest import OPEN_LIMITS, MakeApp
from tests.web.people import ALERT, Person, Reply

Answer = TypeVar("Answer")

THREADS = 8

SLOT = slot_of_od("STN-BGY")
ELSEWHERE = ALERT | {"origin": "JFK", "destination": "LHR"}
"""On a route of the other shard."""


@contextmanager
def api_of(folder: Path, **settings: Any) -> Iterator[Flask]:
    """The API of a site of two shards in a folder."""
    with Site(Settings(**{"data": folder / "site", **OPEN_LIMITS, **settings}), served=True) as site:
        yield create_app(site)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The API of a site of files, one for all tests: they are about new people each."""
    with api_of(tmp_path_factory.mktemp("files")) as found:
        yield found


@pytest.fixture(scope="module")
def postgres_app(tmp_path_factory: pytest.TempPathFactory, shared_servers: Shared) -> Iterator[Flask]:
    """The same on PostgreSQL."""
    databases = Databases(shared_servers.place("postgres", lambda owner: Postgres(owner=owner).start().url))
    catalog, folder = databases.new_database(), tmp_path_factory.mktemp("databases")
    made(folder / "site", catalog, {name: databases.new_database() for name in "ab"})
    with api_of(folder, catalog_url=catalog) as found:
        yield found
    databases.drop()


@pytest.fixture(params=["app", "postgres_app"])
def cleo(request: pytest.FixtureRequest) -> Person:
    """Somebody with an account on either."""
    return Person(request.getfixturevalue(request.param)).joined()


def create(who: Person, key: str | None = "k", body: dict[str, Any] = ALERT) -> Reply:
    """Ask for an alert."""
    return who.ask("POST", "/api/alerts", body, headers={} if key is None else {"Idempotency-Key": key})


def listed(who: Person) -> list[dict[str, Any]]:
    """Their alerts."""
    found: list[dict[str, Any]] = who.ask("GET", "/api/alerts").checked()["items"]
    return found


def parts_of(app: Flask) -> Parts:
    """The services of an app."""
    found: Parts = app.extensions["fms"]
    return found


def at_once(works: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """What works answer that begin in the same moment, each in a thread."""
    barrier = Barrier(len(works))

    def begin(work: Callable[[], Answer]) -> Answer:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def test_the_second_route_of_these_tests_is_in_another_shard(app: Flask) -> None:
    router = parts_of(app).site.router
    assert router.of(SLOT) is not router.of(slot_of_od("JFK-LHR"))


def test_a_request_sent_again_with_its_key_makes_one_alert_and_has_the_same_answer(anna: Person) -> None:
    first, again = create(anna), create(anna, body=dict(reversed(ALERT.items())))
    assert (first.status, again.status) == (201, 201)
    assert again.text == first.text
    assert all(again.headers[name] == first.headers[name] for name in ("ETag", "Location"))
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert [one["id"] for one in listed(anna)] == [first.json["id"]]
    now = anna.ask("GET", first.headers["Location"])
    assert now.headers["ETag"] == first.headers["ETag"]
    assert now.json.items() <= first.json.items()


def test_without_a_key_each_request_makes_an_alert(anna: Person) -> None:
    assert create(anna, None).checked(201)["id"] != create(anna, None).checked(201)["id"]
    assert len(listed(anna)) == 2


def test_many_requests_with_one_key_at_once_make_one_alert_and_have_one_answer(cleo: Person) -> None:
    for turn in range(5):
        replies = at_once([partial(create, cleo, f"turn {turn}")] * THREADS)
        assert {reply.status for reply in replies} == {201}
        assert len({(reply.text, reply.headers["ETag"]) for reply in replies}) == 1
        assert [reply.headers.get("Idempotency-Replayed") for reply in replies].count(None) == 1
        # The answer is that of an alert which is on its guard already.
        assert replies[0].json["trigger_minor"] == 4000
        assert len(listed(cleo)) == turn + 1


@pytest.mark.parametrize("body", [ALERT | {"target_minor": 3000}, ELSEWHERE], ids=["another price", "another shard"])
def test_a_key_used_for_another_alert_is_refused_and_nothing_is_made(anna: Person, body: dict[str, Any]) -> None:
    first = create(anna).checked(201)
    refused = create(anna, body=body)
    assert (refused.status, refused.json["type"]) == (422, "urn:fms:problem:key-reused")
    assert refused.json["errors"][0]["header"] == "Idempotency-Key"
    assert [one["id"] for one in listed(anna)] == [first["id"]]


def test_the_same_key_of_somebody_else_is_another_key(anna: Person, ben: Person) -> None:
    theirs = create(anna).checked(201), create(ben, body=ELSEWHERE).checked(201)
    assert create(anna).json == theirs[0]
    assert [len(listed(who)) for who in (anna, ben)] == [1, 1]


def test_the_first_answer_is_given_also_after_the_alert_was_changed_and_deleted(anna: Person) -> None:
    first = create(anna)
    where = first.headers["Location"]
    anna.ask("PUT", where, ALERT | {"target_minor": 3000}).checked()
    assert create(anna).text == first.text
    assert anna.ask("DELETE", where).status == 204
    again = create(anna)
    assert (again.status, again.text) == (201, first.text)
    assert listed(anna) == []


@pytest.mark.parametrize("key", ["", "k" * 256, "schl\u00fcssel", "a\tb", "a\x7fb"], ids=ascii)
def test_a_key_that_is_none_is_refused_and_nothing_is_made(anna: Person, key: str) -> None:
    refused = create(anna, key)
    assert (refused.status, refused.json["errors"][0]["header"]) == (422, "Idempotency-Key")
    assert listed(anna) == []


@pytest.mark.parametrize("key", ["k", "k" * 255, '"8e03978e-40d5"', "a b, c; d"])
def test_any_printable_text_is_a_key(anna: Person, key: str) -> None:
    assert create(anna, key).text == create(anna, key).text
    assert len(listed(anna)) == 1


@pytest.mark.parametrize(("hours", "made_again"), [(47, False), (49, True)])
def test_a_key_is_forgotten_by_maintain_when_its_time_is_over(anna: Person, hours: int, *, made_again: bool) -> None:
    first, site = create(anna).checked(201), parts_of(anna.app).site
    now = site.clock()
    maintain(site.router, site.settings, now, now + hours * HOUR_MS)
    assert (create(anna).checked(201)["id"] != first["id"]) == made_again
    assert len(listed(anna)) == 1 + made_again


def test_a_refused_request_does_not_use_its_key_up(anna: Person) -> None:
    assert create(anna, body=ALERT | {"target_minor": -1}).status == 422
    create(anna, None, ALERT | {"ref": "mine"}).checked(201)
    assert create(anna, body=ALERT | {"ref": "mine"}).status == 409
    create(anna).checked(201)


def wished(who: Person, body: dict[str, Any], ref: str) -> Alert:
    """An alert of theirs that was not written yet."""
    user, site = parts_of(who.app).accounts.find(who.email).user, parts_of(who.app).site
    wish = parse_alert(body | {"ref": ref})
    return Alert(
        site.mint.new(slot_of_od(wish.criteria.od)), user.id, user.email, ref, wish.kind, wish.amount, wish.criteria
    )


def test_a_ref_that_is_taken_in_the_last_moment_does_not_use_the_key_up(cleo: Person) -> None:
    creation, first = parts_of(cleo.app).creation, create(cleo, None, ALERT | {"ref": "mine"}).checked(201)
    new = New(wished(cleo, ALERT, "mine"), None, key=Key("k", "a request", "{}"))
    assert str(creation.add(new)) == first["id"]
    create(cleo).checked(201)


def test_a_key_used_in_two_places_in_the_same_moment_goes_on_to_answer_each_request(cleo: Person) -> None:
    # Neither of two requests that begin at once can see what the other one does in its shard.
    creation = parts_of(cleo.app).creation
    here = [ALERT, ELSEWHERE, ALERT | {"origin": "LHR", "destination": "JFK"}]
    for number, body in enumerate(here):
        key = Key("k", f"request {number}", "{}")
        assert creation.add(New(wished(cleo, body, f"alert {number}"), None, key=key)) == []
    user = parts_of(cleo.app).accounts.find(cleo.email).user
    for number in range(len(here)):
        found = creation.census(user.id, "another", Key("k", f"request {number}"), 10).repeat
        assert found is not None
        assert found.request == f"request {number}"
    assert create(cleo).json["type"] == "urn:fms:problem:key-reused"
    assert len(listed(cleo)) == len(here)


def test_of_two_requests_with_one_ref_at_once_one_makes_an_alert(cleo: Person) -> None:
    for turn in range(5):
        body = ALERT | {"ref": f"turn {turn}"}
        replies = at_once([partial(create, cleo, key, body) for key in (None, None, "one", "two")])
        assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
        [there] = [reply.json["id"] for reply in replies if reply.status == 201]
        assert all(there in reply.json["detail"] for reply in replies if reply.status == 409)
        assert len(listed(cleo)) == turn + 1
        # Whoever lost has not used the key up.
        for key in ("one", "two"):
            create(cleo, key, body)
            parts_of(cleo.app).site.router.write(SLOT, lambda one: one.execute(idempotency_key.delete()))


def test_of_many_changes_of_one_version_at_once_one_is_made(cleo: Person) -> None:
    first = create(cleo)
    where, tag = first.headers["Location"], first.headers["ETag"]
    for turn in range(5):
        bodies = [ALERT | {"target_minor": 1_000 + THREADS * turn + number} for number in range(THREADS)]
        replies = at_once([partial(cleo.ask, "PUT", where, body, {"If-Match": tag}) for body in bodies])
        assert sorted(reply.status for reply in replies) == [200, *[412] * (THREADS - 1)]
        [winner] = [reply for reply in replies if reply.status == 200]
        now = cleo.ask("GET", where)
        assert now.json["target_minor"] == winner.json["target_minor"]
        tag = now.headers["ETag"]


def test_a_change_is_answered_when_it_is_judged_also_by_somebody_else_who_was_quicker(
    postgres_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, site, locked = Person(postgres_app).joined(), parts_of(postgres_app).site, Event()
    where, engine = create(anna).headers["Location"], site.router.of(SLOT).engine
    alert_id, evaluate = parse_id(where.rpartition("/")[2]), site.alert_rows.evaluate

    def evaluate_slowly(judge: Judge) -> None:
        with writing(engine) as connection:
            site.alert_rows._evaluate_some(connection, [alert_id], judge, None)
            locked.set()
            somebody_waits(engine.url.render_as_string(hide_password=False))

    def beaten(which: UUID, judge: Judge, catch_up_ms: int | None) -> list[Message]:
        quicker = pool.submit(evaluate_slowly, judge)
        assert locked.wait(10)
        found = evaluate(which, judge, catch_up_ms)
        quicker.result()
        return found

    monkeypatch.setattr(site.alert_rows, "evaluate", beaten)
    with ThreadPoolExecutor(1) as pool:
        changed = anna.ask("PUT", where, ALERT | {"target_minor": 3000}).checked()
    assert changed["trigger_minor"] == 3000


def test_a_request_waits_for_a_slot_that_is_being_moved(cleo: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    site = parts_of(cleo.app).site
    with fenced(site, SLOT) as free:
        # It looks again when it has found the fence.
        monkeypatch.setattr(site.router, "refresh", free)
        first = create(cleo)
    assert first.status == 201
    assert create(cleo).text == first.text


def test_a_slot_that_is_long_in_moving_is_waited_for_no_longer_and_the_request_may_be_sent_again(anna: Person) -> None:
    other, site = create(anna, "other").checked(201), parts_of(anna.app).site
    with fenced(site, SLOT):
        refused = create(anna)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json["type"] == "urn:fms:problem:unavailable"
        # What was answered before is answered, and all can be read.
        assert create(anna, "other").json == other
        assert [one["id"] for one in listed(anna)] == [other["id"]]
    assert create(anna).text == create(anna).text
    assert len(listed(anna)) == 2


def test_keys_go_with_their_slots_and_requests_sent_again_meanwhile_have_their_answer(
    make_app: MakeApp, tmp_path: Path
) -> None:
    ground = founded(
        tmp_path, sqlite(tmp_path / "catalog.sqlite"), {n: sqlite(tmp_path / f"{n}.sqlite") for n in "abc"}
    )
    app, over = make_app(**ground.options), Event()
    people = [Person(app).joined() for _ in range(2)]

    def go_on(who: Person) -> dict[str, set[str]]:
        """Ask with new keys and old ones; answers what was answered to each key."""
        answers: dict[str, set[str]] = {}
        # In files who never rests keeps others out.
        while not over.wait(0.05):
            for origin, destination in ROUTES:
                body = ALERT | {"origin": origin, "destination": destination}
                for key in (f"{origin} {uuid4()}", f"{origin} always"):
                    reply = create(who, key, body)
                    assert reply.status == 201 or (reply.status == 503 and "Retry-After" in reply.headers), reply.text
                    if reply.status == 201:
                        answers.setdefault(key, set()).add(reply.text)
        return answers

    with ThreadPoolExecutor(len(people)) as pool:
        going = [pool.submit(go_on, who) for who in people]
        try:
            for _ in range(2):
                job = ground.begin(SLOTS)
                with ground.shards() as shards:
                    assert shards.carrier(Pace()).carry(job).state == "done"
        finally:
            over.set()
    for who, answers in zip(people, (one.result() for one in going), strict=True):
        assert len(answers) > len(ROUTES)
        assert {len(texts) for texts in answers.values()} == {1}
        again = {create(who, key, ALERT | _ends(key)).text for key in answers}
        assert again == {text for texts in answers.values() for text in texts}
        assert len(listed_all(who)) == len(again)
    assert ground.faults() == []


def _ends(key: str) -> dict[str, str]:
    """The route that a key is about."""
    [(origin, destination)] = [route for route in ROUTES if key.startswith(route[0])]
    return {"origin": origin, "destination": destination}


def listed_all(who: Person) -> list[dict[str, Any]]:
    """Their alerts, of all pages."""
    found, path = [], "/api/alerts?limit=100"
    while path:
        page = who.ask("GET", path).checked()
        found += page["items"]
        path = page["next"] and f"/api/alerts?limit=100&cursor={page['next']}"
    return found


def test_whoever_has_as_many_alerts_as_allowed_and_deletes_one_can_make_another_at_once(make_app: MakeApp) -> None:
    anna = Person(make_app(alerts_per_user=2)).joined()
    first = create(anna, None)
    create(anna, None).checked(201)
    assert create(anna, None).json["type"] == "urn:fms:problem:limit"
    assert anna.ask("DELETE", first.headers["Location"]).status == 204
    create(anna, None).checked(201)
    assert create(anna, None).json["type"] == "urn:fms:problem:limit"
