"""Where settings come from: flags first, then the environment, then one TOML file."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource

from fms.errors import Fatal
from fms.model.batch import first_line
from fms.settings.fields import Settings, SourceSettings, user_data_dir
from fms.settings.urls import masked

FILE_NAME = "fms.toml"
PREFIX = "FMS_"
CONFIG = f"{PREFIX}CONFIG"
"""The environment variable that names the file, if it is not the one in the data directory."""

FLAG, DEFAULT = "flag", "default"

Name = tuple[str, ...]
"""A setting, or one of a source: ``("sources", "fx", "noise_bp")``."""


@dataclass(frozen=True)
class Configuration:
    """Settings, and where they come from.

    Attributes:
        settings: the settings.
        file: the TOML file; the one in the data directory need not be there.
        origins: ``flag``, the name of an environment variable, or the file, of whatever has not its default.
    """

    settings: Settings
    file: Path
    origins: Mapping[Name, str]

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Name, value without its secrets, and origin of every setting, and of what is set of sources."""
        for name in Settings.model_fields:
            value = getattr(self.settings, name)
            if name != "sources":
                yield name, _shown(value), _origin(self.origins, (name,)) or DEFAULT
        for source, about in self.settings.sources.items():
            for name in [one for one in SourceSettings.model_fields if one in about.model_fields_set]:
                origin = _origin(self.origins, ("sources", source, name))
                yield f"sources.{source}.{name}", getattr(about, name), origin or DEFAULT


def _origin(origins: Mapping[Name, str], name: Name) -> str | None:
    """Where a setting, or else the table that it is in, comes from."""
    longer = (name[:length] for length in range(len(name), 0, -1))
    return next((origins[one] for one in longer if one in origins), None)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return masked(text) if "://" in text else "***"
    return str(value) if isinstance(value, Path) else value


def load_settings(data: Path | None = None, **flags: Any) -> Settings:
    """A site's settings; see ``load_configuration``."""
    return load_configuration(data, **flags).settings


def load_configuration(data: Path | None = None, **flags: Any) -> Configuration:
    """A site's settings: from flags that are not None, the environment, and a TOML file.

    The file is the one that the variable FMS_CONFIG names, else ``fms.toml`` in the data directory if there is one.
    Raises Fatal with one line that names the setting, and where it comes from.
    """
    given = {name: value for name, value in {"data": data, **flags}.items() if value is not None}
    environment = _environment()
    named = os.environ.get(CONFIG)
    file = Path(named or Path(given.get("data") or environment.get("data") or user_data_dir()) / FILE_NAME)
    document = _document(file, named=bool(named))
    origins = {name: str(file) for name in _leaves(document)}
    origins |= {name: _variable(name) for name in _leaves(environment)}
    origins |= dict.fromkeys(_leaves(given), FLAG)
    try:
        settings = Settings(**_merged(_merged(document, environment), given))
    except ValidationError as error:
        raise Fatal(_in_words(error, origins)) from None
    return Configuration(settings, file, origins)


def unknown_variables() -> list[str]:
    """Environment variables that look like settings and are none; but a password may stand for itself in a URL."""
    known = {CONFIG, *(f"{PREFIX}{name}".upper() for name in Settings.model_fields)}
    named = [name for name in os.environ if name.upper().startswith(PREFIX) and "PASSWORD" not in name.upper()]
    return sorted(name for name in named if name.upper().split("__")[0] not in known)


def _environment() -> dict[str, Any]:
    try:
        return EnvSettingsSource(Settings)()
    except ValueError:
        # Tables are the only settings that are decoded, and only if they are given in one piece.
        raise Fatal(f"setting sources ({PREFIX}SOURCES): not a table in JSON") from None


def _document(file: Path, *, named: bool) -> dict[str, Any]:
    if not named and not file.exists():
        return {}
    try:
        with file.open("rb") as opened:
            document = tomllib.load(opened)
    except OSError as error:
        raise Fatal(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise Fatal(f"{file}: {first_line(error)}") from None
    if "data" in document:
        if not named:
            raise Fatal(f"setting data ({file}): not in the data directory itself; in a file that --config names")
        document["data"] = _beside(file, document["data"])
    return document


def _beside(file: Path, data: Any) -> Any:
    """The data directory that a file names: from where the file is, not from where somebody happens to be."""
    return file.parent / Path(data).expanduser() if isinstance(data, str) else data


def _leaves(document: Mapping[str, Any], above: Name = ()) -> Iterator[Name]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name)


def _variable(name: Name) -> str:
    """The environment variable that says it, or says it among other things."""
    there = {variable.lower(): variable for variable in os.environ}
    longer = ["__".join(name[:length]) for length in range(len(name), 0, -1)]
    return next(found for one in longer if (found := there.get(f"{PREFIX}{one}".lower())))


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = {name for name in above if isinstance(above[name], Mapping) and isinstance(below.get(name), Mapping)}
    return {**below, **above, **{name: _merged(below[name], above[name]) for name in both}}


def _in_words(error: ValidationError, origins: Mapping[Name, str]) -> str:
    """The first fault, without the value: it may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    name = tuple(str(part) for part in first["loc"])
    problem = _unknown(name) if first["type"] == "extra_forbidden" else first["msg"]
    shown = ".".join(name)[:80]
    return f"setting {shown if shown.isprintable() else repr(shown)} ({_origin(origins, name) or FLAG}): {problem}"


def _unknown(name: Name) -> str:
    model: type[BaseModel] = Settings if len(name) == 1 else SourceSettings
    close = get_close_matches(name[-1], model.model_fields, n=1)
    return "there is no such setting" + (f"; {close[0]} is meant?" if close else "")
