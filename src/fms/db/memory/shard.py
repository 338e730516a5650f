"""What a shard in memory keeps, and the writes that several of its adapters share."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

from fms.db.firings import Key, keys_of, messages_of
from fms.model.alert import Alert
from fms.model.ids import IdMint
from fms.model.notification import Message, Notification
from fms.model.user import User
from fms.ports import Outcome, Pushed


class Owed(NamedTuple):
    """An evaluation that is owed since then (UTC ms); of a resumed alert it keeps reference and threshold."""

    since: int
    resumed: bool


class Leased(NamedTuple):
    """By which worker a user is told, and until when it has them, UTC ms."""

    holder: str
    until: int


@dataclass
class MemoryShard:
    """One shard that owns every slot, in dictionaries. Each method of its adapters is a transaction; one thread.

    Attributes:
        alerts: as they are now.
        owed: the alerts whose evaluation is owed; until it is done they do not fire.
        evaluating: those whose evaluation somebody is doing just now.
        catch_up_at: when to look for what evaluations missed, UTC ms; alerts that were moved since are left out.
        outbox, rows: the messages by id, and the id of each alert's and hour's.
        handed_over: the revision of each message that its inbox has.
        users, leases: the users, and who tells them.
        inbox: the messages at their users' home.
        pushes: by id, with their user.
    """

    alerts: dict[UUID, Alert] = field(default_factory=dict)
    owed: dict[UUID, Owed] = field(default_factory=dict)
    evaluating: set[UUID] = field(default_factory=set)
    catch_up_at: dict[UUID, int] = field(default_factory=dict)
    outbox: dict[UUID, Message] = field(default_factory=dict)
    rows: dict[Key, UUID] = field(default_factory=dict)
    handed_over: dict[UUID, int] = field(default_factory=dict)
    users: dict[UUID, User] = field(default_factory=dict)
    leases: dict[UUID, Leased] = field(default_factory=dict)
    inbox: dict[UUID, Notification] = field(default_factory=dict)
    pushes: dict[UUID, tuple[UUID, Pushed]] = field(default_factory=dict)

    def concerns_match(self, alert: Alert) -> bool:
        """A paused alert is none of match's business, nor one that is to be evaluated first."""
        return not alert.paused and alert.id not in self.owed

    def write_states(self, outcomes: Sequence[Outcome]) -> None:
        """Write new states and raise versions."""
        for outcome in outcomes:
            now = self.alerts[outcome.alert.id]
            self.alerts[now.id] = replace(now, state=outcome.state, version=now.version + 1)
            self.catch_up_at.pop(now.id, None)

    def write_firings(self, outcomes: Sequence[Outcome], mint: IdMint, *, evaluated: bool) -> list[Message]:
        """Upsert the outbox rows of the outcomes' firings; answers every row written, as it is now."""
        known = {key: self.outbox[self.rows[key]] for key in keys_of(outcomes) if key in self.rows}
        new, raised = messages_of(outcomes, known, mint, evaluated=evaluated)
        for message in (*new, *raised):
            self.outbox[message.notification_id] = message
            self.rows[message.alert_id, message.hour] = message.notification_id
        return [*new, *raised]
