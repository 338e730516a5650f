"""``fms doctor`` over RabbitMQ and Redis, with each thing that can be wrong with them."""

import time
from typing import Any

import pika
import pytest

from fms.errors import Disconnected
from fms.queues import health
from fms.queues.connecting import parameters_of
from fms.queues.rabbitmq import RabbitMQ as Broker
from fms.queues.topology import CHANGES, FARES, REJECTS, dead_letters_of, queue_of
from tests.acceptance.commands import fms
from tests.services.doctor.looking import IN_TIME, doctor, wrong
from tests.services.rabbitmq import RabbitMQ
from tests.services.redis import Redis


def test_a_price_book_that_forgets_or_is_full_is_found(own_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_PRICE_BOOK_URL", own_redis.url)
    assert wrong(doctor()) == {}
    with own_redis.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]) * 11 // 10)
    assert wrong(doctor(4)) == {("price book", "eviction"): "error", ("price book", "memory"): "warning"}


def test_a_price_book_that_is_a_cluster_is_well(redis_cluster_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_PRICE_BOOK_URL", redis_cluster_url)
    found = doctor()
    assert wrong(found) == {}
    assert {service for service, check in found if check == "cluster"} == {f"price book {n}" for n in (1, 2, 3)}


def test_queues_that_are_other_than_the_settings_say_are_found(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMS_BROKER_URL", broker_url)
    fms("queues", "declare").checked()
    assert wrong(doctor()) == {}
    monkeypatch.setenv("FMS_QUEUE_LIMIT", "5")
    assert wrong(doctor(4)) == {("broker", "queues"): "error"}
    told = [line["found"] for line in fms("doctor", "--json").lines if line["state"] == "error"]
    assert told[0].startswith(f"{queue_of(FARES, 0)} is not as the settings say: PRECONDITION_FAILED")
    assert "x-max-length" in told[0]
    assert told[-1] == "45 more are not as the settings say"


def test_messages_that_wait_for_somebody_are_found(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_BROKER_URL", broker_url)
    monkeypatch.setenv("FMS_QUEUE_LIMIT", "10")
    fms("queues", "declare").checked()
    letters = {dead_letters_of(FARES): 2, REJECTS: 1, queue_of(CHANGES, 3): 9}
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for queue, count in letters.items():
            for _ in range(count):
                channel.basic_publish("", queue, b"x", mandatory=True)
    checks = ("dead letters", "rejects", "consumers", "queues")
    assert wrong(doctor()) == {("broker", check): "warning" for check in checks}
    told = {line["check"]: line for line in fms("doctor", "--json").lines if line["state"] == "warning"}
    assert told["dead letters"]["found"] == "2 of fare"
    assert told["consumers"]["advice"].startswith("is fms worker alert running")
    assert told["queues"]["found"] == "one of change holds 9 of 10 messages"


def test_a_broker_that_takes_nothing_is_found(own_broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_BROKER_URL", own_broker.url)
    fms("queues", "declare").checked()
    own_broker.alarm(True)
    assert wrong(doctor(4)) == {("broker", "room"): "error"}
    own_broker.alarm(False)
    assert wrong(doctor()) == {}


def test_a_broker_that_stops_in_the_middle_is_given_up_in_time(
    own_broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMS_BROKER_URL", own_broker.url)
    fms("queues", "declare").checked()
    compare = health._compare_exchange

    def freeze(channel: Any, queue: Any) -> None:
        own_broker.pause()
        compare(channel, queue)

    monkeypatch.setattr(health, "_compare_exchange", freeze)
    began = time.monotonic()
    assert wrong(doctor(4)) == {("broker", "reachable"): "error"}
    assert time.monotonic() - began < IN_TIME


def test_a_broker_that_accepts_connections_and_says_nothing_is_a_passing_trouble(
    own_broker: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fms.queues.rabbitmq.parameters_of", lambda url: parameters_of(url, 0.5))
    own_broker.pause()
    with pytest.raises(Disconnected, match="says nothing"):
        Broker(own_broker.url, ()).connect()
