"""What of a row of the audit log is about persons, and how a row says it: by a digest, so that it can be erased.

There are two parts, each with a salt of its own: who did it and from where, and what it was done to. The seal of a row
covers the digests and not the parts. Erasing a part takes its salt away, too: the chain still fits, and nobody who
guesses what stood there can tell whether it did.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

ERASED: Final = "erased"
"""Stands where a name was."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    """Columns `<name>_salt` and `<name>_digest` are about it."""
    erased: Mapping[str, str | None]
    """The columns of the part, with what they hold when it is erased."""

    @property
    def salt(self) -> str:
        return f"{self.name}_salt"

    @property
    def digest(self) -> str:
        return f"{self.name}_digest"

    def digest_of(self, salt: str, row: Mapping[str, Any]) -> str:
        """HMAC-SHA256 of the part of this row, as JSON, with the salt (hexadecimal) as its key."""
        content = orjson.dumps({name: row[name] for name in self.erased}, option=orjson.OPT_SORT_KEYS)
        return hmac.new(bytes.fromhex(salt), content, hashlib.sha256).hexdigest()

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether the part is as its digest says; of an erased one, whether nothing stands there."""
        salt = row[self.salt]
        if salt is None:
            return all(row[name] == value for name, value in self.erased.items())
        return hmac.compare_digest(self.digest_of(salt, row), str(row[self.digest]))


BY: Final = Part("by", {"actor": ERASED, "address": None})
ABOUT: Final = Part("about", {"entity_name": ERASED, "before": None, "after": None})
PARTS: Final = (BY, ABOUT)


def digests(row: Mapping[str, Any]) -> Mapping[str, str]:
    """Salts and digests for a new row."""
    made: dict[str, str] = {}
    for part in PARTS:
        salt = secrets.token_hex(16)
        made |= {part.salt: salt, part.digest: part.digest_of(salt, row)}
    return made
