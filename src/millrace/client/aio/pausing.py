"""The two things that are not the same in both worlds: letting time pass, and calling what blocks."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what may block, like a disk, without holding up the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)
