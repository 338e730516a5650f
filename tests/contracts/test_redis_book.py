"""The price book on a real Redis that is flushed, restarted and sent back in time, and two who write it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fms.errors import Transient
from fms.model.clock import HOUR_MS
from fms.pipeline import Pipeline
from fms.ports import Question, Version
from fms.pricebook.book import Book
from fms.pricebook.maintain import drop_departed
from fms.pricebook.redis import RedisPageStore
from fms.stages.diff import Diff
from tests.builders import FARE, MONDAY
from tests.contracts.redis_tools import HERE, KEY, batch, fare, said, see
from tests.services.redis import Redis

QUESTION = Question("JFK-LHR")


@pytest.fixture
def store(own_redis: Redis) -> Iterator[RedisPageStore]:
    with RedisPageStore(own_redis.url) as opened:
        yield opened


def test_a_page_is_where_a_person_looks_for_it(own_redis: Redis, store: RedisPageStore) -> None:
    see(store, fare(100))
    with own_redis.client() as client:
        keys = {key.decode() for key in client.keys("*")}
        assert client.smembers(f"px:{{{HERE:02}}}:days:JFK-LHR") == {b"20788"}
        assert client.object("encoding", f"px:{{{HERE:02}}}:days:JFK-LHR") == b"intset"
        assert {client.ttl(key) for key in keys} == {-1}
    names = ("version", "newest", "ods", "days:JFK-LHR", KEY, f"about:{KEY}")
    assert keys == {f"px:{{{HERE:02}}}:{name}" for name in names}


def test_after_everything_was_flushed_a_page_begins_again(own_redis: Redis, store: RedisPageStore) -> None:
    see(store, fare(100))
    own_redis.flush()
    assert see(store, fare(100, 1)) == [("opened", 0, None), ("first_seen", 100, None)]
    assert list(store.keys()) == [KEY]
    assert store.newest() == MONDAY + HOUR_MS


def test_a_flush_between_reading_and_writing_is_noticed(own_redis: Redis, store: RedisPageStore) -> None:
    see(store, fare(100))
    diff = Diff(store)
    said(diff, fare(90, 1))
    own_redis.flush()
    with pytest.raises(Transient, match=f"partition {HERE}"):
        diff.settle()
    assert store.get(HERE, [KEY])[1] == [None]


def test_a_counter_that_began_again_is_never_one_that_somebody_remembers(
    own_redis: Redis, store: RedisPageStore
) -> None:
    see(store, fare(100))
    stale, _ = store.get(HERE, [KEY])
    own_redis.flush()
    see(store, fare(100))
    assert store.get(HERE, [])[0] != stale
    assert not store.put(HERE, stale, {KEY: b"stale"}, {})


def test_a_price_that_returns_to_the_one_of_an_older_state_is_not_hidden(
    own_redis: Redis, store: RedisPageStore
) -> None:
    see(store, fare(100))
    dump = own_redis.save()
    assert see(store, fare(120, 1)) == [("rose", 120, 100)]
    own_redis.restore(dump)
    assert see(store, fare(100, 2)) == [("opened", 0, None), ("first_seen", 100, 100)]
    assert see(store, fare(100, 3)) == []


def test_a_restart_that_forgot_nothing_costs_one_more_first_seen(own_redis: Redis, store: RedisPageStore) -> None:
    see(store, fare(100), fare(70, outbound_flights=("BA1",)))
    before = store.get(HERE, [])[0]
    own_redis.restore(own_redis.save())
    after, _ = store.get(HERE, [])
    assert after.number == before.number
    assert after.incarnation != before.incarnation
    assert see(store, fare(100, 1)) == [("opened", 0, None), ("known", 0, None), ("first_seen", 100, 100)]
    assert see(store, fare(100, 2)) == []


def test_a_restart_between_reading_and_writing_is_noticed(own_redis: Redis, store: RedisPageStore) -> None:
    see(store, fare(100))
    diff = Diff(store)
    said(diff, fare(90, 1))
    own_redis.restore(own_redis.save())
    with pytest.raises(Transient):
        diff.settle()
    assert said(diff, fare(90, 1)) == [("opened", 0, None), ("first_seen", 90, 100)]
    diff.settle()


def test_a_page_in_doubt_is_no_page_that_says_what_is_gone(own_redis: Redis, store: RedisPageStore) -> None:
    see(store, fare(100), fare(70, outbound_flights=("BA1",)))
    (known,) = Book(store).known([QUESTION])
    assert known.dates == frozenset({FARE.departure_date})
    assert known.doubted == frozenset()
    own_redis.restore(own_redis.save())
    (known,) = Book(store).known([QUESTION])
    assert known.dates == frozenset()
    assert len(known.doubted) == len(known.fares) == 2
    see(store, fare(100, 1))
    (known,) = Book(store).known([QUESTION])
    assert known.dates == frozenset({FARE.departure_date})
    assert (len(known.doubted), len(known.fares)) == (1, 2)


def test_of_two_writers_one_wins_and_the_other_compares_again(redis_url: str) -> None:
    with RedisPageStore(redis_url) as one, RedisPageStore(redis_url) as other:
        first, second = Diff(one), Diff(other)
        said(first, fare(100))
        assert said(second, fare(90, 1)) == [("opened", 0, None), ("first_seen", 90, None)]
        first.settle()
        with pytest.raises(Transient):
            second.settle()
        assert said(second, fare(90, 1)) == [("fell", 90, 100)]
        second.settle()


class Careless(RedisPageStore):
    """A store that writes whatever others have written."""

    def put(self, partition: int, version: Version, *what: Any) -> bool:
        return super().put(partition, self.get(partition, [])[0], *what)


@pytest.mark.parametrize(("kind", "hidden"), [(RedisPageStore, False), (Careless, True)])
def test_without_the_version_a_change_is_hidden(redis_url: str, kind: type[RedisPageStore], hidden: bool) -> None:
    with kind(redis_url) as one, kind(redis_url) as other:
        see(one, fare(100))
        slow, quick = Diff(one), Diff(other)
        # A worker that believes it is alone has read the page; meanwhile another one sees the price rise.
        said(slow, fare(70, 1, outbound_flights=("BA1",)))
        assert said(quick, fare(120, 2)) == [("rose", 120, 100)]
        quick.settle()
        try:
            slow.settle()
        except Transient:
            assert not hidden
        # The fall back to 100 is news: an alert below 110 that was told of 120 must hear of it.
        assert (said(quick, fare(100, 3)) == []) is hidden


def test_two_books_live_in_one_database(redis_url: str) -> None:
    with RedisPageStore(redis_url) as one, RedisPageStore(redis_url, "other") as other:
        see(one, fare(100))
        assert list(other.keys()) == []
        assert other.newest() == 0
        assert one.identity == one.identity != other.identity


def test_a_book_that_was_started_again_is_another_one(own_redis: Redis, store: RedisPageStore) -> None:
    before = store.identity
    own_redis.restore(own_redis.save())
    assert store.identity != before


def test_departed_pages_are_dropped_while_others_write(redis_url: str) -> None:
    with RedisPageStore(redis_url) as store:
        see(store, fare(100))
        departed = MONDAY + 300 * 24 * HOUR_MS
        assert drop_departed(store, departed) == 1
        assert list(store.keys()) == []
        assert store.describe(HERE, [KEY]) == [None]
        assert drop_departed(store, departed) == 0


def test_a_whole_pipeline_goes_on_when_somebody_else_writes(redis_url: str) -> None:
    with RedisPageStore(redis_url) as store, RedisPageStore(redis_url) as other:
        diff = Diff(store)
        pipeline = Pipeline(diff, Intruding(lambda: see(other, fare(120, 1))))
        see(store, fare(100))
        pipeline.feed(batch(fare(90, 2)))
        assert diff.counts.moved == 1
        assert see(store, fare(90, 3)) == []


class Intruding:
    """A stage that does something else the first time."""

    def __init__(self, what: Callable[[], object]) -> None:
        self._waiting = [what]

    def process(self, changes: Any) -> Any:
        if self._waiting:
            self._waiting.pop()()
        return changes

    def settle(self) -> None:
        """Nothing to do."""
