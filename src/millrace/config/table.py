"""The settings as a table: the variables of each, what it is by itself, and what it means."""

from dataclasses import dataclass

from pydantic import AliasChoices, AliasPath
from pydantic.fields import FieldInfo

from millrace.config.http import HttpSettings
from millrace.config.oidc import OidcSettings
from millrace.config.settings import PREFIX, Settings
from millrace.config.shell import ShellSettings


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of the table of settings."""

    field: str
    names: tuple[str, ...]
    """Environment variables, the first that is set wins."""
    default: str
    description: str


def settings_table() -> tuple[SettingRow, ...]:
    """Every setting with its variables, default and meaning, in the order of the class; inherited groups come last."""
    inherited = {*ShellSettings.model_fields, *OidcSettings.model_fields, *HttpSettings.model_fields}
    fields = sorted(Settings.model_fields.items(), key=lambda named: named[0] in inherited)
    return tuple(
        SettingRow(name, _names_of(name), _default_of(name, field), field.description or "") for name, field in fields
    )


def _names_of(field: str) -> tuple[str, ...]:
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices if not isinstance(choice, AliasPath))
    return (f"{PREFIX}{field.upper()}",)


def _default_of(name: str, field: FieldInfo) -> str:
    match name:
        case "database_url":
            return "sqlite:///$MILLRACE_HOME/millrace.db"
        case "artifacts_dir":
            return "$MILLRACE_HOME/artifacts"
        case "sqlite_allowed_dirs":
            return "$MILLRACE_HOME, working directory, temporary directory"
    default = field.get_default(call_default_factory=True)
    if default is None or default in ((), {}):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, dict):
        return ",".join(f"{key}={value}" for key, value in default.items())
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
