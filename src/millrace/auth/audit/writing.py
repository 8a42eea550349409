"""`note` writes down a change, within the transaction of the change itself: both are there, or neither is.

Only fields that changed are written, each masked. What is secret by itself (passwords, keys, the values of secrets) is
never given to `note`, not even sealed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from millrace.auth.audit import repository
from millrace.auth.audit.acting import acting
from millrace.auth.audit.actions import Action
from millrace.auth.audit.personal import digests
from millrace.core.values import Instant, JsonObject
from millrace.system import Uuid7Ids

if TYPE_CHECKING:
    from sqlalchemy import Connection

LONGEST_NAME: Final = 255
LONGEST_ID: Final = 512
LARGEST: Final = 64 * 1024
"""Bytes of the JSON of one side. A definition may be larger, and stands in its version."""

_ids = Uuid7Ids()
"""Of this log alone. So they are in the order in which the rows are written, also where a test has ids of its own."""


def note(
    connection: "Connection",
    action: Action,
    entity_id: str | None,
    name: str | None = None,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    by: tuple[str, str] | None = None,
) -> None:
    """Write down that who acts did this to the entity with this id, which has this name.

    `before` and `after` are JSON values by field; fields that are the same on both sides are left out, and where all of
    them are nothing changed, and nothing is written. `by` is the id and the name of the user, where the request itself
    is how he proves who he is.
    """
    old, new = _changed(before, after)
    if before is not None and after is not None and not old and not new:
        return
    who, row_id = acting(), _ids.new()
    row = {
        "id": row_id,
        "at": time_of(row_id),
        "actor_id": who.user_id if by is None else by[0],
        "actor": _short(who.name if by is None else by[1], LONGEST_NAME),
        "credential_id": who.credential_id,
        "action": action.value,
        "entity": action.entity,
        "entity_id": _short(entity_id, LONGEST_ID),
        "entity_name": _short(None if name is None else str(who.mask(name)), LONGEST_ID),
        "before": _text(who.mask(old) if old else None),
        "after": _text(who.mask(new) if new else None),
        "address": _short(who.address, 64),
        "request_id": who.request_id,
    }
    repository.add(connection, {**row, **digests(row)})


def fields(row: Any, *names: str) -> JsonObject:
    """These fields of a row, for `before` and `after`."""
    return {name: getattr(row, name) for name in names}


def time_of(row_id: str) -> Instant:
    """The time in an id: milliseconds, and 12 bits of the next one."""
    return int(row_id[:8] + row_id[9:13], 16) * 1000 + (int(row_id[15:18], 16) * 1000 >> 12)


def _changed(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> tuple[JsonObject, JsonObject]:
    old, new = dict(before or {}), dict(after or {})
    for name in [name for name in old.keys() & new.keys() if old[name] == new[name]]:
        del old[name], new[name]
    return old, new


def _text(value: Any) -> str | None:
    if value is None:
        return None
    written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if len(written) > LARGEST:
        written = orjson.dumps({"omitted": f"{len(written)} bytes"})
    return written.decode()


def _short(text: Any, most: int) -> Any:
    return text if text is None or len(text) <= most else text[: most - 1] + "…"
