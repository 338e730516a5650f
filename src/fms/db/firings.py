"""What an alert's firings become: the rows of its outbox, one per alert and hour."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from fms.model.alert import Alert
from fms.model.clock import HOUR_MS
from fms.model.fold import Firing
from fms.model.ids import IdMint, slot_of_id
from fms.model.notification import Message
from fms.ports import Outcome

Key = tuple[UUID, int]
"""Alert and hour: what has one row at most."""


def keys_of(outcomes: Sequence[Outcome]) -> list[Key]:
    """Which rows the outcomes' firings are about, each once."""
    return list({_key(outcome.alert, firing): None for outcome in outcomes for firing in outcome.firings})


def messages_of(
    outcomes: Sequence[Outcome], known: Mapping[Key, Message], mint: IdMint, *, evaluated: bool
) -> tuple[list[Message], list[Message]]:
    """The rows that are new, and those of ``known`` that are raised, each as it is after all firings of the outcomes.

    Args:
        outcomes: of alerts, no two of one.
        known: the rows of ``keys_of`` that are there.
        mint: makes the ids of new ones.
        evaluated: whether the firings come from an evaluation.
    """
    latest = dict(known)
    new: dict[UUID, Message] = {}
    raised: dict[UUID, Message] = {}
    for outcome in outcomes:
        for firing in outcome.firings:
            key = _key(outcome.alert, firing)
            before = latest.get(key)
            message = latest[key] = _message(outcome.alert, firing, before, mint, evaluated=evaluated)
            fresh = before is None or message.notification_id in new
            (new if fresh else raised)[message.notification_id] = message
    return list(new.values()), list(raised.values())


def _key(alert: Alert, firing: Firing) -> Key:
    return alert.id, firing.change.observed_at // HOUR_MS


def _message(alert: Alert, firing: Firing, before: Message | None, mint: IdMint, *, evaluated: bool) -> Message:
    change = firing.change
    return Message(
        notification_id=before.notification_id if before else mint.new(slot_of_id(alert.id)),
        alert_id=alert.id,
        user_id=alert.user_id,
        user=alert.user,
        ref=alert.ref,
        kind=alert.kind,
        edition=alert.edition,
        hour=change.observed_at // HOUR_MS,
        revision=before.revision + 1 if before else 1,
        series=change.series,
        old_price=change.old_price,
        trigger=before.trigger if before and before.edition == alert.edition else firing.trigger,
        threshold=firing.threshold,
        unusual=firing.unusual,
        evaluated=evaluated,
        fare=change.fare,
    )
