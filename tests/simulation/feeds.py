"""Small random feeds, and alerts that they concern: what goes into a simulated life."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from random import Random
from typing import Any

from fms.model.alert import Alert, Criteria
from fms.model.clock import DAY_MS, HOUR_MS
from fms.model.fare import Fare, FareBatch
from fms.model.ids import IdMint
from fms.model.route import partition_of_od, slot_of_od, slot_of_user
from fms.model.user import User
from fms.pricebook.memory import MemoryPageStore
from fms.stages.diff import Diff
from tests.acceptance.plans import ELSEWHERE, NEIGHBOURS
from tests.builders import FARE, MONDAY
from tests.forgetful import ForgetfulPageStore

BEGIN = MONDAY + 8 * HOUR_MS
END = MONDAY + 40 * DAY_MS
"""After the last observation, before the first departure that matters."""

DAYS = (FARE.departure_date + timedelta(20), FARE.departure_date + timedelta(21))
FLIGHTS = (("AA100",), ("BA178",))
PRICES = (27_000, 28_215, 28_499, 28_501, 29_700, 29_850, 30_000, 30_000, 30_150, 30_601, 31_500, 33_000, 36_000)
UNUSUAL = 9_500
STORIES: tuple[list[list[tuple[int, int, int]]], ...] = (
    [[(0, 0, 30_000)], [(0, 26, UNUSUAL)], [(0, 30, 28_501)]],
    [[(0, 10, 28_215), (1, 20, 29_700)], [(0, 15, 33_000)], [(1, 21, 29_850)]],
    [[(0, 10, 28_215), (1, 20, 29_700), (0, 15, 33_000)], [(1, 21, 30_150)]],
)
"""Batches of (flight, hour, price) that end otherwise if an old one is folded over what newer ones have made of alerts:
a price that was passed over while they learned; times that run backwards, from batch to batch and within one."""

ORDERLY_STORIES: tuple[list[list[tuple[int, int, int]]], ...] = (
    [[(0, 10, 29_700)], [(0, 20, 33_000)], [(0, 30, 29_700)], [(0, 34, 36_000)], [(0, 60, 29_700)]],
    [[(0, 10, 29_700)], [(1, 20, 28_215)], [(0, 30, 31_500)], [(1, 34, 31_500)], [(0, 40, 29_700)]],
)
"""The same where times only grow: prices that come back to what an older state of the price book says."""

KINDS = {"target": 30_000, "drop_percent": 500, "drop_amount": 1_500, "new_low": 0}
USERS = {"ann@example.org": None, "bob@example.org": 1}
"""Who wants to know, and how many pushes a day they want at most."""


@dataclass(frozen=True)
class Feed:
    """What is observed, and who wants to know.

    Attributes:
        runs: by the name of each publisher, its batches in order; no two have a route in common.
        primed: what the book knows before the alerts are made.
        alerts, users: the alerts, not evaluated, and whose they are.
    """

    runs: dict[str, list[FareBatch]]
    primed: Sequence[FareBatch]
    alerts: Sequence[Alert]
    users: Sequence[User]

    @property
    def partitions(self) -> list[int]:
        """Where the fares go."""
        return sorted({batch.partition for batches in self.runs.values() for batch in batches})

    def seen(self) -> set[tuple[int, int, int]]:
        """Every observation: series, time, price."""
        batches = [batch for batches in self.runs.values() for batch in batches] + [*self.primed]
        return {
            (series, fare.observed_at, fare.price)
            for batch in batches
            for series, fare in zip(batch.series.tolist(), batch.rows(), strict=True)
        }


class _Drawing:
    """A feed on its way."""

    def __init__(self, random: Random, *, orderly: bool) -> None:
        self._random = random
        self._mint = IdMint(lambda: MONDAY)
        self._orderly = orderly
        self._tangled = not orderly and random.random() < 0.4

    def runs(self) -> dict[str, list[FareBatch]]:
        other = self._random.choice((NEIGHBOURS[1], NEIGHBOURS[1], ELSEWHERE))
        routes = {"one": NEIGHBOURS[0], "two": other}
        lengths = {"one": self._random.choice((2, 3)), "two": self._random.choice((1, 2))}
        return {name: self._batches(route, lengths[name]) for name, route in routes.items()}

    def _batches(self, route: tuple[str, str], count: int) -> list[FareBatch]:
        if self._random.random() < 0.3:
            story = self._random.choice(ORDERLY_STORIES if self._orderly else STORIES)
            return [batch_of([self._told(route, *seen) for seen in seen_together]) for seen_together in story]
        at, batches = BEGIN, []
        for _ in range(count):
            fares: list[Fare] = []
            for _ in range(1 if self._orderly else self._random.choice((1, 2, 3))):
                at += self._random.choice((0, 1, 1, 3, 6, 13, 26, 80)) * HOUR_MS + (HOUR_MS if self._orderly else 0)
                back = self._random.choice((0, 2, 5)) * HOUR_MS if self._tangled else 0
                fares += self._tick(route, at - back)
            batches.append(batch_of(fares))
        return batches

    def _tick(self, route: tuple[str, str], at: int) -> list[Fare]:
        return [self._fare(route, at) for _ in range(self._random.choice((1, 2, 2, 3)))]

    def _fare(self, route: tuple[str, str], at: int) -> Fare:
        unusual = not self._orderly and self._random.random() < 0.1
        return fare(
            route,
            at,
            departure_date=self._random.choice((DAYS[0], *DAYS)),
            outbound_flights=self._random.choice(FLIGHTS),
            price=UNUSUAL if unusual else self._random.choice(PRICES),
        )

    def _told(self, route: tuple[str, str], flight: int, hour: int, price: int) -> Fare:
        at = BEGIN + hour * HOUR_MS
        return fare(route, at, departure_date=DAYS[0], outbound_flights=FLIGHTS[flight], price=price)

    def primed(self) -> list[FareBatch]:
        if self._random.random() < 0.4:
            return []
        return [batch_of(self._tick(NEIGHBOURS[0], MONDAY))]

    def users(self) -> list[User]:
        return [User(self._mint.new(slot_of_user(email)), email, daily_cap=cap) for email, cap in USERS.items()]

    def alerts(self, users: Sequence[User]) -> list[Alert]:
        kinds = [*KINDS, self._random.choice([*KINDS])]
        return [
            self._alert(f"alert {number}", kind, NEIGHBOURS[number // 4], users[number % 2])
            for number, kind in enumerate(kinds)
        ]

    def _alert(self, ref: str, kind: str, route: tuple[str, str], user: User) -> Alert:
        want = Criteria(*route, DAYS[0], self._random.choice((DAYS[0], DAYS[1], DAYS[1])), "USD")
        return Alert(self._mint.new(slot_of_od(want.od)), user.id, user.email, ref, kind, KINDS[kind], want)


def fare(route: tuple[str, str], at: int, **given: Any) -> Fare:
    """A fare of a route, seen at a time."""
    values = {name: getattr(FARE, name) for name in FARE.__dataclass_fields__}
    return Fare(**(values | {"origin": route[0], "destination": route[1], "observed_at": at} | given))


def batch_of(fares: Sequence[Fare]) -> FareBatch:
    """A batch of one route's fares, in its partition."""
    return FareBatch(FareBatch.of_fares(fares).data, partition_of_od(fares[0].od))


@lru_cache(maxsize=8)
def feed_of(number: int, *, orderly: bool) -> Feed:
    """A feed by its number.

    ``orderly``: times only grow, every batch is one tick, and no price is unusual.
    """
    drawing = _Drawing(Random(f"feed {number}"), orderly=orderly)
    users = drawing.users()
    return Feed(drawing.runs(), drawing.primed(), drawing.alerts(users), users)


@lru_cache(maxsize=8)
def _primed(number: int, store: type[MemoryPageStore], *, orderly: bool) -> MemoryPageStore:
    made = store()
    prime = Diff(made, prime=True)
    for batch in feed_of(number, orderly=orderly).primed:
        prime.process(batch)
        prime.settle()
    return made


def book_of(number: int, *, orderly: bool, forgetful: bool) -> MemoryPageStore:
    """A price book as it is before a feed begins."""
    return deepcopy(_primed(number, ForgetfulPageStore if forgetful else MemoryPageStore, orderly=orderly))
