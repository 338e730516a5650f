"""PostgreSQL for tests: a database for each, and one that may be killed."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests.services.postgres import Databases, Postgres, execute
from tests.services.shared import needed


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"), poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_each_database_is_empty_and_of_its_own(postgres: Databases) -> None:
    one, other = postgres.new_database(), postgres.new_database()
    execute(one, "CREATE TABLE seen (number int)")
    assert rows(one, "SELECT count(*) FROM seen") == [(0,)]
    assert rows(other, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_databases_are_dropped_in_the_end_whoever_is_connected(own_postgres: Postgres) -> None:
    databases = Databases(own_postgres.url)
    engine = create_engine(databases.new_database().replace("postgresql:", "postgresql+psycopg2:"))
    connection = engine.connect()
    databases.drop()
    with pytest.raises(OperationalError):
        connection.execute(text("SELECT 1"))
    connection.close()
    engine.dispose()
    assert rows(own_postgres.url, "SELECT datname FROM pg_database WHERE datname LIKE 't_______________%'") == []


def test_what_is_committed_survives_a_kill(own_postgres: Postgres) -> None:
    url = own_postgres.new_database()
    execute(url, "CREATE TABLE seen AS SELECT generate_series(1, 1000) AS number")
    own_postgres.kill()
    own_postgres.start()
    assert rows(url, "SELECT count(*) FROM seen") == [(1000,)]


def test_a_user_without_a_password_is_refused(own_postgres: Postgres) -> None:
    with pytest.raises(OperationalError, match="password authentication failed"):
        execute(own_postgres.url.replace("postgres@", "guarded:wrong@"), "SELECT 1")


def test_settings_can_be_chosen_and_durability_is_the_default() -> None:
    with needed(lambda: Postgres(settings={"full_page_writes": "off"})) as server:
        assert rows(server.url, "SHOW full_page_writes") == [("off",)]
        assert rows(server.url, "SHOW synchronous_commit") == [("on",)]
