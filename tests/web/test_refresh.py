"""Refresh tokens: each is good once, whoever comes first; and nobody comes in while nobody can be asked."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import func, select

from fms.db.tables import session
from fms.shards.engine import reading
from tests.contracts.making import made
from tests.services.postgres import Databases, Postgres
from tests.web.people import Person
from tests.web.shards import api_of, site_of

THREADS = 50


@pytest.fixture
def on_postgres(postgres: Databases, tmp_path: Path) -> Iterator[Flask]:
    """An API over two shards on PostgreSQL."""
    catalog = postgres.new_database()
    made(tmp_path / "postgres", catalog, {name: postgres.new_database() for name in "ab"})
    with api_of(tmp_path / "postgres", catalog_url=catalog) as app:
        yield app


@pytest.fixture(params=["files", "PostgreSQL"])
def any_app(request: pytest.FixtureRequest) -> Flask:
    found: Flask = request.getfixturevalue("app" if request.param == "files" else "on_postgres")
    return found


def renewed(person: Person, token: str | None = None) -> int:
    reply = person.ask("POST", "/api/auth/refresh", {"refresh_token": token or person.refresh})
    if reply.status == 200:
        person.access, person.refresh = reply.json["access_token"], reply.json["refresh_token"]
    return reply.status


def reads(person: Person) -> int:
    return person.ask("GET", "/api/account").status


def test_of_fifty_threads_with_one_refresh_token_one_succeeds_and_the_login_ends(any_app: Flask) -> None:
    anna = Person(any_app).joined()
    other = Person(any_app, anna.email).logged_in()
    together = Barrier(THREADS)

    def use(_: int) -> tuple[int, str]:
        together.wait(60)
        reply = anna.ask("POST", "/api/auth/refresh", {"refresh_token": anna.refresh})
        return reply.status, reply.json.get("access_token", "")

    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(use, range(THREADS)))
    assert sorted(status for status, _ in found) == [200] + [401] * (THREADS - 1)
    [winner] = [access for status, access in found if status == 200]
    assert [reads(one) for one in (anna, Person(any_app, access=winner), other)] == [401, 401, 200]


def test_a_refresh_token_used_again_ends_its_login_with_all_its_tokens(app: Flask) -> None:
    anna = Person(app).joined()
    first, early = anna.refresh, anna.access
    assert [renewed(anna), renewed(anna)] == [200, 200]
    assert [reads(anna), reads(Person(app, access=early))] == [200, 200]
    assert renewed(Person(app), first) == 401
    assert [reads(anna), reads(Person(app, access=early)), renewed(anna)] == [401, 401, 401]


def test_renewing_makes_no_new_login(app: Flask) -> None:
    anna = Person(app).joined()
    assert [renewed(anna) for _ in range(3)] == [200] * 3
    [one] = anna.ask("GET", "/api/account/sessions").checked()["items"]
    assert one["this"]
    assert _sessions(app) == 1


def _sessions(app: Flask) -> int:
    found = 0
    for shard in site_of(app).router.all():
        with reading(shard.engine) as connection:
            found += connection.execute(select(func.count()).select_from(session)).scalar_one()
    return found


def test_no_refresh_token_is_kept(app: Flask) -> None:
    """Nor any other token: whoever reads the database can log in as nobody."""
    anna = Person(app).joined()
    renewed(anna)
    for file in site_of(app).settings.data.glob("*.sqlite*"):
        content = file.read_bytes()
        for token in (anna.access, anna.refresh):
            for part in token.split(".")[1:]:
                assert part.encode() not in content, file.name


def test_nobody_comes_in_while_it_cannot_be_asked_whether_a_login_has_ended(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    catalog = own_postgres.new_database()
    made(tmp_path, catalog, {name: own_postgres.new_database() for name in "ab"})
    with api_of(tmp_path, catalog_url=catalog) as app:
        anna, ended = Person(app).joined(), Person(app).joined()
        ended.ask("POST", "/api/auth/logout").checked(204)
        own_postgres.kill()
        for person in (anna, ended):
            for ask in _ASKING.values():
                assert ask(person) == (503, "1")
        own_postgres.start()
        # What was refused was not used up.
        assert [reads(anna), renewed(anna), reads(anna)] == [200, 200, 200]
        assert [reads(ended), renewed(ended)] == [401, 401]


def _asked(method: str, path: str) -> Callable[[Person], tuple[int, str | None]]:
    def ask(person: Person) -> tuple[int, str | None]:
        body = {"refresh_token": person.refresh} if path.endswith("refresh") else None
        reply = person.ask(method, path, body)
        return reply.status, reply.headers.get("Retry-After")

    return ask


_ASKING = {path: _asked(*path.split()) for path in ("GET /api/account", "GET /api/alerts", "POST /api/auth/refresh")}


def test_a_shard_whose_file_is_spoiled_lets_nobody_in(app: Flask) -> None:
    anna = Person(app).joined()
    site = site_of(app)
    for shard in site.router.all():
        shard.engine.dispose()
        for file in site.settings.data.glob(f"{shard.name}.sqlite*"):
            file.write_bytes(b"not a database")
    assert [reads(anna) in (500, 503), renewed(anna) in (500, 503)] == [True, True]
