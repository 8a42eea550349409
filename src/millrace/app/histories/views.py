"""How records and log lines are shown, and the numbers by which a stream is resumed."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import orjson
from sqlalchemy.engine import RowMapping

from millrace.core.values import to_iso

View: TypeAlias = Mapping[str, object]


CREATED = "run.created"
BY_USERS = frozenset({CREATED, "run.paused", "run.resumed", "run.cancel_requested", "run.signalled", "task.decided"})
"""Records whose data may say `by` whom: by an id as they are stored, by id and name as they are shown. A run may
have signalled, too, which is told by a text."""

OF_A_RUN = "run "
"""What the text begins with by which a run is told that signalled."""
BY_LINK = "link made by "
"""Before the id of a user: somebody has decided by a link that he had made."""


OF_THE_REQUEST = frozenset({"address", "request_id"})
"""Data of `CREATED` that are for the audit log, and not for everybody who may see the run."""


def users_in(rows: Sequence[RowMapping]) -> frozenset[str]:
    """Ids of the users that the records tell of."""
    told = (orjson.loads(row["data"]).get("by") for row in rows if row["type"] in BY_USERS and row["data"] is not None)
    return frozenset(user_of(by) for by in told if by and not by.startswith(OF_A_RUN))


def user_of(by: str) -> str:
    """The id of the user that a record tells of."""
    return by.removeprefix(BY_LINK)


def record_view(row: RowMapping, names: Mapping[str, str]) -> View:
    """The record with its user called by a name."""
    tells = row["type"] in BY_USERS and row["data"] is not None
    return {
        "seq": row["seq"],
        "type": row["type"],
        "path": row["path"],
        "at": to_iso(row["at"]),
        "data": with_user(data_of(row), names) if tells else _fragment(row["data"]),
    }


def with_user(data: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, Any]:
    """The data of a record of `BY_USERS`, with its user called by a name."""
    by = data.get("by")
    if not by or user_of(by) not in names:
        return data
    user = {"id": user_of(by), "name": names[user_of(by)]}
    return {**data, "by": {**user, "by_link": True} if by.startswith(BY_LINK) else user}


def data_of(row: RowMapping) -> Mapping[str, Any]:
    """What the record tells whoever may see its run."""
    data: Mapping[str, Any] = orjson.loads(row["data"])
    if row["type"] != CREATED:
        return data
    return {name: value for name, value in data.items() if name not in OF_THE_REQUEST}


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


def change_view(row: RowMapping, names: Mapping[str, str]) -> View:
    """A record of some run: among the records of others it must say whose it is."""
    return {"run_id": row["run_id"], "workflow_id": row["workflow_id"], **record_view(row, names)}


def _fragment(text: str | None) -> object:
    return None if text is None else orjson.Fragment(text)
