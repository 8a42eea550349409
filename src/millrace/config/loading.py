"""Reads the settings of this process, and says what is wrong with them without repeating a value."""

from pydantic import ValidationError

from millrace.config.settings import PREFIX, Settings


class SettingsError(Exception):
    """The environment does not make valid settings; the message names each variable and what would be right."""


def load_settings() -> Settings:
    """The settings of this process. Raises `SettingsError`, which names the variable and never repeats its value."""
    try:
        return Settings()
    except ValidationError as error:
        faults = [fault for fault in error.errors(include_input=False) if fault["type"] != "default_factory_not_called"]
        lines = [_fault_line(fault["loc"], fault["msg"]) for fault in faults]
        raise SettingsError("\n".join(lines)) from None


def _fault_line(location: tuple[int | str, ...], message: str) -> str:
    first = str(location[0]) if location else ""
    name = first if first.isupper() else f"{PREFIX}{first.upper()}"
    return f"{name}: {message.removeprefix('Value error, ')}"
