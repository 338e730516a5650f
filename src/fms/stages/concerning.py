"""The changes of one route in a batch, as its alerts see them: few of them concern any one alert."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fms.model.alert import Alert
from fms.model.batch import I64
from fms.model.change import FELL, GONE, OPENED, Change
from fms.model.clock import DAY_MS, days_of
from fms.model.hashing import U64


class RouteChanges:
    """Changes of one O&D in their order.

    Args:
        rows: where they are in their batch.
        kind, series, ids, market, day, price, observed: their columns, all of the length of ``rows``.
        change_at: makes the change of a row; asked once for each that concerns somebody, as on a popular route the
            same ones concern many.
    """

    def __init__(
        self,
        *,
        rows: I64,
        kind: U64,
        series: U64,
        ids: U64,
        market: U64,
        day: I64,
        price: I64,
        observed: I64,
        change_at: Callable[[int], Change],
    ) -> None:
        self._rows: list[int] = rows.tolist()
        self._kind, self._series, self._ids = kind, series, ids
        self._market, self._day, self._price, self._observed = market, day, price, observed
        self._change_at = change_at
        self._made: dict[int, Change] = {}
        self._fares = kind <= FELL
        # What may end the hold of a series, and which pages begin anew: by series, and by day.
        self._ending = _places_by(series, np.flatnonzero((kind != FELL) & (kind <= GONE)))
        self._opened = _places_by(day, np.flatnonzero(kind == OPENED))

    def concerning(self, alert: Alert) -> list[Change]:
        """The changes that may move the alert's state, in order; see ``fold`` for what may be left out."""
        first = self._after(alert.state.last_change)
        wanted = self._wanted(alert, first)
        holders, departures = set(self._series[wanted].tolist()), self._day[wanted].tolist()
        holder, departure = alert.state.holder, alert.state.holder_departure
        if holder is not None and departure is not None:
            holders.add(holder)
            departures.append(departure)
        if departures and self._newest_day(first) > min(departures):
            places = set((first + np.flatnonzero(self._kind[first:] <= GONE)).tolist())
        else:
            places = set(wanted.tolist())
            places.update(*(self._ending.get(one, ()) for one in holders))
        if holder is not None and departure in self._opened and not self._still_holds(holder, alert.state.threshold):
            places.update(self._opened[departure])
        return [self._change(place) for place in sorted(places) if place >= first]

    def _after(self, last_change: int | None) -> int:
        """Where the changes begin that the alert was not folded over yet: a repeated delivery brings others again."""
        if last_change is None:
            return 0
        found = np.flatnonzero(self._ids == np.uint64(last_change))
        return int(found[-1]) + 1 if len(found) else 0

    def _newest_day(self, first: int) -> int:
        return int(self._observed[first:].max(initial=0)) // DAY_MS

    def _wanted(self, alert: Alert, first: int) -> I64:
        """Where fares of the alert's market and dates are, at a price that may fire it."""
        want, day = alert.criteria, self._day[first:]
        wanted = (
            self._fares[first:]
            & (self._market[first:] == np.uint64(want.market))
            & (day >= days_of(want.depart_from))
            & (day <= days_of(want.depart_to))
        )
        if alert.state.threshold is not None:
            # A trigger is never above T, and T never rises but by an edit.
            wanted &= self._price[first:] <= alert.state.threshold
        return first + np.flatnonzero(wanted)

    def _still_holds(self, holder: int, threshold: int | None) -> bool:
        """Whether the page still, or again, has the series, at a price that holds an alert on T.

        If it has risen meanwhile it holds nothing from the opening on: what is first seen at once may be cheaper, and
        comes first.
        """
        said = np.flatnonzero((self._kind != GONE) & (self._series == np.uint64(holder)))
        return bool(len(said) and int(self._price[said[0]]) * 100 <= (threshold or 0) * 102)

    def _change(self, place: int) -> Change:
        found = self._made.get(place)
        if found is None:
            found = self._made[place] = self._change_at(self._rows[place])
        return found


def _places_by(values: npt.NDArray[np.int64] | U64, places: I64) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for value, place in zip(values[places].tolist(), places.tolist(), strict=True):
        found[value].append(place)
    return dict(found)
