"""Payloads of runs that are too large for their rows: put away before a start, read back before anybody looks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from millrace.ports.payloads import Payloads, PutAway
from millrace.ports.store import NewRun

GIVEN = ("input", "variables", "trigger")


async def put_away(new: NewRun, payloads: Payloads) -> NewRun:
    """The new run with texts in place of large payloads."""
    texts = {}
    for name in GIVEN:
        content = orjson.dumps(getattr(new, name))
        if len(content) > payloads.largest_in_row:
            text = await payloads.put_away_of_run(new.id, name, content)
            if text is not None:
                texts[name] = text
    return replace(new, texts=texts) if texts else new


async def read_back(view: Mapping[str, object], names: Sequence[str], payloads: Payloads) -> Mapping[str, object]:
    """The view with what was put away in its place. Raises `PayloadLost`."""
    away = {name: value for name in names if isinstance(value := view[name], PutAway)}
    if not away:
        return view
    return {**view, **{name: orjson.Fragment(await payloads.read(value.text)) for name, value in away.items()}}


async def whole_row(row: Mapping[str, Any], names: Sequence[str], payloads: Payloads) -> Mapping[str, Any]:
    """The row with the JSON itself in its text columns. Raises `PayloadLost`."""
    texts = {name: (await payloads.read(row[name])).decode() for name in names if row[name] is not None}
    return {**row, **texts}
