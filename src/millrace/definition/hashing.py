"""Whether two definitions do the same: the hash of everything in one but what merely describes it (SPEC W3)."""

import hashlib

import orjson

from millrace.core.values import JsonObject

DESCRIBING = frozenset({"name", "description", "category", "labels", "metadata", "owner", "version_tag"})


def content_hash(canonical: JsonObject) -> str:
    """SHA-256, in hexadecimal, of a canonical definition's work."""
    work = {key: value for key, value in canonical.items() if key not in DESCRIBING}
    return hashlib.sha256(orjson.dumps(work, option=orjson.OPT_SORT_KEYS)).hexdigest()
