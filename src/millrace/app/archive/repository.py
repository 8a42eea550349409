"""The SQL of the archive: the rows of a run page by page, what shows that a family has changed, and the archives.

Nothing changes a finished run but with `revision`, `last_seq`, `last_log` or `payloads_deleted_at`: a late log line, an
engine's change, payloads that go. A retry is a new member. So whoever reads these columns first, then the rows in any
number of steps, and finds the same columns when he deletes has read the rows that he deletes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, Text, bindparam, delete, func, insert, literal, select, tuple_
from sqlalchemy.engine import RowMapping

from millrace.app.dialects import JsonItems
from millrace.app.runs.repository import find_runs, told_of
from millrace.core.values import Instant, JsonObject
from millrace.ports.objects import StoredObject
from millrace.storage.tables import archives, artifacts, attempts, incarnations, logs, records, runs, task_runs

Stamp: TypeAlias = tuple[tuple[str | int | None, ...], ...]
"""Of a family: its members, and of each what changes with it."""

_STAMP = (runs.c.id, runs.c.revision, runs.c.last_seq, runs.c.last_log, runs.c.payloads_deleted_at)


@dataclass(frozen=True, slots=True)
class Family:
    root: str
    runs: Sequence[str]
    """Ids, in order; the root is one of them."""
    size: int
    """About how many rows it is."""
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class ArchiveRow:
    id: str
    stored: StoredObject
    index_at: int
    families: int
    runs: int
    first_run_id: str
    last_run_id: str
    created_at: Instant


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind that runs have, in the order of their keys."""

    kind: str
    query: Select[Any]
    run_id: ColumnElement[str]
    keys: tuple[ColumnElement[Any], ...]
    at_once: int
    """So many are read of one run."""


@dataclass(frozen=True, slots=True)
class RunRows:
    """A run with its rows."""

    run: RowMapping
    told: JsonObject
    """What only its history tells of it."""
    trigger_data: str
    first: Sequence[Sequence[RowMapping]]
    """The first rows of each of `OF_A_RUN`; all there are, if it is `whole`."""
    whole: bool


# --- families ---------------------------------------------------------------------------------------------------------


def families_of(connection: Connection, roots: Sequence[str]) -> Mapping[str, Family]:
    """The families of these roots as they are now."""
    ids, given = _ids(), _given(roots)
    found: dict[str, list[Any]] = {root: [] for root in roots}
    # Two queries: the roots themselves are not in the index of families.
    for which in (runs.c.id.in_(ids), runs.c.root_run_id.in_(ids) & (runs.c.root_run_id != runs.c.id)):
        for row in connection.execute(select(runs.c.root_run_id, *_STAMP).where(which), given):
            found[row.root_run_id].append(row[1:])
    return {root: _family(root, sorted(members)) for root, members in found.items() if members}


def _ids() -> Select[Any]:
    """The ids of `:ids`, a JSON list: the same statement for any number of them."""
    return select(JsonItems(bindparam("ids", type_=Text())).table_valued("value", name="one").c.value)


def _given(ids: Sequence[str]) -> dict[str, str]:
    return {"ids": json.dumps(list(ids))}


def _family(root: str, members: Sequence[Any]) -> Family:
    size = sum(last_seq + last_log for _, _, last_seq, last_log, _ in members)
    stamp = tuple(tuple(member) for member in members)
    return Family(root, [str(member[0]) for member in members], size, stamp)


# --- the rows of a run ------------------------------------------------------------------------------------------------

_adopted = task_runs.alias("adopted")

TASK_RUNS = Rows(
    "task_run",
    select(
        *(column for column in task_runs.c if column.name != "output"),
        func.coalesce(_adopted.c.output, task_runs.c.output).label("output"),
        incarnations.c.host.label("worker_host"),
    )
    .outerjoin(incarnations, incarnations.c.id == task_runs.c.worker)
    .outerjoin(_adopted, (_adopted.c.run_id == task_runs.c.adopted_from) & (_adopted.c.path == task_runs.c.path)),
    task_runs.c.run_id,
    (task_runs.c.path,),
    100,
)
ATTEMPTS = Rows("attempt", select(attempts), attempts.c.run_id, (attempts.c.path, attempts.c.number), 500)
RECORDS = Rows("record", select(records), records.c.run_id, (records.c.seq,), 500)
LOGS = Rows("log", select(logs), logs.c.run_id, (logs.c.seq,), 500)
ARTIFACTS = Rows("artifact", select(artifacts), artifacts.c.run_id, (artifacts.c.id,), 500)
OF_A_RUN = (TASK_RUNS, ATTEMPTS, RECORDS, LOGS, ARTIFACTS)

_FIRST = {
    rows.kind: rows.query.where(rows.run_id == bindparam("run")).order_by(*rows.keys).limit(rows.at_once)
    for rows in OF_A_RUN
}
_WHOLE = {rows.kind: rows.query.where(rows.run_id.in_(_ids())).order_by(rows.run_id, *rows.keys) for rows in OF_A_RUN}
_TRIGGER_DATA = select(runs.c.id, runs.c.trigger_data).where(runs.c.id.in_(_ids()))


def whole_runs(connection: Connection, run_ids: Sequence[str]) -> Mapping[str, RunRows]:
    """These runs with all of their rows, which are few."""
    given = _given(run_ids)
    rows_of: dict[str, list[list[RowMapping]]] = {run_id: [[] for _ in OF_A_RUN] for run_id in run_ids}
    for place, rows in enumerate(OF_A_RUN):
        for row in connection.execute(_WHOLE[rows.kind], given).mappings():
            rows_of[row["run_id"]][place].append(row)
    return _with_rows(connection, run_ids, rows_of, whole=True)


def run_with_first_rows(connection: Connection, run_id: str) -> Mapping[str, RunRows]:
    """A run with the first rows of each kind; `rows_after` has the others."""
    first = [connection.execute(_FIRST[rows.kind], {"run": run_id}).mappings().all() for rows in OF_A_RUN]
    return _with_rows(connection, [run_id], {run_id: first}, whole=False)


def _with_rows(
    connection: Connection,
    run_ids: Sequence[str],
    rows_of: Mapping[str, Sequence[Sequence[RowMapping]]],
    *,
    whole: bool,
) -> Mapping[str, RunRows]:
    trigger_data = {run_id: text for run_id, text in connection.execute(_TRIGGER_DATA, _given(run_ids))}
    return {
        run["id"]: RunRows(run, told_of(connection, run), trigger_data[run["id"]], rows_of[run["id"]], whole)
        for run in find_runs(connection, run_ids)
    }


def rows_after(connection: Connection, rows: Rows, run_id: str, last: RowMapping) -> Sequence[RowMapping]:
    """The next rows of a run after `last`; fewer than `rows.at_once` are the end."""
    after = tuple_(*(literal(last[str(key.key)], key.type) for key in rows.keys))
    query = _FIRST[rows.kind].where(tuple_(*rows.keys) > after)
    return connection.execute(query, {"run": run_id}).mappings().all()


# --- archives ---------------------------------------------------------------------------------------------------------


def add(connection: Connection, row: ArchiveRow) -> None:
    connection.execute(
        insert(archives).values(
            id=row.id,
            object_key=row.stored.key,
            size=row.stored.size,
            sha256=row.stored.sha256,
            index_at=row.index_at,
            families=row.families,
            runs=row.runs,
            first_run_id=row.first_run_id,
            last_run_id=row.last_run_id,
            created_at=row.created_at,
        )
    )


def list_archives(connection: Connection, *, before: str | None, limit: int) -> Sequence[ArchiveRow]:
    """Archives, newest first: ids are in order of creation."""
    query = select(archives).order_by(archives.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(archives.c.id < before)
    return [_archive(row) for row in connection.execute(query).mappings()]


def that_may_hold(connection: Connection, run_id: str) -> Sequence[ArchiveRow]:
    """The archives between whose first and last run this one is, newest first."""
    query = select(archives).where(archives.c.first_run_id <= run_id, archives.c.last_run_id >= run_id)
    return [_archive(row) for row in connection.execute(query.order_by(archives.c.id.desc())).mappings()]


def find(connection: Connection, archive_id: str) -> ArchiveRow | None:
    row = connection.execute(select(archives).where(archives.c.id == archive_id)).mappings().first()
    return None if row is None else _archive(row)


def older_than(connection: Connection, cutoff: Instant, limit: int) -> Sequence[ArchiveRow]:
    query = select(archives).where(archives.c.created_at <= cutoff).order_by(archives.c.id).limit(limit)
    return [_archive(row) for row in connection.execute(query).mappings()]


def count_older_than(connection: Connection, cutoff: Instant) -> int:
    query = select(func.count()).select_from(archives).where(archives.c.created_at <= cutoff)
    return int(connection.execute(query).scalar_one())


def known_keys(connection: Connection, keys: Sequence[str]) -> frozenset[str]:
    """Those of the keys that an archive has."""
    query = select(archives.c.object_key).where(archives.c.object_key.in_(keys))
    return frozenset(connection.execute(query).scalars())


def remove(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(delete(archives).where(archives.c.id.in_(ids)))


def _archive(row: RowMapping) -> ArchiveRow:
    return ArchiveRow(
        row["id"],
        StoredObject(row["object_key"], row["size"], row["sha256"]),
        row["index_at"],
        row["families"],
        row["runs"],
        row["first_run_id"],
        row["last_run_id"],
        row["created_at"],
    )
