"""What an archive looks like: one object, gzip-compressed JSON lines, readable with `zcat` and without Millrace.

Each family of runs is a gzip member of its own, so that one can be read without the others, and each member begins with
a line of the kind `family`. The last member is one line of the kind `index`: which runs are in which member, and where
that lies. A member has a checksum of its own, which is checked whenever it is read to its end.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import orjson

from millrace.core.values import SECOND, Instant
from millrace.ports.objects import ObjectUnreadable

FORMAT = 1
"""Of the lines. Fields and kinds may be added to it; a reader passes over what it does not know."""

FOLDER = "archive"
"""Apart from the folders whose orphans are swept (`app.artifacts.keys`): only their own age takes archives away."""

GZIP = 31
COMPRESSED_AT_ONCE = 65_536
UNPACKED_AT_ONCE = 1_048_576

Line: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a family lies in an archive."""

    root: str
    runs: Sequence[str]
    at: int
    length: int


def key_of(archive_id: str, at: Instant) -> str:
    return f"{FOLDER}/{datetime.fromtimestamp(at / SECOND, UTC):%Y/%m}/{archive_id}.jsonl.gz"


def line_of(kind: str, content: Line) -> bytes:
    return orjson.dumps({"kind": kind, **content})


def index_line(places: Sequence[Place]) -> bytes:
    families: list[Line] = [
        {"root": place.root, "at": place.at, "length": place.length, "runs": list(place.runs)} for place in places
    ]
    return line_of("index", {"families": families})


def places_in(index: bytes) -> list[Place]:
    return [
        Place(family["root"], family["runs"], family["at"], family["length"])
        for family in orjson.loads(index)["families"]
    ]


async def packed(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines as one gzip member, in parts. Only some of them are in memory at a time."""
    packing = zlib.compressobj(wbits=GZIP)
    waiting: list[bytes] = []
    size = 0
    async for line in lines:
        waiting += (line, b"\n")
        size += len(line)
        if size >= COMPRESSED_AT_ONCE:
            yield await asyncio.to_thread(packing.compress, b"".join(waiting))
            waiting, size = [], 0
    yield packing.compress(b"".join(waiting)) + packing.flush()


async def unpacked(parts: AsyncIterator[bytes], key: str) -> AsyncGenerator[bytes]:
    """The lines of one gzip member. Raises `ObjectUnreadable` for one that is damaged; `key` is its object's."""
    waiting: list[bytes] = []
    async for text in _unpacked_texts(parts, key):
        first, *more = text.split(b"\n")
        waiting.append(first)
        for begun in more:
            yield b"".join(waiting)
            waiting = [begun]
    if any(waiting):
        raise ObjectUnreadable(f"the object {key} is damaged: its last line has no end")


async def _unpacked_texts(parts: AsyncIterator[bytes], key: str) -> AsyncIterator[bytes]:
    unpacking = zlib.decompressobj(wbits=GZIP)
    try:
        async for part in parts:
            packed = part
            while packed:
                yield await asyncio.to_thread(unpacking.decompress, packed, UNPACKED_AT_ONCE)
                packed = unpacking.unconsumed_tail
        yield unpacking.flush()
    except zlib.error as error:
        raise ObjectUnreadable(f"the object {key} is damaged: {error}") from None
    if not unpacking.eof:
        raise ObjectUnreadable(f"the object {key} is damaged: a part of it ends too early")
