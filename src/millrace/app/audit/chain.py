"""The chain of the audit log: each row is signed together with the signature of the row before it.

The key comes from the encryption key, which is not in the database. So who can write there, and no more, can take rows
away and change them, but not so that the chain still fits. What is personal in a row is signed by its digest, and that
it was erased is signed, too.
"""

import hashlib
import hmac
from collections.abc import Collection
from typing import Final

import orjson

from millrace.app.audit.repository import Anchor, AuditRow
from millrace.auth.audit.personal import PARTS, Part

PURPOSE: Final = "audit"
"""Of the key, for the vault."""

_UNSIGNED: Final = {"seq", "hash", "key_id", "erasure", "erasure_key_id"}
_SIGNED: Final = tuple(
    name
    for name in AuditRow.__dataclass_fields__
    if name not in _UNSIGNED and not any(name == part.salt or name in part.erased for part in PARTS)
)


def hash_of(key: bytes, previous: str, row: AuditRow, seq: int) -> str:
    """What the row is sealed with as number `seq` after one whose hash is `previous`."""
    content = {name: getattr(row, name) for name in _SIGNED}
    return _signature(key, bytes.fromhex(previous), {**content, "seq": seq})


def signature_of(key: bytes, seq: int, hash_: str, at: int) -> str:
    """What an anchor is signed with."""
    return _signature(key, b"anchor", {"seq": seq, "hash": hash_, "at": at})


def is_signed(key: bytes, anchor: Anchor) -> bool:
    expected = signature_of(key, anchor.seq, anchor.hash, anchor.at)
    return hmac.compare_digest(expected.encode(), anchor.signature.encode())


def erasure_of(key: bytes, row_id: str, parts: Collection[Part]) -> str:
    """What it is signed with that all of these parts of the row were erased."""
    return _signature(key, b"erasure", {"id": row_id, "parts": sorted(part.name for part in parts)})


def _signature(key: bytes, head: bytes, content: object) -> str:
    return hmac.new(key, head + orjson.dumps(content, option=orjson.OPT_SORT_KEYS), hashlib.sha256).hexdigest()
