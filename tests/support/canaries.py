"""Values that must come out nowhere, and the search for them: in every spelling that programs give to a text."""

import base64
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus


def spellings(value: str) -> Iterator[bytes]:
    """The value as it stands in texts, in base64 at every alignment, in addresses, in JSON and in hexadecimal."""
    raw = value.encode()
    texts = {value, quote(value), quote(value, safe=""), quote_plus(value), raw.hex(), raw.hex().upper()}
    for ascii_only in (True, False):
        texts.add(json.dumps(value, ensure_ascii=ascii_only)[1:-1])
        texts.add(json.dumps(value, ensure_ascii=ascii_only)[1:-1].replace("/", "\\/"))
    yield from (text.encode() for text in texts)
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * offset + raw)
            yield encoded[-(-8 * offset // 6) : 8 * (offset + len(raw)) // 6]


def found_in(content: bytes, planted: Mapping[str, str]) -> list[str]:
    """Names of the planted values that can be read in it."""
    return [name for name, value in planted.items() if any(spelled in content for spelled in spellings(value))]
