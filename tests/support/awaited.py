"""The client that waits, to be used like the one for asyncio, so that one test can be about both.

Each call and each step of an iteration runs in a thread, since the server of a test may live in this event loop.
"""

import asyncio
import inspect
from collections.abc import Generator
from types import TracebackType
from typing import Any, Self

from millrace.client import AsyncClient, Client

KINDS = ("AsyncClient", "Client")
END = object()


def client_of(kind: str, url: str, api_key: str, **options: Any) -> Any:
    """A client of this kind, to be used like the one for asyncio."""
    if kind == "AsyncClient":
        return AsyncClient(url, api_key, **options)
    return AwaitedClient(Client(url, api_key, **options))


class AwaitedClient:
    """Wraps a `Client`: what is to be awaited with an `AsyncClient` is to be awaited here."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        return _Group(found) if type(found).__module__.startswith("millrace.client.sync") else found

    def run(self, *args: Any, **kwargs: Any) -> "_Call":
        return _Call(self.client.run, args, kwargs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.client.close)


class _Group:
    def __init__(self, group: Any) -> None:
        self._group = group

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._group, name)
        signature = inspect.signature(method)
        if "Stream" in str(signature.return_annotation):
            return lambda *args, **kwargs: _Awaited(method(*args, **kwargs))
        return lambda *args, **kwargs: _Call(method, args, kwargs)


class _Call:
    """A call that is yet to be made: to be awaited, iterated or entered."""

    def __init__(self, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._method, self._args, self._kwargs = method, args, kwargs
        self._context: Any = None

    async def _made(self) -> Any:
        return await asyncio.to_thread(self._method, *self._args, **self._kwargs)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._made().__await__()

    def __aiter__(self) -> "_Awaited":
        return _Awaited(self._method(*self._args, **self._kwargs))

    async def __aenter__(self) -> "_Awaited":
        self._context = await self._made()
        return _Awaited(await asyncio.to_thread(self._context.__enter__))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._context.__exit__, kind, error, trace)


class _Awaited:
    """An iterator whose steps are awaited."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._iterator, name)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        item = await asyncio.to_thread(next, self._iterator, END)
        if item is END:
            raise StopAsyncIteration
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await asyncio.to_thread(self._iterator.close)
