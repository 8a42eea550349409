"""HTTP requests as fast as they are answered, over so many kept connections: the sender that costs the least.

Each connection sends its next request when the last one was answered, so the delay that is measured holds no queue of
the sender's own. Nothing but the status and the length of an answer is looked at.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvloop

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it."""

    delays: list[float]
    """Seconds from each request to its answer."""
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.delays) / self.seconds


def sent(port: int, request: Callable[[int], bytes], *, connections: int, seconds: float, expected: int) -> Load:
    """Send for so long; `request` makes the one of each number. Raises `RuntimeError` for another status."""
    return uvloop.run(_sent(port, request, connections, seconds, expected))


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def _sent(port: int, request: Callable[[int], bytes], connections: int, seconds: float, expected: int) -> Load:
    delays: list[float] = []
    numbers = iter(range(1 << 40))
    began = time.perf_counter()

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (at := time.perf_counter()) - began < seconds:
                writer.write(request(next(numbers)))
                await _answered(reader, expected)
                delays.append(time.perf_counter() - at)
        finally:
            writer.close()
            await writer.wait_closed()

    async with asyncio.TaskGroup() as senders:
        for _ in range(connections):
            senders.create_task(send())
    return Load(delays, time.perf_counter() - began)


async def _answered(reader: asyncio.StreamReader, expected: int) -> None:
    head = await reader.readuntil(END_OF_HEAD)
    status, lines = int(head[9:12]), head.lower().split(b"\r\n")
    length = next(int(line[len(LENGTH) :]) for line in lines if line.startswith(LENGTH))
    body = await reader.readexactly(length)
    if status != expected:
        raise RuntimeError(f"answered {status}: {body.decode(errors='replace')[:500]}")
