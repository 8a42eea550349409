"""Signed texts: what Millrace gives away and recognises when it comes back, without keeping it (HMAC-SHA256).

Each purpose has a key of its own, derived from an encryption key, so that what was signed for one thing is worth
nothing for another. The id of that key stands in the text: what was signed before a rotation holds after it, for as
long as the former key is there. Anybody can read the content.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from millrace.auth.vault.keyring import EncryptionKey

LONGEST: Final = 4_096
"""Characters. Nothing longer is looked at."""


def signed(key: EncryptionKey, purpose: str, content: bytes) -> str:
    """`CONTENT.KEY.SIGNATURE`, of characters that an address takes as they are."""
    own = own_key(key, purpose)
    head = f"{_text(content)}.{key.id}"
    return f"{head}.{_text(hmac.new(own, head.encode(), hashlib.sha256).digest())}"


def own_key(key: EncryptionKey, purpose: str) -> bytes:
    """The key of this purpose: who learns it learns neither the encryption key nor that of another purpose."""
    return hmac.new(key.raw, f"millrace signature: {purpose}".encode(), hashlib.sha256).digest()


def key_id_of(text: str) -> str | None:
    """The id of the key that the text says it is signed with; `None` if it has not the form of a signed text."""
    parts = text.split(".") if len(text) <= LONGEST and text.isascii() else []
    return parts[1] if len(parts) == 3 else None


def content_of(key: EncryptionKey, purpose: str, text: str) -> bytes | None:
    """What was signed; `None` unless it was this very text, with this key and for this purpose."""
    body = text.partition(".")[0]
    try:
        content = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        return None
    # The whole text is compared: base64 has several spellings of the same bytes.
    return content if hmac.compare_digest(signed(key, purpose, content), text) else None


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
