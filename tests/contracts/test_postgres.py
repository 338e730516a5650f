"""PostgreSQL as a shard's database: transactions, time limits, and what becomes of its errors."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from psycopg2 import extensions
from psycopg2.extras import wait_select
from sqlalchemy import Engine, text

from fms.errors import Fatal, FmsError, Transient
from fms.shards.engine import database_name, open_engine, opened, reading, take_time, writing
from fms.shards.postgres import first_row
from tests.services.postgres import Databases, Postgres
from tests.services.processes import free_port

NOTES = "CREATE TABLE note (id int PRIMARY KEY, word text NOT NULL CHECK (word <> 'no'))"


@pytest.fixture
def engine(postgres: Databases) -> Iterator[Engine]:
    with opened(postgres.new_database()) as engine:
        with writing(engine) as connection:
            connection.execute(text(NOTES))
        yield engine


def words(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(text("SELECT word FROM note ORDER BY id")).scalars())


def nothing() -> None:
    """What usually happens between two statements."""


def _broken() -> None:
    raise ZeroDivisionError


def note(engine: Engine, *numbers: int, between: Callable[[], None] = nothing) -> None:
    """Make notes in one transaction; ``between`` is called after each statement."""
    with writing(engine) as connection:
        for number in numbers:
            connection.execute(text("INSERT INTO note VALUES (:number, 'yes')"), {"number": number})
            between()


def answer(engine: Engine, question: str) -> object:
    with writing(engine) as connection:
        return connection.execute(text(question)).scalar()


def test_a_writer_reads_what_was_committed_before_each_statement(engine: Engine) -> None:
    with writing(engine) as connection:
        assert connection.execute(text("SHOW transaction_isolation")).scalar() == "read committed"
        note(engine, 1)
        assert connection.execute(text("SELECT count(*) FROM note")).scalar() == 1


def test_a_reader_sees_one_moment_and_cannot_write(engine: Engine) -> None:
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM note")).scalar() == 0
        note(engine, 1)
        assert connection.execute(text("SELECT count(*) FROM note")).scalar() == 0
    with pytest.raises(Fatal, match="read-only transaction"), reading(engine) as connection:
        connection.execute(text("DELETE FROM note"))
    note(engine, 2)
    assert words(engine) == ["yes", "yes"]


def test_a_question_that_cannot_be_asked_leaves_no_connection_that_commits_by_itself(engine: Engine) -> None:
    with pytest.raises(ValueError, match="NUL"):
        first_row(engine, "SELECT %(word)s", {"word": "\0"})
    with pytest.raises(ZeroDivisionError):
        note(engine, 1, between=_broken)
    assert words(engine) == []


def test_every_wait_of_the_server_has_an_end(engine: Engine) -> None:
    limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
    assert [answer(engine, f"SHOW {name}") for name in limits] == ["30s", "10s", "1min", "fms"]


def test_what_a_url_says_itself_counts(engine: Engine) -> None:
    url = engine.url.update_query_dict(
        {"application_name": "mine", "options": "-c lock_timeout=1s -c search_path=elsewhere"}
    )
    with opened(url) as own:
        limits = ("lock_timeout", "search_path", "application_name", "statement_timeout")
        assert [answer(own, f"SHOW {name}") for name in limits] == ["1s", "elsewhere", "mine", "30s"]


def refused(url: str) -> FmsError:
    with pytest.raises(FmsError) as raised, opened(url) as engine:
        answer(engine, "SELECT 1")
    assert "\n" not in str(raised.value)
    return raised.value


def test_a_server_that_is_not_there_may_come_again() -> None:
    error = refused(f"postgresql://me:geheim@127.0.0.1:{free_port()}/fms")
    assert isinstance(error, Transient)
    assert "/fms: " in str(error)
    assert "geheim" not in str(error)


def test_a_host_that_is_not_known_yet_may_come_again() -> None:
    assert isinstance(refused("postgresql://me@nowhere.invalid/fms"), Transient)


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fms.shards.postgres.PatientConnection.patience", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert isinstance(refused(f"postgresql://me@127.0.0.1:{mute.getsockname()[1]}/fms"), Transient)


def test_a_database_that_does_not_exist_needs_a_person(engine: Engine) -> None:
    error = refused(engine.url.set(database="nowhere").render_as_string(hide_password=False))
    assert isinstance(error, Fatal)
    assert 'database "nowhere" does not exist' in str(error)


def test_a_wrong_password_needs_a_person_and_is_not_shown(engine: Engine) -> None:
    error = refused(f"postgresql://guarded:geheim@{engine.url.host}:{engine.url.port}/postgres")
    assert isinstance(error, Fatal)
    assert "geheim" not in str(error)


def test_an_option_that_nobody_knows_needs_a_person(engine: Engine) -> None:
    assert isinstance(refused(f"{engine.url.render_as_string(hide_password=False)}?colour=blue"), Fatal)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("INSERT INTO note VALUES (1, 'again')", Transient),
        ("SELECT pg_terminate_backend(pg_backend_pid())", Transient),
        ("SET statement_timeout = 1; SELECT pg_sleep(5)", Transient),
        ("SELECT * FROM nowhere", Fatal),
        ("SELECT 1 FROM note WHERE", Fatal),
        ("INSERT INTO note VALUES (2, NULL)", Fatal),
        ("INSERT INTO note VALUES (2, 'no')", Fatal),
        ("SET ROLE pg_monitor; SELECT * FROM note", Fatal),
    ],
)
def test_an_error_says_whether_to_try_again(engine: Engine, statement: str, kind: type[FmsError]) -> None:
    note(engine, 1)
    with pytest.raises(kind) as raised:
        answer(engine, statement)
    assert type(raised.value) is kind
    assert str(raised.value).startswith(f"{database_name(engine)}: ")
    assert words(engine) == ["yes"], "the pool hands out a connection that works"


def test_who_waits_too_long_for_a_lock_tries_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fms.shards.postgres.LOCK_SECONDS", 0.05)
    with opened(engine.url) as other, writing(engine) as connection:
        connection.execute(text("LOCK TABLE note"))
        with pytest.raises(Transient, match="lock timeout"):
            words(other)


def test_of_two_that_wait_in_a_circle_one_tries_again(engine: Engine) -> None:
    note(engine, 1, 2)
    both_hold = threading.Barrier(2)

    def update(first: int, second: int) -> str:
        try:
            with opened(engine.url) as own, writing(own) as connection:
                connection.execute(text("UPDATE note SET word = 'x' WHERE id = :id"), {"id": first})
                both_hold.wait()
                connection.execute(text("UPDATE note SET word = 'x' WHERE id = :id"), {"id": second})
        except Transient as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(update, (1, 2), (2, 1))
    assert "done" in (one, two)
    assert "deadlock detected" in one + two


def test_a_killed_server_is_asked_again_when_it_is_back(own_postgres: Postgres) -> None:
    with opened(own_postgres.new_database()) as engine:
        answer(engine, NOTES + "; SELECT 1")
        note(engine, 1)
        with pytest.raises(Transient):
            note(engine, 2, 3, between=own_postgres.kill)
        with pytest.raises(Transient, match="refused"):
            words(engine)
        own_postgres.restart()
        assert words(engine) == ["yes"]


def test_a_commit_that_finds_no_server_is_not_believed(own_postgres: Postgres) -> None:
    with opened(own_postgres.new_database()) as engine:
        answer(engine, NOTES + "; SELECT 1")
        with pytest.raises(Transient):
            note(engine, 1, between=own_postgres.kill)
        own_postgres.restart()
        assert words(engine) == []


def test_a_frozen_server_is_noticed_and_asked_again_when_it_goes_on(
    own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fms.shards.postgres.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("fms.shards.postgres.PatientConnection.patience", 0.3)
    with opened(own_postgres.new_database()) as engine:
        answer(engine, NOTES + "; SELECT 1")
        with pytest.raises(Transient, match=r"no answer for 0\.3 s"):
            note(engine, 1, 2, between=own_postgres.pause)
        with pytest.raises(Transient):
            words(engine)
        own_postgres.resume()
        assert words(engine) == []


def test_who_may_take_time_is_waited_for(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fms.shards.postgres.ANSWER_SECONDS", 0.1)
    with opened(engine.url) as own:
        with writing(own) as connection:
            take_time(connection)
            connection.execute(text("SELECT pg_sleep(0.3)"))
        with pytest.raises(Transient, match="no answer"):
            answer(own, "SELECT pg_sleep(5)")


def test_a_signal_is_served_while_a_statement_runs(engine: Engine) -> None:
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    sender = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        sender.start()
        with pytest.raises(KeyboardInterrupt):
            answer(engine, "SELECT pg_sleep(20)")
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert words(engine) == []


def test_connections_of_others_wait_as_they_always_did(engine: Engine) -> None:
    other = psycopg2.connect(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
    with other, other.cursor() as cursor:
        cursor.execute("SELECT word FROM note")
        assert cursor.fetchall() == []
    other.close()


def test_a_wait_of_somebody_else_in_this_process_is_left_alone() -> None:
    before = extensions.get_wait_callback()
    extensions.set_wait_callback(wait_select)
    try:
        open_engine("postgresql://db.example/fms").dispose()
        assert extensions.get_wait_callback() is wait_select
    finally:
        extensions.set_wait_callback(before)
