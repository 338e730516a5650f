"""The settings: what can be set, and from where it comes."""

from fms.settings.fields import Settings, SourceSettings, user_data_dir
from fms.settings.loading import Configuration, load_configuration, load_settings

__all__ = ["Configuration", "Settings", "SourceSettings", "load_configuration", "load_settings", "user_data_dir"]
