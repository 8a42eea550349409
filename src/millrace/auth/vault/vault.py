"""The vault seals values for the database and opens them again, and signs texts, with the keys of this installation.

It is opened once, at the start, and only with the right keys: a server that made itself a new key because the old one
was lost or mistyped would go on for weeks with secrets that no task can read.

Another process may change the key meanwhile. Whoever meets a key that it does not have looks for it where its own came
from; if it is not there either, the value does not open, and nothing is sealed with a key that was given up.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.vault import envelope, repository, signing
from millrace.auth.vault.envelope import Sealed, Subject
from millrace.auth.vault.key_source import (
    FILE,
    EncryptionKeyUnusable,
    add_key,
    configured_ring,
    key_file,
    make_key_file,
    place_of_key,
)
from millrace.auth.vault.keyring import EncryptionKey, KeyRing
from millrace.config import Settings
from millrace.core.errors import Unavailable
from millrace.ports.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rotation:
    key_id: str
    """The key that all values are sealed with now."""
    former: tuple[str, ...]
    """Keys that only backups need now."""
    resealed: int
    made: bool
    """Whether the key was made for this rotation; otherwise it is the one of the setting."""


class Vault:
    def __init__(self, ring: KeyRing, database: Database, settings: Settings, *, shared: bool = False) -> None:
        """`shared`: whether other processes may be at work on the database."""
        self._ring = ring
        self._database = database
        self._settings = settings
        self._shared = shared
        self._rotating = asyncio.Lock()

    def seal(self, connection: "Connection", subject: Subject, plain: str) -> Sealed:
        """Seal a value within the transaction that writes it.

        Raises `Unavailable` if another process has changed the key, and this one has not got the new one yet.
        """
        newest = repository.newest_key(connection) if self._shared else None
        if newest is not None and self._ring_with(newest).get(newest) is None:
            raise Unavailable(
                "encryption_key_changed",
                f"the encryption key was changed to {newest}, and this process does not have it; {self._how_to_get()}",
            )
        sealed = envelope.seal(self._ring, subject, plain)
        if sealed.key_id not in repository.check_values(connection):
            self._note_current(connection)
        return sealed

    def open(self, subject: Subject, sealed: Sealed) -> str:
        """The value. Raises `CannotOpen`."""
        return envelope.open_sealed(self._ring_with(sealed.key_id), subject, sealed)

    def sign(self, purpose: str, content: bytes) -> str:
        """A text to give away; anybody can read the content, and nobody else can make one."""
        return signing.signed(self._ring.current, purpose, content)

    def signed(self, purpose: str, text: str) -> bytes | None:
        """What `sign` was given, by this installation and for this purpose; `None` for any other text."""
        key_id = signing.key_id_of(text)
        if key_id is None:
            return None
        key = self._named_by_stranger(key_id)
        return None if key is None else signing.content_of(key, purpose, text)

    def own_key(self, purpose: str) -> tuple[str, bytes]:
        """What another way of signing signs with, for this purpose alone, and the id of the key it comes from."""
        return self._ring.current.id, signing.own_key(self._ring.current, purpose)

    def own_key_of(self, purpose: str, key_id: str) -> bytes | None:
        """The one that `own_key` gave with this id, now or before a rotation; `None` for any other id."""
        key = self._named_by_stranger(key_id)
        return None if key is None else signing.own_key(key, purpose)

    def _named_by_stranger(self, key_id: str) -> EncryptionKey | None:
        """Where nobody else can change the key, it is not looked for at the wish of whoever sends something."""
        return (self._ring_with(key_id) if self._shared else self._ring).get(key_id)

    def _ring_with(self, key_id: str) -> KeyRing:
        """The keys; read again if this one is not among them."""
        if self._ring.get(key_id) is None:
            try:
                ring = configured_ring(self._settings)
            except EncryptionKeyUnusable as error:
                logger.warning("a key that another process has brought in cannot be read: %s", error)
                return self._ring
            if ring is not None and ring.get(key_id) is not None:
                self._ring = ring
                logger.info("the encryption key was changed by another process; this one uses %s now", ring.current.id)
        return self._ring

    def _how_to_get(self) -> str:
        if self._settings.encryption_key is None:
            return f"copy the key file of the process that changed it to {key_file(self._settings)}"
        return "set MILLRACE_ENCRYPTION_KEY as for the process that changed it, and restart this one"

    async def rotate(self) -> Rotation:
        """Seal every value anew: with a new key if the key is in a file, else with that of the setting.

        The new key is on the disk before anything is sealed with it, and the former ones stay beside it, so whatever
        ends this half-way leaves every value readable. Raises `EncryptionKeyUnusable` and `CannotOpen`.
        """
        async with self._rotating:
            made = self._settings.encryption_key is None
            if made:
                try:
                    self._ring = await asyncio.to_thread(self._with_new_key)
                except OSError as error:
                    place = key_file(self._settings)
                    raise EncryptionKeyUnusable(f"{place} cannot be written: {error.strerror}") from None
            count = await self._database.write(self._reseal_all)
        former = tuple(key.id for key in self._ring.keys[1:])
        return Rotation(self._ring.current.id, former, count, made)

    def _with_new_key(self) -> KeyRing:
        key = EncryptionKey.fresh()
        add_key(key_file(self._settings), key)
        return configured_ring(self._settings) or self._ring.with_new(key)

    def _reseal_all(self, connection: "Connection") -> int:
        sealed = repository.sealed_rows(connection)
        for key_id in {row.sealed.key_id for row in sealed}:
            # Another process may have changed the key at the same time, and be done.
            self._ring_with(key_id)
        current = self._ring.current.id
        rows = [row for row in sealed if row.sealed.key_id != current]
        if rows and current not in repository.check_values(connection):
            self._note_current(connection)
        for row in rows:
            repository.reseal(connection, row, envelope.resealed(self._ring, row.subject, row.sealed))
        note(connection, Action.ENCRYPTION_KEY_ROTATE, current, after={"resealed": len(rows)})
        return len(rows)

    def note_first(self, connection: "Connection") -> None:
        """Have the current key be the one that other processes must have, too, if no key is that yet."""
        if repository.newest_key(connection) is None:
            self._note_current(connection)

    def _note_current(self, connection: "Connection") -> None:
        key = self._ring.current
        repository.note_key(connection, key.id, envelope.check_value(key))


async def open_vault(
    settings: Settings, database: Database, others: Callable[[], Awaitable[bool]] | None = None
) -> Vault:
    """The vault of this installation; the first start makes its key.

    `others` tells whether other processes run on this database, where there may be some: what one of them seals all
    must be able to open. Raises `EncryptionKeyUnusable` unless every value in the database has its key here, and this
    process the key of the others.
    """
    ring = await asyncio.to_thread(configured_ring, settings)
    in_use = await database.read(repository.keys_in_use)
    known = await database.read(repository.check_values) if in_use else {}
    _require_keys(ring, in_use, known, settings)
    if others is not None:
        await _agree(ring, database, settings, settled=bool(in_use) or await others())
    if ring is None:
        try:
            ring = KeyRing(await asyncio.to_thread(make_key_file, key_file(settings)))
        except OSError as error:
            raise EncryptionKeyUnusable(
                f"the encryption key cannot be written to {key_file(settings)}: {error.strerror}; "
                "set MILLRACE_ENCRYPTION_KEY or MILLRACE_ENCRYPTION_KEY_FILE"
            ) from None
    vault = Vault(ring, database, settings, shared=others is not None)
    if others is not None:
        await database.write(vault.note_first)
    return vault


async def _agree(ring: KeyRing | None, database: Database, settings: Settings, *, settled: bool) -> None:
    """Refuse to be the one process that has another key. While that is not settled, this process may choose it."""
    newest = await database.read(repository.newest_key)
    if newest is None or (ring is not None and ring.get(newest) is not None):
        return
    if not settled:
        await database.write(repository.forget_keys)
        return
    raise EncryptionKeyUnusable(
        f"the other processes on this database use the encryption key {newest}, and {_what_is_there(ring, settings)}. "
        f"Give every process the same key: copy the file {FILE} from the home folder of one of them to "
        f"{key_file(settings)}, or set MILLRACE_ENCRYPTION_KEY for all"
    )


def _require_keys(
    ring: KeyRing | None, in_use: Mapping[str, int], known: Mapping[str, str], settings: Settings
) -> None:
    for key_id, count in sorted(in_use.items()):
        many = "s" if count > 1 else ""
        values = f"{count} secret{many}, connection{many} or agent{many} (former versions included)"
        key = None if ring is None else ring.get(key_id)
        if key is None:
            raise EncryptionKeyUnusable(
                f"the database holds {values} encrypted with the key {key_id}, and {_what_is_there(ring, settings)}. "
                f"{_remedy(ring, key_id, settings)}"
            )
        if not envelope.is_checked_by(key, known.get(key_id, "")):
            raise EncryptionKeyUnusable(
                f"the key {key_id} from {place_of_key(settings)} does not fit what the database holds of it "
                f"(table encryption_keys), so {values} cannot be read; restore key and database from the same backup"
            )


def _what_is_there(ring: KeyRing | None, settings: Settings) -> str:
    if ring is None:
        return f"there is no key: MILLRACE_ENCRYPTION_KEY is not set and {key_file(settings)} does not exist"
    return f"{place_of_key(settings)} holds the key {ring.current.id}"


def _remedy(ring: KeyRing | None, key_id: str, settings: Settings) -> str:
    if ring is None:
        return f"Put the file back from your backup, or set MILLRACE_ENCRYPTION_KEY to the key {key_id}"
    return (
        f"Put the key {key_id} back in its place, or add it to MILLRACE_ENCRYPTION_KEYS_OLD if the key was changed "
        "on purpose"
    )
