"""API keys as text: how they are made, told from anything else, and turned into what is stored.

A key is 32 random bytes, so a plain SHA-256 of it is safe to store and quick to check; only the hash and the first
characters (to recognise a key by) are ever kept.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

PREFIX = "mr_"
SHOWN = len(PREFIX) + 8

_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


@dataclass(frozen=True, slots=True)
class NewKey:
    text: str
    """Shown once, stored nowhere."""
    prefix: str
    key_hash: str


def new_key() -> NewKey:
    text = PREFIX + secrets.token_urlsafe(32)
    return NewKey(text, text[:SHOWN], hash_of(text))


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def looks_like_key(text: str) -> bool:
    return _FORM.fullmatch(text) is not None
