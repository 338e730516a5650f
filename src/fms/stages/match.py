"""Match: ask the shard that owns a route which alerts now fire."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fms.model.alert import Alert
from fms.model.batch import ints
from fms.model.change import FELL, FIRST_SEEN, GONE, OPENED, ROSE, Change, ChangeBatch
from fms.model.clock import DAY_MS
from fms.model.fold import fold
from fms.model.hashing import codes
from fms.model.notification import Message, OutboxBatch
from fms.ports import AlertLedger, Outcome, Probe
from fms.stages.concerning import RouteChanges


def nobody_else() -> None:
    """Where one process matches, nobody can have taken its place."""


class Match:
    """Changes in, firings out. A batch that is processed twice fires once.

    Args:
        alerts: those that may fire.
        confirm: asked between reading alerts and writing them; raises Transient if another worker may have been given
            the same changes by now, and newer ones: then these would be folded over what the newer ones have made of
            an alert, which its version does not show.
    """

    def __init__(self, alerts: AlertLedger, confirm: Callable[[], None] = nobody_else) -> None:
        self._alerts = alerts
        self._confirm = confirm
        self.counts: Counter[str] = Counter()

    def process(self, batch: ChangeBatch) -> OutboxBatch:
        """Fold the alerts that the changes may concern, commit what fired, and answer the outbox rows.

        Raises Transient if a shard gave a slot away or is not there, or as ``confirm`` does: some alerts may be
        written, which a repeat finds and leaves alone.
        """
        messages: list[Message] = []
        if len(batch):
            changes = _Changes(batch)
            pending = self._alerts.candidates(changes.probe())
            while pending:
                outcomes = [outcome for alert in pending if (outcome := _outcome(alert, changes)).state != alert.state]
                if outcomes:
                    self._confirm()
                written, pending = self._alerts.record(outcomes)
                messages += written
        self.counts["fired"] += len(messages)
        # An alert that lost a race is folded again; its row may then have been written twice: the last one counts.
        latest = {message.notification_id: message for message in messages}
        return OutboxBatch.of_messages(list(latest.values()), batch.partition)

    def settle(self) -> None:
        """Nothing is left to do: firings are committed before they are answered."""


def _outcome(alert: Alert, changes: "_Changes") -> Outcome:
    state, firings = fold(alert, changes.concerning(alert))
    return Outcome(alert, state, firings)


class _Changes:
    """A batch of changes in the form in which alerts are looked up and folded: columns, and rows by O&D."""

    def __init__(self, batch: ChangeBatch) -> None:
        self._view = batch.view
        self._kind = batch.kinds
        self._series = batch.series
        self._id = batch.ids
        self._market = batch.column("market").to_numpy()
        self._day = ints(batch.column("departure_date"))
        self._price = ints(batch.column("price"))
        self._remembered = ints(batch.column("old_price"), null=-1) >= 0
        self._observed = ints(batch.column("observed_at"))
        self._od_names: list[str] = batch.column("od").dictionary.to_pylist()
        self._od = codes(batch.column("od"))
        self._order = np.argsort(self._od, kind="stable")
        starts = np.searchsorted(self._od[self._order], np.arange(len(self._od_names) + 1))
        self._bounds = {name: (int(starts[n]), int(starts[n + 1])) for n, name in enumerate(self._od_names)}
        self._routes: dict[str, RouteChanges] = {}

    def probe(self) -> Probe:
        """What to ask the shards."""
        return Probe(
            wishes=list(self._wishes()),
            holders=list(self._ended()),
            days=[(self._od_names[od], day) for od, day in self._newest_days()],
            pages=list(self._opened()),
        )

    def _ended(self) -> Iterator[tuple[str, int]]:
        # What a page that may have forgotten remembers may have risen unheard.
        doubted = (self._kind == FIRST_SEEN) & self._remembered
        rows = np.flatnonzero((self._kind == ROSE) | (self._kind == GONE) | doubted)
        series, places = np.unique(self._series[rows], return_index=True)
        for one, od in zip(series.tolist(), self._od[rows[places]].tolist(), strict=True):
            yield self._od_names[od], one

    def _opened(self) -> Iterator[tuple[str, int]]:
        rows = np.flatnonzero(self._kind == OPENED)
        for od, day in zip(self._od[rows].tolist(), self._day[rows].tolist(), strict=True):
            yield self._od_names[od], day

    def _wishes(self) -> Iterator[tuple[str, int, int, int]]:
        rows = np.flatnonzero(self._kind <= FELL)
        rows = rows[np.lexsort((self._price[rows], self._day[rows], self._market[rows]))]
        market, day = self._market[rows], self._day[rows]
        first = np.ones(len(rows), bool)
        first[1:] = (market[1:] != market[:-1]) | (day[1:] != day[:-1])
        cheapest = rows[first]
        columns = (self._od[cheapest], self._market[cheapest], self._day[cheapest], self._price[cheapest])
        for od, one_market, one_day, price in zip(*(column.tolist() for column in columns), strict=True):
            yield self._od_names[od], one_market, one_day, price

    def _newest_days(self) -> Iterator[tuple[int, int]]:
        newest = np.full(len(self._od_names), -1, np.int64)
        np.maximum.at(newest, self._od, self._observed // DAY_MS)
        present = np.flatnonzero(newest >= 0)
        return zip(present.tolist(), newest[present].tolist(), strict=True)

    def concerning(self, alert: Alert) -> Sequence[Change]:
        """The changes that may move the alert's state, in order."""
        od = alert.criteria.od
        if od not in self._routes:
            self._routes[od] = self._route(od)
        return self._routes[od].concerning(alert)

    def _route(self, od: str) -> RouteChanges:
        start, end = self._bounds.get(od, (0, 0))
        rows = self._order[start:end]
        return RouteChanges(
            rows=rows,
            kind=self._kind[rows],
            series=self._series[rows],
            ids=self._id[rows],
            market=self._market[rows],
            day=self._day[rows],
            price=self._price[rows],
            observed=self._observed[rows],
            change_at=self._view.__getitem__,
        )
