"""How records and log lines are shown, and the numbers by which a stream is resumed."""

from collections.abc import Mapping
from typing import TypeAlias

import orjson
from sqlalchemy.engine import RowMapping

from millrace.core.values import to_iso

View: TypeAlias = Mapping[str, object]


def record_view(row: RowMapping) -> View:
    return {
        "seq": row["seq"],
        "type": row["type"],
        "path": row["path"],
        "at": to_iso(row["at"]),
        "data": _fragment(row["data"]),
    }


def log_view(row: RowMapping) -> View:
    return {
        "seq": row["seq"],
        "path": row["path"],
        "attempt": row["attempt"],
        "at": to_iso(row["at"]),
        "level": row["level"],
        "text": row["text"],
        "metadata": _fragment(row["metadata"]),
    }


def change_view(row: RowMapping) -> View:
    """A record of some run: among the records of others it must say whose it is."""
    return {"run_id": row["run_id"], "workflow_id": row["workflow_id"], **record_view(row)}


def _fragment(text: str | None) -> object:
    return None if text is None else orjson.Fragment(text)
