"""MySQL's values as text, both ways: literals for parameters, JSON for what the text protocol sends back.

A literal consists of digits, letters and spaces only: text is written in hexadecimal. Whatever quotes, escapes or SQL
modes surround its place, a value cannot leave it. (Binding on the server would read whole results into memory.)
"""

import base64
from collections.abc import Callable

from millrace.core.values import JsonValue
from millrace.runners.sql.results import json_document, real, whole, written

BLOBS = {249: "tinyblob", 250: "mediumblob", 251: "longblob", 252: "blob", 253: "varbinary", 254: "binary"}
TEXTS = {249: "tinytext", 250: "mediumtext", 251: "longtext", 252: "text", 253: "varchar", 254: "char"}
NAMES = {
    0: "decimal", 1: "tinyint", 2: "smallint", 3: "int", 4: "float", 5: "double", 6: "null", 7: "timestamp",
    8: "bigint", 9: "mediumint", 10: "date", 11: "time", 12: "datetime", 13: "year", 15: "varchar", 16: "bit",
    245: "json", 246: "decimal", 247: "enum", 248: "set", 255: "geometry", **TEXTS,
}  # fmt: skip
INTEGERS = (1, 2, 3, 8, 9, 13)

Reader = Callable[[str | bytes], JsonValue]


def literal(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value!r}" if "e" in repr(value) else f"{value!r}e0"
    text = written(value)
    return f"_utf8mb4 0x{text.encode().hex()}" if text else "''"


def reader_of(type_code: int) -> Reader:
    """How to read a column's values, which arrive as the server writes them."""
    if type_code in INTEGERS:
        return lambda value: whole(int(value))
    if type_code in (4, 5):
        return lambda value: real(float(value))
    if type_code in (7, 12):
        return lambda value: _text(value).replace(" ", "T", 1)
    if type_code == 16:
        return lambda value: whole(int.from_bytes(value if isinstance(value, bytes) else value.encode("latin-1")))
    if type_code == 245:
        return json_document
    return _text


def type_name(type_code: int, value: str | bytes | None) -> str:
    """The protocol has one code for blobs and texts; what arrived tells them apart."""
    if isinstance(value, bytes) and type_code in BLOBS:
        return BLOBS[type_code]
    return NAMES.get(type_code, f"type {type_code}")


def _text(value: str | bytes) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
