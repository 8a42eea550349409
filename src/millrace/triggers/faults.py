"""Errors about configs of triggers that cannot be: which part, what is wrong, and what would be right."""

from typing import LiteralString

from pydantic_core import PydanticCustomError


class InvalidSchedule(ValueError):
    """`field` is the part that is wrong: `expression`, `timezone`, `gap` or `overlap`."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        super().__init__(field, message, remedy)
        self.field = field
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


def told(kind: LiteralString, reason: str, remedy: str) -> PydanticCustomError:
    """For validators of a config: what is wrong with the value, in words of ours instead of pydantic's."""
    return PydanticCustomError(kind, "{reason}", {"reason": reason, "remedy": remedy})
