"""A price book on Redis with the diff stage over it; each list of fares is a batch of JFK-LHR's partition."""

from dataclasses import replace
from typing import Any

from fms.model.change import KIND_NAMES
from fms.model.clock import HOUR_MS
from fms.model.fare import Fare, FareBatch
from fms.model.route import partition_of_od
from fms.ports import PageStore
from fms.stages.diff import Diff
from tests.builders import FARE, MONDAY

HERE = partition_of_od("JFK-LHR")
KEY = f"JFK-LHR:{FARE.departure_date}"
Said = tuple[str, int, int | None]


def fare(price: int, hours: int = 0, **given: Any) -> Fare:
    return replace(FARE, price=price, observed_at=MONDAY + hours * HOUR_MS, **given)


def batch(*fares: Fare) -> FareBatch:
    return FareBatch.of_fares(fares, HERE)


def said(diff: Diff, *fares: Fare) -> list[Said]:
    """Kind, price (0: none) and old price of the changes that fares make; not settled."""
    found = diff.process(batch(*fares)).data.to_pylist()
    return [(KIND_NAMES[row["kind"]], row["price"] or 0, row["old_price"]) for row in found]


def see(store: PageStore, *fares: Fare) -> list[Said]:
    diff = Diff(store)
    found = said(diff, *fares)
    diff.settle()
    return found
