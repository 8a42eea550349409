"""All settings of an installation, in one frozen object: read from the environment once, checked, described.

Every setting is a field of `Settings`; its description is what the documentation and `settings_table` show. Nothing
else in Millrace reads a setting from the environment. It protects two rules: what is unsafe is never the default, and
a value that may hold a secret is never printed, not even in an error about it.
"""

from millrace.config.loading import SettingsError, load_settings
from millrace.config.settings import PREFIX, Settings
from millrace.config.table import settings_table

__all__ = ["PREFIX", "Settings", "SettingsError", "load_settings", "settings_table"]
