"""The SQL of retention: what is due, and how its rows go.

What is due is found by index alone. Ids are in order of time, and nothing ends before it was made; so the runs of a
workflow that may be due are the first ones of `ix_runs_workflow_id_id`, and the members of a family are found by
`ix_runs_root_run_id`. Whatever was found by reading is asked once more in the transaction that deletes it.

A run disappears at once with its own row; the rows that belonged to it follow, some at a time. Until they are gone the
run stands in `deletions`, so that no kill leaves anything behind. Objects of the artifact store are left to its
sweeper, which takes what no row refers to.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import (
    Connection,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.elements import BindParameter, ColumnElement

from millrace.app.archive.repository import Stamp, families_of
from millrace.app.dialects import JsonField, JsonItem, JsonItems
from millrace.core.values import SECOND, Instant
from millrace.storage.tables import (
    artifacts,
    attempts,
    deletions,
    events,
    firings,
    inbox,
    incarnations,
    logs,
    operations,
    records,
    runs,
    task_runs,
    test_runs,
    timers,
    wait_routes,
    waits,
    workflow_versions,
    workflows,
)

SKEW = 60 * SECOND
"""How much later than its run an id may be, when many are made at once."""


Counts: TypeAlias = Mapping[str, int]
"""How many went, by the names that `RoundRow` counts them under."""

Place: TypeAlias = tuple[str, str, int]
"""The key of an attempt: run, path, number."""


@dataclass(frozen=True, slots=True)
class WorkflowRule:
    id: str
    name: str
    retention: dict[str, Any]
    """What its definition says; may be empty."""


@dataclass(frozen=True, slots=True)
class Window:
    """Some runs of a workflow, in order of their ids, that were looked at."""

    due: Sequence[str]
    last: str
    """The last id that was looked at; as it was asked for when there was none."""
    more: bool
    """Whether there may be further ones."""
    undecided: str | None
    """The first id that is neither due nor done with, but may be due one day."""


@dataclass(frozen=True, slots=True)
class Deletion:
    run_id: str
    whole: bool
    size: int


# --- rules ------------------------------------------------------------------------------------------------------------


def workflow_rules(connection: Connection) -> Sequence[WorkflowRule]:
    """All workflows, deleted ones too, with what the version that is in force says."""
    in_force = func.coalesce(workflows.c.deployed_version, workflows.c.newest_version)
    query = (
        select(workflows.c.id, workflows.c.name, JsonField(workflow_versions.c.definition, "retention"))
        .join(
            workflow_versions,
            and_(workflow_versions.c.workflow_id == workflows.c.id, workflow_versions.c.number == in_force),
        )
        .order_by(workflows.c.name, workflows.c.id)
    )
    return [WorkflowRule(id_, name, json.loads(said) if said else {}) for id_, name, said in connection.execute(query)]


# --- what is due ------------------------------------------------------------------------------------------------------


def first_id_at(at: Instant) -> str:
    """Every id that was made before `at` sorts before this."""
    milliseconds = at // 1000
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}"


def _window(*, payloads: bool) -> Select[Any]:
    """The next runs of a workflow, and of each whether there is nothing to do, and whether it is old enough."""
    next_ones = (
        select(runs.c.id)
        .where(
            runs.c.workflow_id == bindparam("workflow"),
            runs.c.id > bindparam("after"),
            runs.c.id < bindparam("bound"),
        )
        .order_by(runs.c.id)
        .limit(bindparam("limit"))
        .subquery("next_ones")
    )
    done = runs.c.payloads_deleted_at.is_not(None) if payloads else runs.c.root_run_id != runs.c.id
    old = payloads_are_old() if payloads else family_is_old()
    columns = (runs.c.id, done.label("done"), old.label("old"))
    return select(*columns).join_from(next_ones, runs, runs.c.id == next_ones.c.id).order_by(runs.c.id)


def family_is_old() -> ColumnElement[bool]:
    """Whether a root, and all others of its family, have ended by `:cutoff`."""
    return and_(_has_ended(runs), ~_young_member())


def payloads_are_old() -> ColumnElement[bool]:
    """Whether a run has ended by `:cutoff`, and with it all that may still read what its tasks answered."""
    root = runs.alias("root")
    return and_(_has_ended(runs), exists().where(root.c.id == runs.c.root_run_id, _has_ended(root)), ~_young_member())


def _has_ended(some: Any) -> ColumnElement[bool]:
    return and_(some.c.finished_at.is_not(None), some.c.finished_at <= bindparam("cutoff"))


def _young_member() -> ColumnElement[bool]:
    member = runs.alias("member")
    return exists().where(
        member.c.root_run_id == runs.c.root_run_id,
        member.c.root_run_id != member.c.id,
        member.c.finished_at.is_(None) | (member.c.finished_at > bindparam("cutoff")),
    )


_IS_NO_ROOT = runs.c.root_run_id != runs.c.id
"""The condition of the index `ix_runs_root_run_id`, word by word."""

WINDOW = {payloads: _window(payloads=payloads) for payloads in (True, False)}
OLD_FIRINGS = (
    select(firings.c.id)
    .where(
        firings.c.workflow_id == bindparam("workflow"),
        firings.c.id < bindparam("bound"),
        ~exists().where(runs.c.id == firings.c.run_id),
    )
    .order_by(firings.c.id)
    .limit(bindparam("limit"))
)
OLD_EVENTS = (
    select(events.c.id)
    .where(events.c.id < bindparam("bound"), ~exists().where(runs.c.id == events.c.run_id))
    .order_by(events.c.id)
    .limit(bindparam("limit"))
)


def look(
    connection: Connection, workflow_id: str, *, payloads: bool, cutoff: Instant, after: str, limit: int
) -> Window:
    """The next `limit` runs of a workflow that may be old enough by their id: whose family, or payloads, are due."""
    values = {"workflow": workflow_id, "after": after, "bound": first_id_at(cutoff + SKEW), "cutoff": cutoff}
    seen = connection.execute(WINDOW[payloads], {**values, "limit": limit}).all()
    return Window(
        due=[row.id for row in seen if row.old and not row.done],
        last=seen[-1].id if seen else after,
        more=len(seen) == limit,
        undecided=next((row.id for row in seen if not row.old and not row.done), None),
    )


def family_size(connection: Connection, roots: Sequence[str]) -> int:
    """How many runs the families of these roots are."""
    query = select(func.count()).select_from(runs).where(runs.c.root_run_id.in_(_ids()), _IS_NO_ROOT)
    return len(roots) + int(connection.execute(query, {"ids": json.dumps(list(roots))}).scalar_one())


def count_old(connection: Connection, run_ids: Sequence[str], cutoff: Instant) -> int:
    """How many of these runs have ended by `cutoff` with the whole of their families."""
    query = select(func.count()).select_from(runs).where(runs.c.id.in_(_ids()), payloads_are_old())
    return int(connection.execute(query, {"ids": json.dumps(list(run_ids)), "cutoff": cutoff}).scalar_one())


# --- deleting: statements are made once, for making them takes longer than running them -------------------------------


def _ids() -> Select[Any]:
    """The ids of `:ids`, a JSON list: the same statement for any number of them."""
    return select(JsonItems(bindparam("ids", type_=Text())).table_valued("value", name="one").c.value)


def _remember(*, whole: bool) -> Any:
    size = runs.c.last_seq + runs.c.last_log
    doomed = select(runs.c.id, literal(whole), size).where(runs.c.id.in_(_ids()))
    return insert(deletions).from_select(["run_id", "whole", "size"], doomed)


def _part_of(table: Any, key: str, *only: ColumnElement[bool]) -> ColumnElement[bool]:
    some = select(table.c[key]).where(table.c.run_id == bindparam("run"), *only)
    some = some.distinct().order_by(table.c[key]).limit(bindparam("limit"))
    return and_(table.c.run_id == bindparam("run"), table.c[key].in_(some), *only)


_FAMILIES_STILL_DUE = select(runs.c.id).where(runs.c.id.in_(_ids()), runs.c.root_run_id == runs.c.id, family_is_old())
_OTHERS_OF_FAMILIES = select(runs.c.id).where(runs.c.root_run_id.in_(_ids()), _IS_NO_ROOT)
_PAYLOADS_STILL_DUE = select(runs.c.id).where(
    runs.c.id.in_(_ids()), runs.c.payloads_deleted_at.is_(None), payloads_are_old()
)
_TRIGGERED = select(runs.c.id, runs.c.trigger_id, runs.c.created_at).where(
    runs.c.id.in_(_ids()), runs.c.trigger_id.is_not(None), runs.c.retry_of.is_(None)
)


def _firings_of_runs() -> Any:
    """Of each `[run, trigger, earliest]` of `:fired` the firing that started the run.

    It has its id from right before the run has its own: so it is the first one or so that is met going back from there.
    """
    one = JsonItems(bindparam("fired", type_=Text())).table_valued("value", name="one")
    run, trigger, earliest = (JsonItem(one.c.value, literal_column(str(place))) for place in range(3))
    its_firing = (
        select(firings.c.id)
        .where(firings.c.trigger_id == trigger, firings.c.id < run, firings.c.id >= earliest, firings.c.run_id == run)
        .order_by(firings.c.id.desc())
        .limit(1)
    )
    return select(its_firing.correlate(one).scalar_subquery()).select_from(one)


FIRINGS_OF_RUNS = _firings_of_runs()
_DELETE_FIRINGS = delete(firings).where(firings.c.id.in_(FIRINGS_OF_RUNS))
_REMEMBER = {whole: _remember(whole=whole) for whole in (True, False)}
_DELETE_RUNS = (
    delete(timers).where(timers.c.run_id.in_(_ids())),
    delete(waits).where(waits.c.run_id.in_(_ids())),
    delete(wait_routes).where(wait_routes.c.run_id.in_(_ids())),
    delete(inbox).where(inbox.c.run_id.in_(_ids())),
    delete(test_runs).where(test_runs.c.run_id.in_(_ids())),
    delete(runs).where(runs.c.id.in_(_ids())),
)
_MARK = update(runs).where(runs.c.id.in_(_ids())).values(payloads_deleted_at=bindparam("now"))

_NEXT = select(deletions.c.run_id, deletions.c.whole, deletions.c.size).order_by(deletions.c.run_id)
_DONE = delete(deletions).where(deletions.c.run_id.in_(_ids()))
_HAS_PAYLOAD = task_runs.c.input.is_not(None) | task_runs.c.output.is_not(None)

_ROWS = {
    True: tuple(
        delete(table).where(table.c.run_id.in_(_ids())) for table in (records, logs, artifacts, attempts, task_runs)
    ),
    False: (
        delete(logs).where(logs.c.run_id.in_(_ids())),
        update(task_runs).where(task_runs.c.run_id.in_(_ids()), _HAS_PAYLOAD).values(input=None, output=None),
    ),
}
"""What goes of many small runs, by whether they go as a whole."""

_PARTS = {
    True: (
        delete(records).where(_part_of(records, "seq")),
        delete(logs).where(_part_of(logs, "seq")),
        delete(artifacts).where(_part_of(artifacts, "id")),
        delete(attempts).where(_part_of(attempts, "path")),
        delete(task_runs).where(_part_of(task_runs, "path")),
    ),
    False: (
        delete(logs).where(_part_of(logs, "seq")),
        update(task_runs).where(_part_of(task_runs, "path", _HAS_PAYLOAD)).values(input=None, output=None),
    ),
}
"""The same of one large run."""


def give_up_families(
    connection: Connection, ids: Sequence[str], cutoff: Instant, archived: Mapping[str, Stamp] | None = None
) -> Counts:
    """Delete the runs of these roots' families that are still due, and their firings; what belonged to them follows.

    `archived`: only families that are still as they were archived.

    A firing names its run, so it goes with it: at no time is there a firing that started a run of which nothing is
    known. (`find_old_firings` is for those that started none.)
    """
    roots = connection.execute(_FAMILIES_STILL_DUE, {**_given(ids), "cutoff": cutoff}).scalars().all()
    if archived is not None:
        now = families_of(connection, roots)
        roots = [root for root in roots if root in now and now[root].stamp == archived.get(root)]
    gone = [*roots, *connection.execute(_OTHERS_OF_FAMILIES, _given(roots)).scalars()]
    _remember_all(connection, gone, whole=True)
    fired = [
        (run_id, trigger_id, first_id_at(created_at - SKEW))
        for run_id, trigger_id, created_at in connection.execute(_TRIGGERED, _given(gone))
    ]
    without_run = connection.execute(_DELETE_FIRINGS, {"fired": json.dumps(fired)}).rowcount if fired else 0
    for statement in _DELETE_RUNS:
        connection.execute(statement, _given(gone))
    return {"runs": len(gone), "firings": without_run, "archived": 0 if archived is None else len(gone)}


def give_up_payloads(connection: Connection, ids: Sequence[str], cutoff: Instant, now: Instant) -> Counts:
    """Mark runs that are still due as without payloads, which follow."""
    due = connection.execute(_PAYLOADS_STILL_DUE, {**_given(ids), "cutoff": cutoff}).scalars().all()
    _remember_all(connection, due, whole=False)
    connection.execute(_MARK, {**_given(due), "now": now})
    return {"payloads": len(due)}


def _remember_all(connection: Connection, ids: Sequence[str], *, whole: bool) -> None:
    """Note that the rows of these runs are to go, whatever was noted of them before."""
    connection.execute(_DONE, _given(ids))
    connection.execute(_REMEMBER[whole], _given(ids))


def next_deletions(connection: Connection, limit: int) -> Sequence[Deletion]:
    return [Deletion(*row) for row in connection.execute(_NEXT.limit(limit))]


def delete_rows(connection: Connection, batch: Sequence[Deletion]) -> None:
    """Delete all that belonged to these runs, for they are small."""
    for whole, statements in _ROWS.items():
        run_ids = [one.run_id for one in batch if one.whole is whole]
        if run_ids:
            for statement in statements:
                connection.execute(statement, _given(run_ids))
    connection.execute(_DONE, _given([one.run_id for one in batch]))


def delete_part(connection: Connection, one: Deletion, limit: int) -> None:
    """Delete at most `limit` rows of one large run. When there are none left the deletion is done."""
    for statement in _PARTS[one.whole]:
        if connection.execute(statement, {"run": one.run_id, "limit": limit}).rowcount:
            return
    connection.execute(_DONE, _given([one.run_id]))


def find_old_firings(connection: Connection, workflow_id: str, cutoff: Instant, limit: int) -> Sequence[str]:
    """Old firings of a workflow whose run is gone, or that started none."""
    values = {"workflow": workflow_id, "bound": first_id_at(cutoff), "limit": limit}
    return connection.execute(OLD_FIRINGS, values).scalars().all()


def find_old_events(connection: Connection, cutoff: Instant, limit: int) -> Sequence[str]:
    """Old events, from outside or of a run that is gone."""
    return connection.execute(OLD_EVENTS, {"bound": first_id_at(cutoff), "limit": limit}).scalars().all()


def delete_firings(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(delete(firings).where(firings.c.id.in_(_ids())), _given(ids))


def delete_events(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(delete(events).where(events.c.id.in_(_ids())), _given(ids))


def _given(ids: Sequence[str]) -> dict[str, Any]:
    return {"ids": json.dumps(list(ids))}


# --- what belongs to no run: operations that have ended ---------------------------------------------------------------


def find_old_operations(connection: Connection, cutoff: Instant, limit: int) -> Sequence[str]:
    query = select(operations.c.id).where(operations.c.finished_at <= cutoff).order_by(operations.c.id).limit(limit)
    return connection.execute(query).scalars().all()


def count_old_operations(connection: Connection, cutoff: Instant) -> int:
    query = select(func.count()).select_from(operations).where(operations.c.finished_at <= cutoff)
    found: int = connection.execute(query).scalar_one()
    return found


def delete_operations(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(delete(operations).where(operations.c.id.in_(ids)))


# --- dead incarnations: see `incarnations` for how it is known that nothing refers to one -----------------------------

_KEY = (attempts.c.run_id, attempts.c.path, attempts.c.number)
_GIVEN_KEY: tuple[BindParameter[Any], ...] = (bindparam("run"), bindparam("path"), bindparam("number"))

ATTEMPTS_FROM = (
    select(*_KEY, attempts.c.incarnation_id)
    .where(tuple_(*_KEY) > tuple_(*_GIVEN_KEY), attempts.c.run_id < bindparam("bound"))
    .order_by(*_KEY)
    .limit(bindparam("limit"))
)
ITS_INCARNATION = select(attempts.c.incarnation_id).where(tuple_(*_KEY) == tuple_(*_GIVEN_KEY))


def dead_incarnations(connection: Connection, cutoff: Instant, after: str, limit: int) -> Sequence[str]:
    """Incarnations above `after` whose life was over by `cutoff`."""
    over = func.coalesce(incarnations.c.retired_at, incarnations.c.lost_at)
    query = select(incarnations.c.id).where(over <= cutoff, incarnations.c.id > after)
    return connection.execute(query.order_by(incarnations.c.id).limit(limit)).scalars().all()


def still_there(connection: Connection, witnesses: Mapping[str, Place]) -> set[str]:
    """Those incarnations that the attempt at the given place refers to."""
    return {
        incarnation
        for incarnation, place in witnesses.items()
        if connection.execute(ITS_INCARNATION, _at(place)).scalar() == incarnation
    }


def attempts_from(
    connection: Connection, after: Place, bound: str, limit: int
) -> Sequence[tuple[str, str, int, str | None]]:
    """The next attempts in order of their keys, of runs below `bound`: each with its incarnation."""
    values = {**_at(after), "bound": bound, "limit": limit}
    return connection.execute(ATTEMPTS_FROM, values).all()


def delete_incarnations(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(delete(incarnations).where(incarnations.c.id.in_(ids)))


def _at(place: Place) -> dict[str, Any]:
    return dict(zip(("run", "path", "number"), place, strict=True))
