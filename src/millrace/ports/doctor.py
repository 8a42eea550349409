"""What the doctor says while it is at work, so that whoever waits knows for what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Step:
    """A check that begins now: the `number`th of `of`. `check` is the code that its problems have."""

    check: str
    number: int
    of: int


Tell: TypeAlias = Callable[[Step], None]


def unheard(step: Step) -> None:
    """For those who only wait."""
