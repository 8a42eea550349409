"""Encryption keys, and the ring of them: the current one seals, the former ones only open.

A key is 32 bytes, written as base64. Its id is derived from it, so that a sealed value can say which key it wants and
nobody learns the key from that. Where keys are kept is told in `key_source`.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

KEY_BYTES = 32
NEW_KEY_REMEDY = "make one with `openssl rand -base64 32`"

_PURPOSE = b"millrace encryption key id"


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    id: str
    raw: bytes = field(repr=False)

    @classmethod
    def of(cls, raw: bytes) -> "EncryptionKey":
        return cls(hmac.new(raw, _PURPOSE, hashlib.sha256).hexdigest()[:16], raw)

    @classmethod
    def parse(cls, text: str) -> "EncryptionKey":
        """Read a key from base64. Raises `ValueError`, whose message does not repeat any of it."""
        try:
            raw = base64.b64decode(text.strip().translate(_STANDARD), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"this is not base64; {NEW_KEY_REMEDY}") from None
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, this has {len(raw)}; {NEW_KEY_REMEDY}")
        return cls.of(raw)

    @classmethod
    def fresh(cls) -> "EncryptionKey":
        return cls.of(os.urandom(KEY_BYTES))

    @property
    def text(self) -> str:
        return base64.b64encode(self.raw).decode()


_STANDARD = str.maketrans("-_", "+/")
"""Both alphabets of base64 are taken."""


class KeyRing:
    def __init__(self, current: EncryptionKey, former: Iterable[EncryptionKey] = ()) -> None:
        self.current = current
        self._keys = {key.id: key for key in (*former, current)}

    def get(self, key_id: str) -> EncryptionKey | None:
        return self._keys.get(key_id)

    @property
    def keys(self) -> tuple[EncryptionKey, ...]:
        """All of them, the current one first."""
        return (self.current, *(key for key in self._keys.values() if key.id != self.current.id))

    def with_new(self, key: EncryptionKey) -> "KeyRing":
        """The ring after a rotation to `key`."""
        return KeyRing(key, self._keys.values())
