"""Backups that are asked for over the API: a checked copy on this machine, which is gone once it was sent."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.core.errors import Conflict, Unavailable
from millrace.core.values import SECOND
from millrace.ports.clock import Clock
from millrace.ports.database import CopyFailed, Database, DatabaseCopies

PART = 256 * 1024


@dataclass(frozen=True, slots=True)
class Backup:
    name: str
    size: int
    sha256: str
    _file: BinaryIO

    @asynccontextmanager
    async def parts(self, first: int, length: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Reads it once; afterwards it is gone."""
        with self._file as file:
            yield self._read(file, first, length)

    async def _read(self, file: BinaryIO, first: int, length: int) -> AsyncIterator[bytes]:
        while length > 0:
            part = await asyncio.to_thread(os.pread, file.fileno(), min(PART, length), first)
            first, length = first + len(part), length - len(part)
            yield part


class Backups:
    def __init__(self, database: Database, copies: DatabaseCopies, clock: Clock) -> None:
        self._database, self._copies, self._clock = database, copies, clock
        self._making = asyncio.Lock()

    async def make(self) -> Backup:
        """Raises `Conflict` while another is made, and `Unavailable` when there is no room or the copy failed."""
        if self._making.locked():
            raise Conflict("backup_running", "a backup is being made; wait for its end")
        async with self._making:
            place = self._copies.place
            try:
                _require_room(place, await self._copies.size())
                # One of a server that was killed may be there still.
                place.unlink(missing_ok=True)
                # Before it is made, so that the copy itself says who has it.
                await self._database.write(lambda connection: note(connection, Action.DATABASE_BACKUP, None))
                await self._copies.copy_to(place)
                size, sha256, copy = await asyncio.to_thread(_opened_and_unlinked, place)
            except (CopyFailed, OSError) as error:
                raise Unavailable("backup_failed", f"there is no backup: {error}") from None
        made_at = datetime.fromtimestamp(self._clock.now() / SECOND, UTC)
        return Backup(f"millrace-{made_at:%Y%m%dT%H%M%SZ}.{self._copies.suffix}", size, sha256, copy)


def _require_room(place: Path, needed: int) -> None:
    free = shutil.disk_usage(place.parent).free
    if free < needed + needed // 10:
        raise Unavailable(
            "no_room",
            f"a backup is first made in {place.parent} and needs {needed // 2**20 + 1} MiB there; "
            f"{free // 2**20} MiB are free",
        )


def _opened_and_unlinked(place: Path) -> tuple[int, str, BinaryIO]:
    """The file goes with the last who has it open, however that ends."""
    with ExitStack() as undo:
        file = undo.enter_context(place.open("rb"))
        place.unlink()
        size, sha256 = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
        undo.pop_all()
        return size, sha256, file
