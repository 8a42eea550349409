"""For the only process on its database: there is nobody to tell, and it is always its turn."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from millrace.ports.dispatch import Hint


class Alone:
    """Meets `ports.dispatch.Hints` and `Turns`."""

    def tell(self, hint: Hint, subject: str = "") -> None:
        return None

    def on(self, hint: Hint, act: Callable[[str], None]) -> None:
        return None

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[bool]:
        yield True

    @asynccontextmanager
    async def waited_turn(self, name: str) -> AsyncIterator[None]:
        yield

    async def join(self) -> None:
        return None

    async def others(self) -> bool:
        return False
