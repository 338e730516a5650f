"""The tables of a shard. Prices in minor units, times in UTC ms, days since 1970, 64-bit hashes as signed integers."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from fms.shards.ownership import SHARD


def signed(value: int) -> int:
    """A 64-bit hash as SQL keeps it."""
    return value - (1 << 64) if value >= 1 << 63 else value


def unsigned(value: int) -> int:
    """A 64-bit hash as the rest of the code knows it."""
    return value & 0xFFFF_FFFF_FFFF_FFFF


user_account = Table(
    "user_account",
    SHARD,
    Column("id", Uuid, primary_key=True),
    Column("slot", SmallInteger, nullable=False),
    Column("email", Text, nullable=False, unique=True),  # lower case
    Column("zone", Text, nullable=False),  # IANA
    Column("quiet_from", SmallInteger),  # minutes after local midnight
    Column("quiet_to", SmallInteger),
    Column("daily_cap", Integer),  # pushes a local day
    Column("snoozed_until", BigInteger),
    Column("version", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("leased_by", Text),  # the worker that is telling this user
    Column("leased_until", BigInteger),
    Column("password", Text),  # its hash; none: nobody can log in
    Column("role", Text, nullable=False, server_default=text("'user'")),
    Column("token_version", BigInteger, nullable=False, server_default=text("1")),  # tokens of another one are refused
    Column("channels", Text),  # "push,mail"; none: all
    Column("closed_at", BigInteger),  # being deleted with all that it has
    Index(None, "slot"),
)

session = Table(
    "session",
    SHARD,
    # One login, and all tokens that came of it: a refresh token names the generation after which it was given out.
    Column("id", Uuid, primary_key=True),
    Column("slot", SmallInteger, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("agent", Text, nullable=False),  # what the client calls itself
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("version", BigInteger, nullable=False),
    Index(None, "slot"),
    Index("ix_session_user", "user_id"),
)

device = Table(
    "device",
    SHARD,
    Column("id", Uuid, primary_key=True),
    Column("slot", SmallInteger, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("provider", Text, nullable=False),
    Column("token", Text, nullable=False),  # encrypted: whoever knows it can push to the device
    Column("token_hash", Text, nullable=False),  # of provider and token
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),  # active, unproved, retired
    Column("registered_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),  # when its client last said that it is there
    Column("retired_at", BigInteger),
    Column("retired_why", Text),
    Column("version", BigInteger, nullable=False),
    Index(None, "slot"),
    Index("ix_device_user", "user_id"),
    Index("ix_device_token", "token_hash"),
)

idempotency_key = Table(
    "idempotency_key",
    SHARD,
    Column("id", Uuid, primary_key=True),
    Column("slot", SmallInteger, nullable=False),  # of the alert that was made with it
    Column("user_id", Uuid, nullable=False),
    Column("key", Text, nullable=False),
    Column("request", Text, nullable=False),  # a hash of what was asked for
    Column("alert_id", Uuid, nullable=False),
    Column("answer", Text, nullable=False),  # the answer, JSON
    Column("created_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    UniqueConstraint("user_id", "key", "slot"),
    Index(None, "slot"),
)

alert = Table(
    "alert",
    SHARD,
    Column("id", Uuid, primary_key=True),
    Column("slot", SmallInteger, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("user_email", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    # what is wanted
    Column("od", Text, nullable=False),
    Column("depart_from", Date, nullable=False),
    Column("depart_to", Date, nullable=False),
    Column("currency", Text, nullable=False),
    Column("trip_type", Text, nullable=False),
    Column("cabin", Text, nullable=False),
    Column("adults", SmallInteger, nullable=False),
    Column("children", SmallInteger, nullable=False),
    Column("infants", SmallInteger, nullable=False),
    Column("return_from", Date),
    Column("return_to", Date),
    Column("min_nights", SmallInteger),
    Column("max_nights", SmallInteger),
    Column("max_stops", SmallInteger),
    Column("carriers_in", Text, nullable=False),  # "BA,AA"; empty: any
    Column("carriers_out", Text, nullable=False),
    # what is remembered: see AlertState
    Column("threshold", BigInteger),
    Column("trigger", BigInteger),
    Column("reference", BigInteger),
    Column("learning_since", BigInteger),
    Column("armed_since", BigInteger, nullable=False),
    Column("holder", BigInteger),
    Column("holder_departure", Integer),
    Column("fired_at", BigInteger),
    Column("fired_price", BigInteger),
    Column("fired_unusual", Boolean, nullable=False),
    Column("last_change", BigInteger),
    Column("paused", Boolean, nullable=False),
    Column("snoozed_until", BigInteger),
    Column("evaluate_at", BigInteger),  # an evaluation is owed since then
    Column("evaluate_resumed", Boolean, nullable=False),  # and keeps reference and threshold
    Column("edition", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column(
        "catch_up_at", BigInteger
    ),  # when to look for a change that the evaluation missed; none if it has moved since
    UniqueConstraint("user_id", "ref", "slot"),
    Index(None, "slot"),
    postgresql_with={"fillfactor": 80},
)
_holding = alert.c.holder.is_not(None)
Index("ix_alert_holder", alert.c.holder, sqlite_where=_holding, postgresql_where=_holding)
# Another predicate, though the same rows: else PostgreSQL may take the one for the other.
_departing = alert.c.holder_departure.is_not(None)
Index(
    "ix_alert_od_departed", alert.c.od, alert.c.holder_departure, sqlite_where=_departing, postgresql_where=_departing
)
_behind = alert.c.catch_up_at.is_not(None)
Index("ix_alert_catch_up", alert.c.catch_up_at, sqlite_where=_behind, postgresql_where=_behind)
_owed = alert.c.evaluate_at.is_not(None)
Index("ix_alert_owed", alert.c.evaluate_at, sqlite_where=_owed, postgresql_where=_owed)

alert_window = Table(
    "alert_window",
    SHARD,
    Column("alert_id", Uuid, primary_key=True),
    Column("month", Integer, primary_key=True, autoincrement=False),  # of departure, since year 0
    Column("slot", SmallInteger, nullable=False),
    Column("market", BigInteger, nullable=False),
    Column("trigger", BigInteger, nullable=False),  # of the alert; the largest number while it is learning
    Column("first_day", Integer, nullable=False),  # departures wanted, days since 1970
    Column("last_day", Integer, nullable=False),
    # Everything that match asks of a window is in its index, so that the table itself is never visited.
    Index("ix_alert_window_match", "market", "month", "trigger", "first_day", "last_day", "alert_id"),
    # Past months are dropped, not deleted: see partitions.py.
    postgresql_partition_by="LIST (month)",
)


def _message_columns() -> list[Column[Any]]:
    return [
        Column("alert_id", Uuid, nullable=False),
        Column("user_id", Uuid, nullable=False),
        Column("user_email", Text, nullable=False),
        Column("ref", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("edition", BigInteger, nullable=False),
        Column("hour", BigInteger, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("series", BigInteger, nullable=False),
        Column("old_price", BigInteger),
        Column("trigger", BigInteger, nullable=False),
        Column("threshold", BigInteger, nullable=False),
        Column("unusual", Boolean, nullable=False),
        Column("evaluated", Boolean, nullable=False),
        Column("observed_at", BigInteger, nullable=False),
        Column("fare", Text, nullable=False),  # JSON of the fare that fired
    ]


outbox = Table(
    "outbox",
    SHARD,
    Column("id", Uuid, primary_key=True),
    Column("slot", SmallInteger, nullable=False),
    *_message_columns(),
    Column("handed_over", BigInteger, nullable=False),  # the revision that the user's shard has
    UniqueConstraint("alert_id", "hour"),
    Index(None, "slot"),
)
_waiting = outbox.c.handed_over < outbox.c.revision
Index("ix_outbox_waiting", outbox.c.id, sqlite_where=_waiting, postgresql_where=_waiting)

notification = Table(
    "notification",
    SHARD,
    Column("id", Uuid, primary_key=True),
    Column("slot", SmallInteger, nullable=False),
    *_message_columns(),
    Column("status", Text, nullable=False),
    Column("release_at", BigInteger),  # when a row that waits is judged again
    Column("group_id", Uuid),  # what was told together
    Column("told_at", BigInteger),
    Column("told_price", BigInteger),
    Column("told_series", BigInteger),
    Column("told", Text),  # JSON of the fare that was shown; its observed_at is when it was last seen
    Column("version", BigInteger, nullable=False),
    Column("read_at", BigInteger),  # when its user said to have read it
    Index(None, "slot"),
    Index("ix_notification_user", "user_id", "alert_id"),
    Index("ix_notification_status", "status", "user_id"),
)
_held_back = notification.c.release_at.is_not(None)
Index("ix_notification_release", notification.c.release_at, sqlite_where=_held_back, postgresql_where=_held_back)

push = Table(
    "push",
    SHARD,
    Column("id", Uuid, primary_key=True),  # the group that was told together
    Column("slot", SmallInteger, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("told_at", BigInteger, nullable=False),
    Index(None, "slot"),
    Index("ix_push_user", "user_id", "told_at"),
)
