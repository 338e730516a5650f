"""URLs of databases: their forms, what stands in for a secret, and what of them is shown."""

from pathlib import Path

import pytest

from fms.errors import Fatal
from fms.shards.engine import open_engine
from fms.shards.urls import identity, located, missing_file, parse_url, shown


@pytest.mark.parametrize("kind", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_all_names_of_postgresql_mean_the_driver_that_is_installed(kind: str) -> None:
    engine = open_engine(f"{kind}://me@db.example/fms")
    assert (engine.dialect.name, engine.dialect.driver) == ("postgresql", "psycopg2")
    assert engine.url.render_as_string() == "postgresql+psycopg2://me@db.example/fms"


@pytest.mark.parametrize("text", ["mysql://db.example/fms", "db.example", "", "${KIND}://db.example/fms"])
def test_another_kind_of_database_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND", "oracle")
    with pytest.raises(Fatal, match="this kind of database is not supported"):
        parse_url(text)


def test_a_url_that_cannot_be_read_is_refused_without_a_word_of_its_password() -> None:
    with pytest.raises(Fatal, match="not a URL") as raised:
        parse_url("postgresql://me:top/sec@ret:really@db.example/fms")
    assert "sec" not in str(raised.value)


def test_a_variable_of_the_environment_stands_in_for_a_password_of_any_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FMS_TEST_PASSWORD", "a/b@c:d%e?f#g")
    url = parse_url("postgresql://me:${FMS_TEST_PASSWORD}@db.example/fms")
    assert (url.password, url.host, url.database) == ("a/b@c:d%e?f#g", "db.example", "fms")


def test_a_variable_may_be_any_piece_of_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_TEST_URL", "postgresql://me:secret@db.example:5433/fms")
    monkeypatch.setenv("FMS_TEST_HOST", "other.example:5434")
    assert parse_url("${FMS_TEST_URL}") == parse_url("postgres://me:secret@db.example:5433/fms")
    assert parse_url("postgresql://me@${FMS_TEST_HOST}/fms").port == 5434


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FMS_TEST_PASSWORD", raising=False)
    with pytest.raises(Fatal, match="FMS_TEST_PASSWORD, which is not set"):
        parse_url("postgresql://me:${FMS_TEST_PASSWORD}@db.example/fms")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("postgres://me:secret@db.example:5433/fms", "postgresql://me@db.example:5433/fms"),
        ("postgresql://db.example/fms?sslmode=require&password=secret", "postgresql://db.example/fms?sslmode=require"),
        ("postgresql:///fms?host=/run/db&sslpassword=secret", "postgresql:///fms?host=%2Frun%2Fdb"),
        ("sqlite:////var/lib/fms/one.sqlite", "sqlite:////var/lib/fms/one.sqlite"),
    ],
)
def test_a_url_is_shown_without_its_passwords(text: str, seen: str) -> None:
    assert shown(parse_url(text)) == seen


def test_a_file_without_a_folder_lies_in_the_data_directory(tmp_path: Path) -> None:
    assert located("sqlite:///one.sqlite", tmp_path).database == str(tmp_path.resolve() / "one.sqlite")
    assert located("sqlite:////var/one.sqlite", tmp_path).database == "/var/one.sqlite"
    assert located("postgresql://db.example/fms", tmp_path) == parse_url("postgresql://db.example/fms")


def test_only_a_file_can_be_missing(tmp_path: Path) -> None:
    url = located("sqlite:///one.sqlite", tmp_path)
    assert missing_file(url) == tmp_path.resolve() / "one.sqlite"
    (tmp_path / "one.sqlite").touch()
    assert missing_file(url) is None
    assert missing_file(parse_url("postgresql://db.example/fms")) is None


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("postgresql://me:secret@db.example/fms", "postgres://you@DB.example:5432/fms?sslmode=require", True),
        ("postgresql://db.example/fms", "postgresql://db.example/other", False),
        ("postgresql://db.example/fms", "postgresql://db.example:5433/fms", False),
        ("postgresql:///fms?host=/run/one", "postgresql:///fms?host=/run/two", False),
        ("postgresql://db.example/fms", "postgresql://db.example/fms?options=-csearch_path%3Dtwo", False),
        ("sqlite:////tmp/one.sqlite", "sqlite:////tmp/one.sqlite", True),
        ("sqlite:////tmp/one.sqlite", "sqlite:////tmp/two.sqlite", False),
    ],
)
def test_two_urls_of_one_database_are_known_as_such(one: str, two: str, *, same: bool) -> None:
    assert (identity(parse_url(one)) == identity(parse_url(two))) is same
