"""How connections are made: through the address policy, to the very addresses it answered.

Imports the HTTP libraries, so it is itself imported at the first request.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore2
import httpx2

from millrace.ports.network import Addresses


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """A network backend that connects to checked addresses only. TLS still names the host it was asked for."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """The time limit is that of the whole: the name, and all of its addresses."""
        try:
            async with asyncio.timeout(timeout) as limit:
                found = await self._addresses.resolve(host, port)
                failure: Exception = httpcore2.ConnectError(f"{host} has no address")
                for position, address in enumerate(found):
                    share = _share(limit.when(), len(found) - position)
                    try:
                        return await self._sockets.connect_tcp(address, port, share, local_address, socket_options)
                    except (httpcore2.NetworkError, httpcore2.ConnectTimeout) as error:
                        failure = error
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"connecting to {host} took too long") from None
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("local sockets are not connected to")

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)


def _share(deadline: float | None, addresses: int) -> float | None:
    """What one of the addresses still to be tried gets of the time that is left."""
    return None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time()) / addresses


class GuardedTransport:
    """Requests of httpx2 over a pool of guarded connections.

    Its client is not used: that would keep cookies from one answer to the next request, whosever it is, and log
    whole addresses.
    """

    def __init__(self, addresses: Addresses, context: ssl.SSLContext, connections: int) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections // 4,
            keepalive_expiry=30.0,
            network_backend=GuardedBackend(addresses),
        )

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """The answer's head; its body is still to be read, and the answer to be closed."""
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
            request=request,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()
