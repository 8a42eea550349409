"""Questions to the database that share a look: however many come at a time, each read answers all that came meanwhile.

A look begins after every question that it is for, so what is committed before a question is asked is in its answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Generic, TypeAlias, TypeVar

K = TypeVar("K")
V = TypeVar("V")

Ask: TypeAlias = Callable[[Set[K]], Awaitable[Mapping[K, V]]]


class _Look(Generic[K, V]):
    """What several ask together, and the answer."""

    def __init__(self) -> None:
        self.keys: set[K] = set()
        self.found: Mapping[K, V] | None = None
        self.error: Exception | None = None

    @property
    def answered(self) -> bool:
        return self.found is not None or self.error is not None


class SharedLooks(Generic[K, V]):
    def __init__(self, ask: Ask[K, V]) -> None:
        self._ask = ask
        self._next = _Look[K, V]()
        self._turn = asyncio.Lock()

    async def find(self, key: K) -> V | None:
        """What there is under `key`. Raises what the look raised, to each for whom it was."""
        look = self._next
        look.keys.add(key)
        async with self._turn:
            if not look.answered:
                await self._take(look)
        if look.error is not None:
            raise look.error
        return (look.found or {}).get(key)

    async def _take(self, look: _Look[K, V]) -> None:
        """Whoever is cancelled here leaves the look to the next of those who wait for it."""
        if look is self._next:
            self._next = _Look()
        try:
            look.found = await self._ask(look.keys)
        except Exception as error:  # told to each who asked
            look.error = error
