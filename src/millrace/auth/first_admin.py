"""The first start of an installation: an administrator, and an API key in a file that only its owner can read."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.auth import repository
from millrace.auth.keys import NewKey, new_key
from millrace.auth.permissions import Role
from millrace.core.values import Instant
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEY_FILE = "api-key"


async def is_first_start(database: Database) -> bool:
    """Whether this installation has no user yet."""
    return not await database.read(repository.has_users)


async def ensure_first_admin(database: Database, clock: Clock, ids: Ids, home: Path) -> str | None:
    """Make the first administrator unless there is a user. Answers the key, to be shown once, or `None`.

    The file is written before the commit: if the process dies in between, the next start finds no user and replaces it.
    Of several processes that start at once one makes the administrator, and it alone writes the file.
    """
    if not await is_first_start(database):
        return None
    key = new_key()
    user_id, key_id, now = ids.new(), ids.new(), clock.now()

    def add(connection: "Connection") -> bool:
        if repository.has_users(connection):
            return False
        _add_admin(connection, user_id, key_id, key, now)
        # Whoever else wants to be first waits at this user's row for the end of this transaction.
        write_key_file(home, key.text)
        return True

    if await database.write(add):
        return key.text
    await asyncio.to_thread(_remove_key_file, home, key.text)
    return None


def write_key_file(home: Path, key: str) -> Path:
    """Put the key alone into `$MILLRACE_HOME/api-key`, whole or not at all, and never readable by others."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    place, fresh = home / KEY_FILE, home / f".{KEY_FILE}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(place)
    return place


def _remove_key_file(home: Path, key: str) -> None:
    """If this key is in it: its transaction came too late in the end."""
    place = home / KEY_FILE
    if place.exists() and place.read_text() == key:
        place.unlink()


def _add_admin(connection: "Connection", user_id: str, key_id: str, key: NewKey, now: Instant) -> None:
    repository.add_user(
        connection, user_id=user_id, email="admin@localhost", name="Administrator", role=Role.ADMIN, now=now
    )
    repository.add_key(connection, key_id=key_id, user_id=user_id, name="first key", key=key, now=now)
