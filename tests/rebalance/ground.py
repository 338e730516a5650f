"""A site whose slots are moved while people write to it: its shards, its writers, and what they were promised."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, islice, product, takewhile
from pathlib import Path
from random import Random
from threading import Event, Thread
from time import monotonic
from typing import Any

from sqlalchemy import select

from fms.bootstrap import Site, open_site
from fms.db.tables import outbox
from fms.errors import NotFound, Transient
from fms.model.alert import Alert
from fms.model.alert_document import parse_alert
from fms.model.change import FELL, ROSE
from fms.model.route import slot_of_od, slot_of_user
from fms.rebalance.journal import Job, Move
from fms.rebalance.plan import Plan, PlannedMove
from fms.rebalance.service import Shards
from fms.shards.ownership import is_owned
from tests.builders import MONDAY, change, change_batch

FIRST_SHARD = range(4096 // 3)
"""The slots that the first of three shards is dealt."""


def _codes() -> Iterator[str]:
    return ("".join(letters) for letters in product("ABCDEFGH", repeat=3))


def _routes(number: int, here: bool) -> list[tuple[str, str]]:
    found = ((one, "LHR") for one in _codes() if (slot_of_od(f"{one}-LHR") in FIRST_SHARD) == here)
    return list(islice(found, number))


ROUTES = [*_routes(3, here=True), *_routes(2, here=False)]
"""What alerts are about: three routes that move, and two that stay."""

EMAILS = list(islice((mail for n in count() if slot_of_user(mail := f"w{n}@example.org") in FIRST_SHARD), 3))
"""People who move, too."""

SLOTS = tuple(sorted({*(slot_of_od(f"{one}-{other}") for one, other in ROUTES[:3]), *map(slot_of_user, EMAILS)}))
"""The slots that move, all in one shard at first."""

REST = 0.1
"""Seconds between what one person does and the next."""

FEW, MANY = 5, 12
"""Alerts that a person has."""

Wanted = tuple[int, bool] | None
"""What an alert is as its owner sees it: amount, paused; None: deleted."""


@dataclass
class Ground:
    """A site of several shards.

    Attributes:
        options: what it is opened with.
    """

    options: Mapping[str, Any]

    def open(self) -> Site:
        """Open the site once more, as another process would."""
        return open_site(**self.options)

    def shards(self) -> Shards:
        """Its shards, to be closed; the site is not opened for that, which takes longer than all else they are for."""
        return Shards(Path(self.options["data"]), self.options.get("catalog_url"))

    def begin(self, slots: Sequence[int] = SLOTS) -> Job:
        """Begin a rebalance of one move, which sends slots of one shard to the next one."""
        with self.shards() as shards:
            owners, names = shards.owners(), sorted(shards.urls())
            [source] = {owners[slot] for slot in slots}
            target = names[(names.index(source) + 1) % len(names)]
            job = shards.journal.add(Plan((PlannedMove(source, target, tuple(slots), 0),), (), (), ()), {})
            return shards.journal.start(job.id, {})

    def job(self, number: int) -> tuple[Job, list[Move]]:
        """How a job stands, and its moves."""
        with self.shards() as shards:
            return shards.journal.job(number), shards.journal.moves(number)

    def faults(self) -> list[str]:
        """What is wrong by the owners' rows, and by all rows."""
        from fms.rebalance.verify import verify

        with self.shards() as shards:
            return [*shards.check().faults, *verify(shards)]


class Busy(Thread):
    """Somebody at work on a site of their own until they are asked to end."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(daemon=True)
        self._ground = ground
        self._ending = Event()
        self._failed: BaseException | None = None

    def work(self, site: Site) -> None:
        """What they do, until there is no ``rest`` any more."""
        raise NotImplementedError

    def rest(self) -> bool:
        """Rest for a moment; answers whether to go on.

        SQLite has one writer at a time, and no queue: somebody who never rests keeps others out.
        """
        return not self._ending.wait(REST)

    def end(self) -> None:
        """Ask them to end, and wait; raises what went wrong."""
        self._ending.set()
        self.join(60)
        if self._failed:
            raise self._failed
        assert not self.is_alive(), f"{type(self).__name__} has not ended"

    def run(self) -> None:
        """What the thread does."""
        try:
            with self._ground.open() as site:
                self.work(site)
        except BaseException as error:  # noqa: BLE001  # raised by end
            self._failed = error


class Writer(Busy):
    """Somebody who makes, changes, pauses and deletes alerts, and remembers what was answered.

    Args:
        ground: where.
        number: sows what they do; they have refs of their own.
        sure: whether a Transient means that nothing was written: not where a database is killed.
    """

    def __init__(self, ground: Ground, number: int, *, sure: bool = True) -> None:
        super().__init__(ground)
        self._random = Random(number)
        self._names = (f"writer {number} {one}" for one in count())
        self._sure = sure
        self.email = [*EMAILS, "stays@example.org"][number % 4]
        self.alerts: dict[str, Alert] = {}
        self.maybe: dict[str, set[Wanted]] = {}
        self.written = 0
        self.longest = 0.0

    def work(self, site: Site) -> None:
        """One thing after the other."""
        while self.rest():
            self._act(site)

    def _act(self, site: Site) -> None:
        open_ones = [ref for ref, states in self.maybe.items() if len(states) == 1 and None not in states]
        if len(open_ones) < FEW or (len(open_ones) < MANY and self._random.random() < 0.3):
            self._create(site)
            return
        ref = self._random.choice(open_ones)
        [before] = self.maybe[ref]
        assert before is not None
        amount, paused = before
        act = self._random.choice(("edit", "edit", "pause", "delete" if len(open_ones) > FEW else "edit"))
        one = self.alerts[ref]
        if act == "edit":
            self._do(ref, (amount + 1, paused), lambda: site.alerts.edit(one, {"target_minor": amount + 1}))
        elif act == "pause":
            change_it = site.alerts.resume if paused else site.alerts.pause
            self._do(ref, (amount, not paused), lambda: change_it(one))
        else:
            self._do(ref, None, lambda: site.alerts.delete(one))

    def _create(self, site: Site) -> None:
        ref, (origin, destination) = next(self._names), self._random.choice(ROUTES)
        self.maybe[ref] = {None}
        # Their id is made once: what was not answered is found by it.
        user = self._patiently(lambda: site.users.find_or_add(self.email))
        wanted = parse_alert(_wish(ref, origin, destination))
        alert_id = site.mint.new(slot_of_od(f"{origin}-{destination}"))
        one = Alert(alert_id, user.id, user.email, ref, wanted.kind, wanted.amount, wanted.criteria)
        self.alerts[ref] = one
        self._do(ref, (20_000, False), lambda: site.alert_rows.add([one]))

    def _do(self, ref: str, after: Wanted, act: Callable[[], object]) -> None:
        began = monotonic()
        try:
            act()
        except Transient as error:
            if not self._sure and "is being moved" not in str(error):
                self.maybe[ref] = self.maybe[ref] | {after}
        else:
            self.maybe[ref] = {after}
            self.written += 1
        self.longest = max(self.longest, monotonic() - began)

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        deadline = monotonic() + 60
        while True:
            try:
                return ask()
            except Transient:
                if monotonic() > deadline or self._ending.is_set():
                    raise

    def check(self, site: Site) -> None:
        """Every promise was kept: nothing lost, doubled, or brought back."""
        try:
            mine = site.alerts.all(self.email)
        except NotFound:
            mine = []
        found: dict[str, Wanted] = {one.ref: (one.amount, one.paused) for one in mine}
        assert len(found) == len(mine), "an alert is there twice"
        wrong = {ref: (states, found.get(ref)) for ref, states in self.maybe.items() if found.get(ref) not in states}
        assert not wrong, wrong
        assert found.keys() <= self.maybe.keys()
        for one in mine:
            assert site.alert_rows.get(one.id).ref == one.ref


class Reader(Busy):
    """Somebody with alerts that nobody changes: they are found one by one, and all of them in every list."""

    EMAIL = "reader@example.org"

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.read = 0
        with ground.open() as site:
            wishes = [(str(place), parse_alert(_wish(f"read {place}", *one))) for place, one in enumerate(ROUTES)]
            site.alerts.import_wishes(wishes, self.EMAIL)
            site.alerts.evaluate_owed()
            self._ids = {one.ref: one.id for one in site.alerts.all(self.EMAIL)}
        assert len(self._ids) == len(ROUTES)

    def work(self, site: Site) -> None:
        """Read all of them, over and over."""
        while self.rest():
            # A slot whose mover has just died may be read a little later only: never is something missing.
            with suppress(Transient):
                assert {one.ref: one.id for one in site.alerts.all(self.EMAIL)} == self._ids
                assert {site.alert_rows.get(one).ref: one for one in self._ids.values()} == self._ids
                self.read += 1

    def check(self, site: Site) -> None:
        """They are all there."""
        assert {one.ref: one.id for one in site.alerts.all(self.EMAIL)} == self._ids
        assert self.read > 0


def _wish(ref: str, origin: str, destination: str) -> dict[str, Any]:
    wish = {"ref": ref, "origin": origin, "destination": destination, "currency": "USD", "kind": "target"}
    return wish | {"depart_from": "2026-12-01", "depart_to": "2027-02-14", "target_minor": 20_000}


class Matcher(Busy):
    """A match worker: prices fall and rise on all routes, and every batch is tried until it is through."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.told: set[Any] = set()
        self.batches = 0

    def work(self, site: Site) -> None:
        """Match one batch after the other."""
        match = site.match()
        for step in takewhile(lambda _: self.rest(), count()):
            price, kind = ((15_000 + step % 7, FELL), (90_000, ROSE))[step % 2]
            seen = {"price": price, "observed_at": MONDAY + step * 1_800_000}
            fares = [seen | {"origin": one, "destination": other} for one, other in ROUTES]
            self._match(site, match, change_batch([change(kind, 90_000, **columns) for columns in fares]))

    def _match(self, site: Site, match: Any, batch: Any) -> None:
        while not self._ending.is_set():
            try:
                for _ in site.alerts.evaluations():
                    pass
                self.told |= {(message.alert_id, message.hour) for message in match.process(batch).rows()}
            except Transient:
                continue
            self.batches += 1
            return

    def check(self, site: Site) -> None:
        """Every firing that was answered is in the outbox, once."""
        query = select(outbox.c.alert_id, outbox.c.hour).where(is_owned(outbox))
        rows = [tuple(row) for some in site.router.read_all(lambda one: one.execute(query).all()) for row in some]
        assert len(rows) == len(set(rows))
        assert self.told <= set(rows)


@contextmanager
def under_fire(ground: Ground, *, writers: int = 4, sure: bool = True) -> Iterator[list[Writer]]:
    """Writers and a match worker at work; afterwards every promise is checked, and all rows."""
    people = [Writer(ground, number, sure=sure) for number in range(writers)]
    workers: list[Writer | Matcher | Reader] = [*people, Matcher(ground), Reader(ground)]
    for one in workers:
        one.start()
    try:
        yield people
    finally:
        for one in workers:
            one.end()
    with ground.open() as site:
        site.alerts.evaluate_owed()
        for one in workers:
            one.check(site)
    assert ground.faults() == []
