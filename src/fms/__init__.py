"""fms, flight price alerts: ingest fares, find the moves, match the wishes, tell each user once.

The names below are loaded when first used, so that ``import fms`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fms.alerts import Alerts
    from fms.bootstrap import Site, open_site
    from fms.model.alert import Alert, Criteria, verdict
    from fms.model.change import ChangeBatch
    from fms.model.fare import Fare, FareBatch
    from fms.model.notification import OutboxBatch
    from fms.pipeline import Pipeline
    from fms.stages.diff import Diff
    from fms.stages.ingest import Ingest
    from fms.stages.match import Match
    from fms.stages.notify import Notify

_HOMES = {
    "Alert": "fms.model.alert",
    "Alerts": "fms.alerts",
    "ChangeBatch": "fms.model.change",
    "Criteria": "fms.model.alert",
    "Diff": "fms.stages.diff",
    "Fare": "fms.model.fare",
    "FareBatch": "fms.model.fare",
    "Ingest": "fms.stages.ingest",
    "Match": "fms.stages.match",
    "Notify": "fms.stages.notify",
    "OutboxBatch": "fms.model.notification",
    "Pipeline": "fms.pipeline",
    "Site": "fms.bootstrap",
    "open_site": "fms.bootstrap",
    "verdict": "fms.model.alert",
}

__all__ = [
    "Alert",
    "Alerts",
    "ChangeBatch",
    "Criteria",
    "Diff",
    "Fare",
    "FareBatch",
    "Ingest",
    "Match",
    "Notify",
    "OutboxBatch",
    "Pipeline",
    "Site",
    "open_site",
    "verdict",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fms' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
