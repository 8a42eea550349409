"""Patterns of the texts that requests carry. No database keeps a NUL character."""

from typing import Final

NO_NUL: Final = r"^[^\x00]*$"
NO_NUL_NOT_BLANK: Final = r"^[^\x00]*[^\s\x00][^\x00]*$"
