"""What a message may say beside its fare, as far as it is known. None: not known, and then it is not said."""

from collections.abc import Iterable
from dataclasses import dataclass

from fms.model.alert import DROP_AMOUNT, DROP_PERCENT, Alert
from fms.model.fare import Fare


@dataclass(frozen=True, slots=True)
class Mark:
    """A price of some time: minor units, and UTC ms or None if the time is not known."""

    price: int
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Others:
    """More departure dates on which the alert wants a fare, and the lowest price among them, in minor units."""

    dates: int
    price: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one row when it is told. Prices in minor units of its fare's currency.

    Attributes:
        last_told: what the user was last told of this alert.
        lowest: the lowest fare that the alert wanted since it was made, mistakes of a source left out.
        others: other dates that can be had for what was asked.
        reference: what a drop is measured from.
    """

    last_told: Mark | None = None
    lowest: Mark | None = None
    others: Others | None = None
    reference: Mark | None = None


NO_FACTS = Facts()


def facts_of(alert: Alert, shown: Fare, last_told: Mark | None, wanted: Iterable[Fare]) -> Facts:
    """What alert, inbox and price book know of a row that is about to be told.

    Nobody keeps the lowest fare since the alert was made, nor when its reference was measured: both stay unknown.

    Args:
        alert: as it is now.
        shown: the fare that is told.
        last_told: the newest earlier telling of the alert.
        wanted: the believed fares that the alert wants at or below what was asked.
    """
    is_drop = alert.kind in (DROP_PERCENT, DROP_AMOUNT)
    reference = alert.state.reference if is_drop else None
    return Facts(last_told, others=others_of(shown, wanted), reference=None if reference is None else Mark(reference))


def others_of(shown: Fare, wanted: Iterable[Fare]) -> Others | None:
    """The other departure dates among fares that an alert wants; None if there is none."""
    others = [fare for fare in wanted if fare.departure_date != shown.departure_date]
    if not others:
        return None
    return Others(len({fare.departure_date for fare in others}), min(fare.price for fare in others))
