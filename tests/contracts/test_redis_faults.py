"""The price book on a real Redis that is paused, killed, full, a replica, hostile or not there."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as Client

from fms.errors import Fatal, Transient
from fms.pricebook.redis import RedisPageStore, servers
from fms.pricebook.redis.keys import Command, Names
from fms.stages.diff import Diff
from tests.contracts.redis_tools import HERE, KEY, fare, said, see
from tests.services.processes import free_port, program
from tests.services.redis import Redis
from tests.services.shared import needed


@pytest.fixture
def store(own_redis: Redis) -> Iterator[RedisPageStore]:
    with RedisPageStore(own_redis.url) as opened:
        yield opened


Between = Callable[[], object]


class Disturbed(servers.Server):
    """A server that is disturbed just before the transaction is sent."""

    between: Between = staticmethod(lambda: None)

    def ask(self, *commands: Command) -> list[Any]:
        if commands[0] == ("MULTI",):
            Disturbed.between()
        return super().ask(*commands)


@pytest.fixture
def disturbed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Between], None]:
    monkeypatch.setattr(servers, "Server", Disturbed)
    return lambda between: monkeypatch.setattr(Disturbed, "between", staticmethod(between))


options = servers._options


def test_a_put_that_happened_but_was_not_answered_is_repeated_without_harm(
    own_redis: Redis, disturbed: Callable[[Between], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_options", lambda scheme, _seconds: options(scheme, 0.3))
    with RedisPageStore(own_redis.url) as store:
        diff = Diff(store)
        assert len(said(diff, fare(100))) == 2
        disturbed(own_redis.pause)
        with pytest.raises(Transient, match="Timeout"):
            diff.settle()
        own_redis.resume()
        disturbed(lambda: None)
        # The server has read on after the pause.
        assert said(diff, fare(100)) == []
        diff.settle()
        assert diff.counts.duplicates == 1


def test_a_put_that_was_never_taken_is_repeated(own_redis: Redis, disturbed: Callable[[Between], None]) -> None:
    with RedisPageStore(own_redis.url) as store:
        diff = Diff(store)
        said(diff, fare(100))
        disturbed(own_redis.kill)
        with pytest.raises(Transient):
            diff.settle()
        with pytest.raises(Transient):
            store.get(HERE, [KEY])
        own_redis.restart()
        disturbed(lambda: None)
        assert len(said(diff, fare(100))) == 2
        diff.settle()


def test_a_race_is_lost_also_after_the_version_was_looked_at(
    redis_url: str, disturbed: Callable[[Between], None]
) -> None:
    with RedisPageStore(redis_url) as store, Client.from_url(redis_url) as rival:
        version, _ = store.get(HERE, [])
        disturbed(lambda: rival.incr(Names("px", HERE).version))
        assert not store.put(HERE, version, {KEY: b"late"}, {}, 5)
        assert store.get(HERE, [KEY])[1] == [None]
        assert store.newest() == 0


def test_a_connection_that_died_while_nobody_used_it_is_made_anew_for_a_read(
    own_redis: Redis, store: RedisPageStore
) -> None:
    see(store, fare(100))
    diff = Diff(store)
    said(diff, fare(90, 1))
    kill_clients(own_redis)
    with pytest.raises(Transient):
        diff.settle()
    kill_clients(own_redis)
    assert said(diff, fare(90, 1)) == [("fell", 90, 100)]
    diff.settle()


def kill_clients(server: Redis) -> None:
    with server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)


def test_a_server_that_is_not_there_is_a_passing_trouble() -> None:
    port = free_port()
    with RedisPageStore(f"redis://somebody:secret@127.0.0.1:{port}/0") as store:
        for attempt in (lambda: store.get(HERE, [KEY]), store.newest, lambda: list(store.keys())):
            with pytest.raises(Transient, match=f"redis://127.0.0.1:{port}/0: .*refused") as caught:
                attempt()
            assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_a_passing_trouble(own_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_options", lambda scheme, _seconds: options(scheme, 0.3))
    with RedisPageStore(own_redis.url) as store:
        store.get(HERE, [KEY])
        own_redis.pause()
        with pytest.raises(Transient, match="Timeout"):
            store.get(HERE, [KEY])
        own_redis.resume()
        store.get(HERE, [KEY])


@pytest.mark.parametrize("user", [":wrong", "nobody:wrong"])
def test_a_wrong_password_stops_in_one_line_that_does_not_show_it(own_redis: Redis, user: str) -> None:
    with own_redis.client() as client:
        client.config_set("requirepass", "right")
    for url in (own_redis.url.replace("//", f"//{user}@"), own_redis.url):
        with RedisPageStore(url) as store, pytest.raises(Fatal) as caught:
            store.get(HERE, [KEY])
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
        assert "\n" not in str(caught.value)
    with RedisPageStore(own_redis.url.replace("//", "//:right@")) as store:
        assert store.get(HERE, [KEY])[1] == [None]


def test_a_user_who_may_not_write_stops_it(own_redis: Redis, store: RedisPageStore) -> None:
    with own_redis.client() as client:
        client.acl_setuser("reader", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@read", "+info"])
    with RedisPageStore(own_redis.url.replace("//", "//reader:secret@")) as reader:
        version, _ = reader.get(HERE, [KEY])
        with pytest.raises(Fatal, match="no permissions"):
            reader.put(HERE, version, {KEY: b"page"}, {})


def test_a_full_server_is_a_passing_trouble_and_nothing_is_written(own_redis: Redis, store: RedisPageStore) -> None:
    version, _ = store.get(HERE, [KEY])
    with own_redis.client() as client:
        client.config_set("maxmemory", 1)
    with pytest.raises(Transient, match="memory"):
        store.put(HERE, version, {KEY: b"page"}, {})
    with own_redis.client() as client:
        client.config_set("maxmemory", 0)
    assert store.get(HERE, [KEY]) == (version, [None])
    assert store.put(HERE, version, {KEY: b"page"}, {})


def test_a_replica_is_a_passing_trouble_for_a_writer(own_redis: Redis, store: RedisPageStore) -> None:
    version, _ = store.get(HERE, [KEY])
    with own_redis.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(Transient, match="read only"):
        store.put(HERE, version, {KEY: b"page"}, {})


def test_keys_that_are_something_else_stop_it(own_redis: Redis, store: RedisPageStore) -> None:
    version, _ = store.get(HERE, [])
    with own_redis.client() as client:
        client.set(Names("px", HERE).ods, "not a set")
    with pytest.raises(Fatal, match="WRONGTYPE"):
        store.put(HERE, version, {KEY: b"page"}, {})


@pytest.mark.parametrize("url", [
    "http://localhost", "redis://:secret/x@host", "redis://host:secret", "redis://h?socket_timeout=secret",
    "redis://host?secret=1",
])  # fmt: skip
def test_what_is_no_url_of_a_redis_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(Fatal, match="no URL of a Redis") as caught:
        RedisPageStore(url)
    assert "secret" not in str(caught.value)


def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    path = tmp_path / "redis"
    with needed(lambda: Redis(options=["--unixsocket", str(path)])), RedisPageStore(f"unix://{path}") as store:
        assert see(store, fare(100))[-1] == ("first_seen", 100, None)
    with RedisPageStore(f"unix://{path}") as store, pytest.raises(Transient, match=f"unix://{path}"):
        store.get(HERE, [])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The certificate of 127.0.0.1 that it signed itself; ``key`` is beside it."""
    openssl = needed(lambda: program("openssl"))
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "certificate"]
    subprocess.run([openssl, "req", "-x509", *name, *made], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "certificate"


def test_over_tls_a_server_must_prove_who_it_is(certificate: Path) -> None:
    port, key = free_port(), certificate.with_name("key")
    options = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    options += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]
    url = f"rediss://127.0.0.1:{port}/0"
    with needed(lambda: Redis(options=options)):
        with RedisPageStore(f"{url}?ssl_ca_certs={certificate}") as store:
            assert see(store, fare(100))[-1] == ("first_seen", 100, None)
        with RedisPageStore(url) as store, pytest.raises(Fatal, match="certificate verify failed"):
            store.get(HERE, [])
