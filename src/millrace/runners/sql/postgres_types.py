"""PostgreSQL's values as text, both ways, so the server itself reads parameters and writes every digit.

asyncpg's own codecs want Python objects for parameters and lose infinities. Settings of the session make the texts ISO.
"""

import base64
import binascii
import re
from collections.abc import Callable
from functools import partial

import asyncpg

from millrace.core.values import JsonValue
from millrace.runners.sql.results import json_document, real, written

SESSION = "set datestyle = 'ISO'; set intervalstyle = 'iso_8601'; set bytea_output = 'hex'; set extra_float_digits = 1"

AS_TEXT = (
    "text", "varchar", "bpchar", "name", "numeric", "uuid", "date", "time", "timetz", "interval", "money", "bit",
    "varbit", "inet", "cidr", "macaddr", "macaddr8", "point", "line", "lseg", "box", "path", "polygon", "circle",
    "tsvector", "tsquery", "xml", "jsonpath", "pg_lsn", "regclass", "regtype", "regproc", "regprocedure", "tid",
    "unknown", "record", "refcursor", "txid_snapshot", "pg_snapshot", "xid8",
)  # fmt: skip
INTEGERS = ("int2", "int4", "int8", "oid", "xid", "cid")
REALS = ("float4", "float8")


async def use_text(connection: asyncpg.Connection) -> None:
    """Make a new connection give and take JSON values. Costs one round trip, for the session's settings."""
    await connection.execute(SESSION)
    readers: dict[str, Callable[[str], JsonValue]] = {
        **dict.fromkeys(AS_TEXT, str),
        **dict.fromkeys(INTEGERS, int),
        **dict.fromkeys(REALS, _real),
        **dict.fromkeys(("timestamp", "timestamptz"), _timestamp),
        **dict.fromkeys(("json", "jsonb"), json_document),
        "bool": partial(str.__eq__, "t"),
        "bytea": _bytes,
        "void": _nothing,
    }
    for name, reader in readers.items():
        writer = _hex if name == "bytea" else written
        await connection.set_type_codec(name, schema="pg_catalog", encoder=writer, decoder=reader, format="text")


def _real(text: str) -> JsonValue:
    return real(float(text))


def _timestamp(text: str) -> str:
    """`2024-01-02 03:04:05+00` as ISO 8601; `infinity` and years before Christ stay as they are."""
    found = re.fullmatch(r"(\d{4,}-\d\d-\d\d) ([\d:.]+)([+-]\d\d)?(:\d\d(?::\d\d)?)?", text)
    if found is None:
        return text
    date, time, zone, minutes = found.groups()
    return f"{date}T{time}" + (f"{zone}{minutes or ':00'}" if zone else "")


def _bytes(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text.removeprefix("\\x"))).decode()


def _nothing(_: str) -> None:
    return None


def _hex(value: JsonValue) -> str:
    """Bytes come as base64, the form in which they also leave."""
    try:
        return "\\x" + base64.b64decode(written(value), validate=True).hex()
    except (binascii.Error, ValueError):
        raise ValueError("a bytea parameter must be base64") from None
