"""One fare as a JSON object for people, lists and SQL: the words of the fare document."""

import json
from datetime import date
from functools import lru_cache
from typing import Any

from fms.model.clock import format_instant, parse_instant
from fms.model.fare import Fare

_PLAIN = (
    "origin", "destination", "cabin", "currency", "adults", "children", "infants", "carrier", "departure_time",
    "fare_brand", "source", "point_of_sale", "price_basis",
)  # fmt: skip


def fare_document(fare: Fare) -> dict[str, Any]:
    """The fare in the words of the fare document; ``total_amount_minor`` is its price."""
    return {name: getattr(fare, name) for name in _PLAIN} | {
        "observed_at": format_instant(fare.observed_at),
        "departure_date": fare.departure_date.isoformat(),
        "return_date": fare.return_date.isoformat() if fare.return_date else None,
        "outbound_flights": list(fare.outbound_flights) if fare.outbound_flights else None,
        "return_flights": list(fare.return_flights) if fare.return_flights else None,
        "total_amount_minor": fare.price,
    }


def fare_of_document(document: dict[str, Any]) -> Fare:
    """The reverse of ``fare_document``; trusts its input, which fms wrote."""
    back, out, home = document["return_date"], document["outbound_flights"], document["return_flights"]
    return Fare(
        **{name: document[name] for name in _PLAIN},
        observed_at=parse_instant(document["observed_at"]),
        departure_date=date.fromisoformat(document["departure_date"]),
        return_date=date.fromisoformat(back) if back else None,
        outbound_flights=tuple(out) if out else None,
        return_flights=tuple(home) if home else None,
        price=document["total_amount_minor"],
    )


@lru_cache(maxsize=4096)
def fare_to_json(fare: Fare) -> str:
    """The fare as compact JSON text. Remembered, since one fare is written to outbox and inbox."""
    return json.dumps(fare_document(fare), separators=(",", ":"))


def fare_from_json(text: str) -> Fare:
    """The reverse of ``fare_to_json``."""
    return fare_of_document(json.loads(text))
