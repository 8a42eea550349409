"""Many who ask the same at the same time are answered by one read, begun after each of them asked.

So a hundred followers of one run cost two reads a commit, and none is given an answer older than its question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any


class SharedReads:
    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}
        self._next: dict[Hashable, asyncio.Task[Any]] = {}
        """Reads that begin when the one that is running ends; whoever comes meanwhile joins them."""

    async def read(self, key: Hashable, work: Callable[[], Awaitable[Any]]) -> Any:
        running = self._running.get(key)
        if running is None:
            task = self._running[key] = self._begin(key, work, None)
        else:
            task = self._next.get(key) or self._begin(key, work, running)
            self._next[key] = task
        # The read goes on for the others when one of those who wait goes away.
        return await asyncio.shield(task)

    def _begin(
        self, key: Hashable, work: Callable[[], Awaitable[Any]], before: "asyncio.Task[Any] | None"
    ) -> "asyncio.Task[Any]":
        task = asyncio.create_task(self._read(key, work, before))
        task.add_done_callback(_seen)
        return task

    async def _read(self, key: Hashable, work: Callable[[], Awaitable[Any]], before: "asyncio.Task[Any] | None") -> Any:
        if before is not None:
            await asyncio.wait({before})
            self._running[key] = self._next.pop(key)
        try:
            return await work()
        finally:
            if key not in self._next:
                del self._running[key]


def _seen(task: "asyncio.Task[Any]") -> None:
    """An error belongs to those who wait; when all have gone, to nobody."""
    if not task.cancelled():
        task.exception()
