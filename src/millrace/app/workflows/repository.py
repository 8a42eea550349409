"""The rows of workflows and versions. SQL only: `commands` decides what a change means, `views` what is shown."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, delete, insert, or_, select, update
from sqlalchemy.engine import Row

from millrace.app.dialects import JsonHas
from millrace.auth.grants.repository import seen
from millrace.auth.sight import Sight
from millrace.core.values import Instant
from millrace.storage.tables import task_uids, workflow_sources, workflow_versions, workflows


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    id: str
    name: str
    slug: str
    description: str | None
    category: str | None
    labels: str
    metadata: str
    owner: str | None
    status: str
    newest_version: int
    deployed_version: int | None
    created_by: str | None
    updated_by: str | None
    created_at: Instant
    updated_at: Instant
    test_mode: str | None = None
    """What was said about it, as JSON text."""


@dataclass(frozen=True, slots=True)
class VersionRow:
    id: str
    workflow_id: str
    number: int
    tag: str | None
    definition: str
    content_hash: str
    author: str | None
    comment: str | None
    created_at: Instant


@dataclass(frozen=True, slots=True)
class WorkflowFilter:
    """What a list of workflows may be narrowed to; `None` does not narrow."""

    status: Sequence[str] = ()
    category: str | None = None
    owner: str | None = None
    name: str | None = None
    """Part of the name, in any case of letters."""
    labels: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    """What it was applied from."""
    sight: Sight | None = None


_WORKFLOW = [workflows.c[name] for name in WorkflowRow.__dataclass_fields__]
_VERSION = [workflow_versions.c[name] for name in VersionRow.__dataclass_fields__]


def find_workflow(connection: Connection, reference: str, *, lock: bool = False) -> WorkflowRow | None:
    """The workflow with this id, else with exactly this name, else with this slug; with `lock` nobody else changes it
    until the transaction ends."""
    precedence = case((workflows.c.id == reference, 0), (workflows.c.name == reference, 1), else_=2)
    query = (
        select(*_WORKFLOW)
        .where(or_(workflows.c.id == reference, workflows.c.name == reference, workflows.c.slug == reference))
        .where(workflows.c.deleted_at.is_(None))
        .order_by(precedence)
        .limit(1)
    )
    return _workflow(connection.execute(query.with_for_update() if lock else query).first())


def id_called(connection: Connection, name: str) -> str | None:
    """The id of the workflow with exactly this name, else with this slug."""
    for column in (workflows.c.name, workflows.c.slug):
        query = select(workflows.c.id).where(column == name, workflows.c.deleted_at.is_(None))
        if (found := connection.scalar(query)) is not None:
            return str(found)
    return None


def known(connection: Connection, references: Collection[str], sight: Sight | None = None) -> frozenset[str]:
    """Those of the ids, names and slugs that lead to a workflow within the sight."""
    columns = (workflows.c.id, workflows.c.name, workflows.c.slug)
    query = select(*columns).where(or_(*(column.in_(references) for column in columns)))
    there = (workflows.c.deleted_at.is_(None), seen(workflows.c.id, sight))
    rows = connection.execute(query.where(*there)) if references else ()
    return frozenset(word for row in rows for word in row).intersection(references)


def is_deleted(connection: Connection, workflow_id: str) -> bool:
    """Whether there was a workflow with this id, and is none any more."""
    query = select(workflows.c.id).where(workflows.c.id == workflow_id, workflows.c.deleted_at.is_not(None))
    return connection.execute(query).scalar() is not None


def workflow_named(connection: Connection, name: str) -> WorkflowRow | None:
    """The workflow with exactly this name."""
    query = select(*_WORKFLOW).where(workflows.c.name == name, workflows.c.deleted_at.is_(None))
    return _workflow(connection.execute(query).first())


def list_workflows(
    connection: Connection, narrow: WorkflowFilter, *, after: str | None, limit: int
) -> Sequence[WorkflowRow]:
    """Workflows by name, those after the name `after`."""
    query = select(*_WORKFLOW).where(workflows.c.deleted_at.is_(None)).order_by(workflows.c.name).limit(limit)
    if after is not None:
        query = query.where(workflows.c.name > after)
    return [WorkflowRow(*row) for row in connection.execute(_narrowed(query, narrow))]


def _narrowed(query: Select[Any], narrow: WorkflowFilter) -> Select[Any]:
    if narrow.sight is not None:
        query = query.where(seen(workflows.c.id, narrow.sight))
    if narrow.status:
        query = query.where(workflows.c.status.in_(narrow.status))
    if narrow.category is not None:
        query = query.where(workflows.c.category == narrow.category)
    if narrow.owner is not None:
        query = query.where(workflows.c.owner == narrow.owner)
    if narrow.name is not None:
        query = query.where(workflows.c.name.icontains(narrow.name, autoescape=True))
    if narrow.source is not None:
        applied = select(workflow_sources.c.workflow_id).where(workflow_sources.c.source == narrow.source)
        query = query.where(workflows.c.id.in_(applied))
    return query.where(*(has_label(key, value) for key, value in narrow.labels.items()))


def has_label(key: str, value: str) -> ColumnElement[bool]:
    """Whether a workflow has the label; key and value are bound, so they may hold anything."""
    return JsonHas(workflows.c.labels, key, value)


def name_taken(connection: Connection, name: str, *, but: str | None = None) -> bool:
    query = select(workflows.c.id).where(workflows.c.name == name, workflows.c.deleted_at.is_(None))
    found = connection.execute(query).scalar()
    return found is not None and found != but


def finds_another(connection: Connection, word: str, *, but: str) -> bool:
    """Whether another workflow is found by this word as its slug, or one is, or was, by it as its id."""
    of_slug = and_(workflows.c.slug == word, workflows.c.deleted_at.is_(None), workflows.c.id != but)
    query = select(workflows.c.id).where(or_(workflows.c.id == word, of_slug)).limit(1)
    return connection.execute(query).scalar() is not None


def free_slug(connection: Connection, wanted: str, *, but: str | None = None) -> str:
    """`wanted`, or with the first free number behind it."""
    query = select(workflows.c.slug).where(workflows.c.deleted_at.is_(None), workflows.c.slug.startswith(wanted))
    taken = set(connection.execute(query if but is None else query.where(workflows.c.id != but)).scalars())
    slug, number = wanted, 2
    while slug in taken:
        slug, number = f"{wanted[:240]}-{number}", number + 1
    return slug


def add_workflow(connection: Connection, row: WorkflowRow) -> None:
    connection.execute(insert(workflows).values({name: getattr(row, name) for name in row.__dataclass_fields__}))


def save_workflow(connection: Connection, row: WorkflowRow) -> None:
    values = {name: getattr(row, name) for name in row.__dataclass_fields__ if name != "id"}
    connection.execute(update(workflows).where(workflows.c.id == row.id).values(values))


def mark_deleted(connection: Connection, workflow_id: str, *, by: str, now: Instant) -> None:
    query = update(workflows).where(workflows.c.id == workflow_id)
    connection.execute(query.values(deleted_at=now, updated_at=now, updated_by=by))


def add_version(connection: Connection, row: VersionRow) -> None:
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    connection.execute(insert(workflow_versions).values(values))


def describe_version(connection: Connection, row: VersionRow) -> None:
    """Write what may change of a version: its tag and its comment."""
    query = update(workflow_versions).where(workflow_versions.c.id == row.id)
    connection.execute(query.values(tag=row.tag, comment=row.comment))


def version_by_tag(connection: Connection, workflow_id: str, tag: str) -> VersionRow | None:
    query = select(*_VERSION).where(workflow_versions.c.workflow_id == workflow_id, workflow_versions.c.tag == tag)
    return _version(connection.execute(query).first())


def version_by_number(connection: Connection, workflow_id: str, number: int) -> VersionRow | None:
    query = select(*_VERSION).where(
        workflow_versions.c.workflow_id == workflow_id, workflow_versions.c.number == number
    )
    return _version(connection.execute(query).first())


def versions_of(connection: Connection, workflow_id: str, numbers: Collection[int]) -> Sequence[VersionRow]:
    """Those versions of a workflow that have these numbers."""
    query = select(*_VERSION).where(
        workflow_versions.c.workflow_id == workflow_id, workflow_versions.c.number.in_(numbers)
    )
    return [VersionRow(*row) for row in connection.execute(query)]


def version_by_id(connection: Connection, version_id: str) -> VersionRow | None:
    return _version(connection.execute(select(*_VERSION).where(workflow_versions.c.id == version_id)).first())


NEWEST = "newest"


def version_called(connection: Connection, workflow_id: str, reference: str) -> VersionRow | None:
    """The version with this number, else with this tag; `newest` is the newest unless a version has that tag."""
    if reference.isdecimal() and reference.isascii() and len(reference) < 10:
        found = version_by_number(connection, workflow_id, int(reference))
        if found is not None:
            return found
    tagged = version_by_tag(connection, workflow_id, reference)
    if tagged is None and reference == NEWEST:
        return next(iter(list_versions(connection, workflow_id, before=None, limit=1)), None)
    return tagged


def list_versions(connection: Connection, workflow_id: str, *, before: int | None, limit: int) -> Sequence[VersionRow]:
    """Versions of a workflow, newest first."""
    query = select(*_VERSION).where(workflow_versions.c.workflow_id == workflow_id)
    if before is not None:
        query = query.where(workflow_versions.c.number < before)
    query = query.order_by(workflow_versions.c.number.desc()).limit(limit)
    return [VersionRow(*row) for row in connection.execute(query)]


def uids(connection: Connection, workflow_id: str) -> dict[str, str]:
    """The uid of each task that the workflow has, or had, by the task's id."""
    query = select(task_uids.c.task_id, task_uids.c.uid).where(task_uids.c.workflow_id == workflow_id)
    return {task_id: uid for task_id, uid in connection.execute(query)}


def add_uids(connection: Connection, workflow_id: str, added: Iterable[tuple[str, str]]) -> None:
    """Name tasks, given as pairs of task id and uid."""
    rows = [{"workflow_id": workflow_id, "task_id": task_id, "uid": uid} for task_id, uid in added]
    if rows:
        connection.execute(insert(task_uids), rows)


def rename_task(connection: Connection, workflow_id: str, old: str, new: str) -> None:
    """The task with the id `old` is `new` from now on, and keeps its uid. A former task of that id loses its own."""
    here = task_uids.c.workflow_id == workflow_id
    connection.execute(delete(task_uids).where(here, task_uids.c.task_id == new))
    connection.execute(update(task_uids).where(here, task_uids.c.task_id == old).values(task_id=new))


def source_of(connection: Connection, workflow_id: str) -> str | None:
    """What an `apply` made the workflow from; `None` if none did."""
    query = select(workflow_sources.c.source).where(workflow_sources.c.workflow_id == workflow_id)
    source: str | None = connection.execute(query).scalar()
    return source


def set_source(connection: Connection, workflow_id: str, source: str, *, by: str, now: Instant) -> None:
    connection.execute(delete(workflow_sources).where(workflow_sources.c.workflow_id == workflow_id))
    row = {"workflow_id": workflow_id, "source": source, "applied_by": by, "applied_at": now}
    connection.execute(insert(workflow_sources).values(row))


def _workflow(row: Row[Any] | None) -> WorkflowRow | None:
    return None if row is None else WorkflowRow(**row._mapping)


def _version(row: Row[Any] | None) -> VersionRow | None:
    return None if row is None else VersionRow(**row._mapping)
