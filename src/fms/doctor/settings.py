"""The settings, as far as they could be loaded."""

from fms.doctor.findings import Finding, ok, warning
from fms.settings import Configuration
from fms.settings.loading import unknown_variables


def settings(configuration: Configuration) -> list[Finding]:
    """Where they come from, and what looks like one and is none."""
    file = f"{configuration.file}" if configuration.file.exists() else f"{configuration.file} is not there"
    found = [ok("settings", "loaded", f"file: {file}; changed from their defaults: {len(configuration.origins)}")]
    advice = "is it misspelt? docs/settings.md lists them"
    return found + [warning("settings", "variables", f"{name} is no setting", advice) for name in unknown_variables()]
