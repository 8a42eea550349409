"""The two things that are not the same in both worlds: letting time pass, and calling what blocks."""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def pause(seconds: float) -> None:
    time.sleep(seconds)


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call it here: who calls this may block."""
    return function(*args, **kwargs)
