"""Every setting, with its default and what it does: flags first, then the environment, then ``fms.toml``."""

import os
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from fms.errors import Fatal
from fms.model.batch import BATCH_ROWS, first_line
from fms.model.rules import SourceRule, SourceRules

FILE_NAME = "fms.toml"


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
    """Settings of one site."""

    model_config = SettingsConfigDict(env_prefix="FMS_", env_nested_delimiter="__", extra="forbid")

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
    sources: dict[str, SourceSettings] = Field(
        default_factory=dict, description="Table per source: noise_bp and believe_days of its own."
    )

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


def load_settings(data: Path | None = None, **flags: Any) -> Settings:
    """A site's settings: from flags that are not None, the environment, and ``fms.toml`` in the data directory.

    Raises Fatal with one line that names the setting.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if data is not None:
        given["data"] = data
    directory = Path(given.get("data") or os.environ.get("FMS_DATA") or user_data_dir())
    try:
        return _located(directory / FILE_NAME)(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise Fatal(f"setting {name}: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise Fatal(f"{directory / FILE_NAME}: {first_line(error)}") from None


def _located(path: Path) -> type[Settings]:
    class Located(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    return Located
