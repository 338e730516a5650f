"""Every setting, with its default, what it does, and which values it may have."""

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fms.model.batch import BATCH_ROWS
from fms.model.rules import SourceRule, SourceRules
from fms.settings.urls import fault_of

LEAST_KEY = 32
"""Characters of a secret key."""

URL_SCHEMES = {
    "broker_url": ("amqp", "amqps"),
    "catalog_url": ("postgresql", "postgres", "postgresql+psycopg2", "sqlite"),
    "price_book_url": ("redis", "rediss", "unix"),
}
"""The settings that are URLs, and what these may begin with."""


def user_data_dir() -> Path:
    """Where a user's programs keep their data: ``$XDG_DATA_HOME/fms``, or what the system uses instead."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "fms"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "fms"


class SourceSettings(BaseModel):
    """What is known about one source of fares; what is not given is as for all sources."""

    model_config = ConfigDict(extra="forbid")

    noise_bp: int | None = Field(None, ge=0, le=9_999, description="noise_bp of this source")
    believe_days: int | None = Field(None, ge=0, le=1_000, description="believe_days of this source")


class Settings(BaseSettings):
    """Settings of one site, as they are given here: ``load_settings`` asks the environment and the file too."""

    model_config = SettingsConfigDict(
        env_prefix="FMS_", env_nested_delimiter="__", env_ignore_empty=True, extra="forbid"
    )

    data: Path = Field(
        default_factory=user_data_dir, description="Directory of all state: price book, alerts, inboxes, fms.toml."
    )
    shards: int = Field(
        2, ge=1, le=64, description="SQLite shards made when a data directory is first used; later changes do nothing."
    )
    batch_size: int = Field(
        BATCH_ROWS, ge=1, le=1_000_000, description="Fares a batch aims at; the result never depends on it."
    )
    read_ahead_mb: int = Field(
        8,
        ge=0,
        le=1_000_000,
        description="Files of so many megabytes or more are read by a second process; 0: none. Changes only the time.",
    )
    broker_url: SecretStr | None = Field(
        None, description="RabbitMQ between the stages: amqp://user:password@host:port/vhost, or amqps://."
    )
    catalog_url: SecretStr | None = Field(
        None,
        description="Catalog of a site made by fms init: postgresql://user:password@host/database; ${NAME} in it stands"
        " for an environment variable. Default: a SQLite file of the data directory, made when it is first used.",
    )
    price_book_url: SecretStr | None = Field(
        None, description="Redis for the price book: redis://…, rediss://…, also a cluster; default: a SQLite file."
    )
    queue_type: Literal["quorum", "classic"] = Field(
        "quorum", description="Type of the queues, when they are declared."
    )
    queue_limit: int = Field(
        10_000, ge=1, description="Messages that a queue between two stages holds; then their publisher waits."
    )
    single_active_consumer: bool = Field(
        True, description="Queues are declared so that the broker has one consumer at a time; else workers see to it."
    )
    delivery_limit: int = Field(
        50, ge=1, description="Deliveries without an end after which a message becomes a dead letter (quorum queues)."
    )
    dead_letter_limit: int = Field(
        100, ge=0, description="Dead letters after which a worker stops, rather than throw a whole queue away."
    )
    drain_seconds: int = Field(
        25, ge=1, le=3_600, description="Time that a worker has to finish what it holds after the first SIGTERM."
    )
    deliver_seconds: float = Field(1.0, gt=0, le=3_600, description="How often a notify worker tells what is due.")
    sweep_seconds: float = Field(
        60.0, gt=0, le=86_400,
        description="How often workers look for what was left behind, and how old it must be.",
    )  # fmt: skip
    lease_seconds: int = Field(
        60, ge=1, le=3_600, description="How long one notify worker has a user to itself; then another may tell them."
    )
    move_lease_seconds: float = Field(
        5.0, gt=0, le=3_600, description="How long a move of slots waits for its mover; then another takes it up."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Signs the tokens of the API and encrypts those of devices; 32 characters or more. Older ones,"
        " which are still accepted, may follow, separated by commas. Default: made when fms serve first starts, in a"
        " file of the data directory.",
    )
    access_minutes: int = Field(15, ge=1, le=1_440, description="How long an access token of the API is valid.")
    refresh_days: int = Field(30, ge=1, le=365, description="How long a login lasts that nobody uses.")
    session_check_seconds: float = Field(
        1.0,
        ge=0,
        le=30,
        description="How long a process of the API believes a login that it found good, if another process ends it;"
        " 0: not at all.",
    )
    registration: Literal["open", "closed"] = Field(
        "open", description="Whether anybody may register; else accounts are made with fms users add."
    )
    fast_passwords: bool = Field(
        False, description="Hash passwords in a way that is too quick to be safe, for tests; only on the loopback."
    )
    alerts_per_user: int = Field(1_000, ge=1, le=1_000_000, description="Alerts that a user of the API may have.")
    devices_per_user: int = Field(16, ge=1, le=1_000, description="Devices that a user of the API may have.")
    rate_limit: str = Field("600/minute", description="Requests of one user of the API, or of an address without one.")
    login_rate_limit: str = Field(
        "20/minute", description="Attempts to log in or to register, of one address and for one account."
    )
    body_limit_kb: int = Field(
        32, ge=1, le=10_240, description="Size of a request's body; an import may have 32 times."
    )
    require_if_match: bool = Field(
        False, description="Whether a change of an alert must say by If-Match of which version it is."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="Load balancers in front of the API, whose word for a client's address is taken."
    )
    cors_origins: str = Field(
        "", description="Origins, separated by commas, whose pages may ask the API from a browser; empty: none."
    )
    serve_host: str = Field("127.0.0.1", description="Where fms serve listens.")
    serve_port: int = Field(8000, ge=0, le=65_535, description="The port there; 0: any.")
    serve_processes: int = Field(1, ge=1, le=64, description="Processes of fms serve.")
    serve_threads: int = Field(4, ge=1, le=64, description="Requests that each of them answers at a time.")
    request_seconds: int = Field(15, ge=1, le=600, description="How long a client may take to send a request.")
    unready_seconds: float = Field(
        2.0, ge=0, le=60, description="How long fms serve goes on after a SIGTERM while /readyz says that it will end."
    )
    metrics_key: SecretStr | None = Field(
        None, description="Bearer token with which /metrics of the API may be read from other machines."
    )
    log_format: Literal["text", "json"] = Field("text", description="Form of the log lines of workers.")
    metrics_host: str = Field("127.0.0.1", description="Where workers answer /livez, /readyz and /metrics.")
    metrics_port: int | None = Field(
        None, ge=0, le=65_535, description="The port there, the next ones with --processes; 0: any; none: no answers."
    )
    noise_bp: int = Field(
        0, ge=0, le=9_999,
        description="A newer price within so many basis points of the known one is no change.",
    )  # fmt: skip
    believe_days: int = Field(
        3, ge=0, le=1_000,
        description="A fare that its page has outlived by so many days is no longer believed; 0: always believed.",
    )  # fmt: skip
    shown_in_push: int = Field(5, ge=1, le=100, description="Fares listed in one push; the others are counted.")
    keep_expired_alerts_days: int = Field(
        365, ge=1, description="Days after its last departure that fms db maintain deletes an alert."
    )
    keep_outbox_days: int = Field(
        30, ge=2, description="Days after its observation that fms db maintain deletes an outbox row handed over."
    )
    keep_notifications_days: int = Field(
        400, ge=2, description="Days after its observation that fms db maintain deletes a notification."
    )
    keep_events_days: int = Field(
        400, ge=2, description="Days that fms db maintain keeps what is written of rebalances that have ended."
    )
    keep_sessions_days: int = Field(
        30, ge=1, description="Days after its end that fms db maintain deletes a login, and a device that was retired."
    )
    keep_idempotency_keys_hours: int = Field(
        48, ge=24, description="Hours for which a repeated Idempotency-Key is given its first answer."
    )
    keep_dead_letters_days: int = Field(
        30, ge=1, description="Days after which fms db maintain throws a dead letter or a rejected document away."
    )
    sources: dict[str, SourceSettings] = Field(
        default_factory=dict, description="Table per source: noise_bp and believe_days of its own."
    )

    @field_validator(*URL_SCHEMES)
    @classmethod
    def _check_url(cls, value: SecretStr | None, about: ValidationInfo) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        fault = fault_of(text, URL_SCHEMES[str(about.field_name)]) if text else None
        if fault is not None:
            raise PydanticCustomError("url", "{fault}", {"fault": fault})
        return value if text else None

    @field_validator("secret_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        keys = value.get_secret_value().split(",") if value else []
        if any(len(key.strip()) < LEAST_KEY for key in keys):
            raise PydanticCustomError("key", "{least} characters or more wanted", {"least": LEAST_KEY})
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What pydantic-settings asks: only what is handed in counts."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def catalog(self) -> str | None:
        """The catalog's URL; None: a file of the data directory."""
        return self.catalog_url.get_secret_value() if self.catalog_url else None

    def rules(self) -> SourceRules:
        """The rules of all sources."""
        default = SourceRule(self.noise_bp, self.believe_days)
        own = {
            name: SourceRule(
                default.noise_bp if one.noise_bp is None else one.noise_bp,
                default.believe_days if one.believe_days is None else one.believe_days,
            )
            for name, one in self.sources.items()
        }
        return SourceRules(default, own)
