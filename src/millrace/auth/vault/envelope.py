"""Sealing: AES-256-GCM in an envelope. Each value has a random key of its own, which the master key seals.

What a sealed text belongs to (table, name, version) is part of both seals: a row that somebody moved to another name,
or put back from an older version, does not open. A rotation seals the small key anew and never sees the value.
"""

import base64
import binascii
import json
import os
from dataclasses import dataclass

from millrace.auth.vault.keyring import KEY_BYTES, EncryptionKey, KeyRing

FORMAT = "1"
NONCE_BYTES = 12


class CannotOpen(Exception):
    """A sealed text does not open: the key is missing, or it was changed or moved. The message holds no value."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a sealed value belongs to."""

    table: str
    name: str
    version: int

    def bound(self, part: str) -> bytes:
        return json.dumps([FORMAT, part, self.table, self.name, self.version]).encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    text: str
    key_id: str


def seal(ring: KeyRing, subject: Subject, plain: str) -> Sealed:
    value_key = os.urandom(KEY_BYTES)
    key = ring.current
    wrapped = _encrypted(key.raw, value_key, subject.bound(f"key {key.id}"))
    return Sealed(_joined(wrapped, _encrypted(value_key, plain.encode(), subject.bound("value"))), key.id)


def open_sealed(ring: KeyRing, subject: Subject, sealed: Sealed) -> str:
    """The value. Raises `CannotOpen`."""
    wrapped, content = _parts(sealed.text, subject)
    value_key = _value_key(ring, subject, sealed.key_id, wrapped)
    return _decrypted(value_key, content, subject.bound("value"), subject).decode()


def resealed(ring: KeyRing, subject: Subject, sealed: Sealed) -> Sealed:
    """The same value under the ring's current key. Raises `CannotOpen`."""
    wrapped, content = _parts(sealed.text, subject)
    value_key = _value_key(ring, subject, sealed.key_id, wrapped)
    _decrypted(value_key, content, subject.bound("value"), subject)
    key = ring.current
    return Sealed(_joined(_encrypted(key.raw, value_key, subject.bound(f"key {key.id}")), content), key.id)


def check_value(key: EncryptionKey) -> str:
    """A text by which a key can be told from any other, kept in the database."""
    return seal(KeyRing(key), _of_key(key), key.id).text


def is_checked_by(key: EncryptionKey, text: str) -> bool:
    try:
        return open_sealed(KeyRing(key), _of_key(key), Sealed(text, key.id)) == key.id
    except CannotOpen:
        return False


def _of_key(key: EncryptionKey) -> Subject:
    return Subject("encryption_keys", key.id, 1)


def _value_key(ring: KeyRing, subject: Subject, key_id: str, wrapped: bytes) -> bytes:
    key = ring.get(key_id)
    if key is None:
        raise CannotOpen(f"{_shown(subject)} was encrypted with the key {key_id}, which this server does not have")
    return _decrypted(key.raw, wrapped, subject.bound(f"key {key.id}"), subject)


def _encrypted(key: bytes, plain: bytes, bound: bytes) -> bytes:
    # Loaded when the first value is sealed or opened: a start without any need not wait for it.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def _decrypted(key: bytes, sealed: bytes, bound: bytes, subject: Subject) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):
        raise CannotOpen(
            f"{_shown(subject)} does not open: its row was changed or moved outside Millrace; set it again"
        ) from None


def _joined(wrapped: bytes, content: bytes) -> str:
    return ":".join((FORMAT, base64.b64encode(wrapped).decode(), base64.b64encode(content).decode()))


def _parts(text: str, subject: Subject) -> tuple[bytes, bytes]:
    parts = text.split(":")
    if parts[0] != FORMAT or len(parts) != 3:
        raise CannotOpen(f"{_shown(subject)} is sealed in a form that this release does not know; set it again")
    try:
        return base64.b64decode(parts[1], validate=True), base64.b64decode(parts[2], validate=True)
    except (binascii.Error, ValueError):
        raise CannotOpen(f"{_shown(subject)} is damaged in the database; set it again") from None


def _shown(subject: Subject) -> str:
    return f"the value {subject.name!r} in the table {subject.table}"
