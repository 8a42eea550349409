"""Where encryption keys come from: the settings, else a file, which the first start makes.

The file holds one key a line, the current one first; blank lines and those after `#` are left out. It is written whole
or not at all, and a key that is there is never replaced by another.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from millrace.auth.vault.keyring import EncryptionKey, KeyRing
from millrace.config import Settings

FILE = "encryption-key"


class EncryptionKeyUnusable(Exception):
    """The key is wrong, missing or unreadable; the message names setting, place and key id, never a key."""


def key_file(settings: Settings) -> Path:
    return settings.encryption_key_file or settings.home / FILE


def place_of_key(settings: Settings) -> str:
    """Where the current key comes from, for messages."""
    if settings.encryption_key is not None:
        return "MILLRACE_ENCRYPTION_KEY"
    if settings.encryption_key_file is not None:
        return f"the file {settings.encryption_key_file} (MILLRACE_ENCRYPTION_KEY_FILE)"
    return f"the file {key_file(settings)}"


def configured_ring(settings: Settings) -> KeyRing | None:
    """The keys of this installation; `None` if there is none yet. Raises `EncryptionKeyUnusable`."""
    old = [_setting("MILLRACE_ENCRYPTION_KEYS_OLD", text) for text in _listed(settings)]
    if settings.encryption_key is not None:
        if settings.encryption_key_file is not None:
            raise EncryptionKeyUnusable("set one of MILLRACE_ENCRYPTION_KEY and MILLRACE_ENCRYPTION_KEY_FILE, not both")
        return KeyRing(_setting("MILLRACE_ENCRYPTION_KEY", settings.encryption_key.get_secret_value()), old)
    keys = read_keys(key_file(settings))
    if keys:
        return KeyRing(keys[0], (*old, *keys[1:]))
    if settings.encryption_key_file is not None:
        raise EncryptionKeyUnusable(f"MILLRACE_ENCRYPTION_KEY_FILE: {settings.encryption_key_file} is not there")
    return None


def read_keys(place: Path) -> list[EncryptionKey]:
    """The keys in a file; none if there is no file. Raises `EncryptionKeyUnusable`."""
    try:
        lines = place.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a file of keys"
        raise EncryptionKeyUnusable(f"the encryption key in {place} cannot be read: {reason}") from None
    texts = {number: line.partition("#")[0].strip() for number, line in enumerate(lines, start=1)}
    keys = [_line(place, number, text) for number, text in texts.items() if text]
    if not keys:
        raise EncryptionKeyUnusable(f"the file {place} holds no encryption key; put the key back from your backup")
    return keys


def make_key_file(place: Path) -> EncryptionKey:
    """A new key in a new file that its owner alone can read; if somebody else was faster, the key that is there."""
    key = EncryptionKey.fresh()
    fresh = _written(place, [key])
    try:
        os.link(fresh, place)
    except FileExistsError:
        key = read_keys(place)[0]
    finally:
        fresh.unlink()
    _sync_folder(place.parent)
    return key


def add_key(place: Path, key: EncryptionKey) -> None:
    """Make `key` the current one of the file; those that are there by now stay, also those of another process."""
    with _sole_writer(place.parent):
        _written(place, [key, *read_keys(place)]).replace(place)
        _sync_folder(place.parent)


@contextmanager
def _sole_writer(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _written(place: Path, keys: Sequence[EncryptionKey]) -> Path:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{key.text}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _sync_folder(folder: Path) -> None:
    """The file's name must be on the disk before anything is sealed with what it holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _listed(settings: Settings) -> list[str]:
    old = settings.encryption_keys_old
    return [] if old is None else [part.strip() for part in old.get_secret_value().split(",") if part.strip()]


def _setting(name: str, text: str) -> EncryptionKey:
    try:
        return EncryptionKey.parse(text)
    except ValueError as error:
        raise EncryptionKeyUnusable(f"{name}: {error}") from None


def _line(place: Path, number: int, text: str) -> EncryptionKey:
    try:
        return EncryptionKey.parse(text)
    except ValueError as error:
        raise EncryptionKeyUnusable(f"line {number} of the file {place} holds no encryption key: {error}") from None
