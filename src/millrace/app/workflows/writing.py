"""The one place where workflows are written: a change is decided on what was read, and written only if that still is.

    read → decide (validation and all, outside any transaction) → compare and write, in one transaction:
    version, tags, uids of tasks, the workflow's row, the record of a deployment, its canary, the rows of its
    triggers, and the end of its delayed runs if it takes no starts any more

Whoever was slower decides anew, so nothing is lost, and the writer thread never waits for a validation.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias, TypeVar

import orjson
from sqlalchemy import Connection

from millrace.app.canary import repository as canaries
from millrace.app.canary.repository import CanaryRow
from millrace.app.canary.standing import CanaryChange, follow
from millrace.app.deployments import repository as deployments
from millrace.app.deployments.repository import DeploymentRow
from millrace.app.runs.repository import delayed_runs, post
from millrace.app.workflows import authorship, repository
from millrace.app.workflows.catalog import Catalog, unknown_workflow
from millrace.app.workflows.deploying import TriggerRegistrar
from millrace.app.workflows.noting import note_canary, note_deployment, note_description, note_made, note_saved, noted
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.app.workflows.shell_tasks import ShellGate
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.auth.grants import repository as grants
from millrace.core.errors import Conflict, NotFound, Unavailable
from millrace.core.values import Instant, JsonObject, to_iso
from millrace.definition import slugify
from millrace.definition.outline import task_ids
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.ids import Ids
from millrace.ports.store import InboxItem

T = TypeVar("T")

NO_START = frozenset({"inactive", "archived"})
"""The statuses in which a workflow takes no starts."""

MAX_TRIES = 8
"""Decisions anew when others change the same workflow at the same time."""


@dataclass(frozen=True, slots=True)
class Current:
    """A workflow with its newest version, the uids of its tasks by their ids, what it was applied from, and its live
    canary."""

    workflow: WorkflowRow
    version: VersionRow
    uids: Mapping[str, str]
    source: str | None
    canary: CanaryRow | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a workflow is to be. `version` is the newest one; it is new if its number is. Who and when is added later.

    A deployment is recorded when `deployed_version` changes, or when `action` says so; `retold` is an older version
    with another tag or comment; `takes_tag` takes the tag from the version that has it, where else it is refused;
    `renamed` is the old and the new id of a task that keeps its uid; `canary` is what is asked for about the canary,
    which ends by itself when another version is deployed.
    """

    workflow: WorkflowRow
    version: VersionRow
    retold: VersionRow | None = None
    takes_tag: bool = False
    action: str | None = None
    message: str | None = None
    source: str | None = None
    renamed: tuple[str, str] | None = None
    canary: CanaryChange | None = None
    warnings: Sequence[str] = ()

    def of(self, current: Current) -> bool:
        """Whether there is anything to write."""
        same = (self.workflow, self.version) == (current.workflow, current.version)
        return not same or any((self.retold, self.action, self.source, self.canary))


@dataclass(frozen=True, slots=True)
class Saved:
    current: Current
    warnings: Sequence[str]
    changed: bool


IfMatch: TypeAlias = Callable[[WorkflowRow], bool]
"""Whether a workflow is still the one that the caller has seen."""

Decide: TypeAlias = Callable[[Current], Awaitable[Change]]


class WorkflowWriter:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        catalog: Catalog,
        registrar: TriggerRegistrar,
        shell_gate: ShellGate,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._catalog = catalog
        self._registrar = registrar
        self._shell_gate = shell_gate
        self.after_change: Callable[[], None] = _nobody
        """Told after each commit; the composition root lets it wake the scheduler."""
        self.hand_over: Callable[[Sequence[InboxItem]], None] = _nobody
        """Given the wishes about runs that a commit has written; the container lets the engine take them."""

    async def read(self, reference: str) -> Current:
        """The workflow with this id, name or slug. Raises `NotFound`."""
        found = await self._database.read(lambda connection: newest(connection, reference))
        if found is None:
            raise unknown_workflow(reference)
        return found

    async def add(self, new: Current, *, by: str, message: str | None = None) -> Current:
        """Write a new workflow; it gets its slug here, and its tasks their uids.

        Raises `Conflict` `name_taken`, and `Forbidden` for tasks that whoever asks may not write.
        """
        self._shell_gate.pass_([new.version], ())
        return await self._write(partial(self._insert, new=new, by=by, message=message), new.workflow)

    async def change(self, reference: str, decide: Decide, *, by: str, if_match: IfMatch | None = None) -> Saved:
        """Write what `decide` makes of the workflow. It is asked again if others were faster.

        Raises `Conflict` `stale_version` if the workflow is not what `if_match` names, `Forbidden` for tasks that
        whoever asks may not write or bring into use, and whatever `decide` raises.
        """
        for _ in range(MAX_TRIES):
            current = await self.read(reference)
            if if_match is not None and not if_match(current.workflow):
                raise stale(current.workflow)
            change = await decide(current)
            if not change.of(current):
                return Saved(current, change.warnings, changed=False)
            await self.judge(current, change)
            saved = await self._write(partial(self._save, before=current, change=change, by=by), change.workflow)
            if saved is not None:
                after, cancelled = saved
                self.hand_over(cancelled)
                return Saved(after, (*change.warnings, *_told_of(after.workflow, len(cancelled))), changed=True)
        raise Unavailable("busy", f"the workflow {reference!r} is being changed by many at once; try again")

    async def judge(self, current: Current | None, change: Change) -> None:
        """Raise `Forbidden` if the change brings in tasks that whoever asks may not write; `None`: it is all new."""
        if self._shell_gate.is_open:
            return
        before, after = _in_use(current), _in_use(Current(change.workflow, change.version, {}, None, None))
        if change.canary is not None and change.canary.wanted is not None:
            after.add(change.canary.wanted.version)
        work = partial(repository.versions_of, workflow_id=change.workflow.id, numbers=before | after)
        stored = {row.number: row for row in await self._database.read(work)}
        known = [stored[number] for number in before]
        self._shell_gate.pass_([{**stored, change.version.number: change.version}[number] for number in after], known)

    async def delete(self, reference: str, *, by: str, if_match: IfMatch | None, source: str | None) -> int:
        """Hide the workflow and free its name; with `source` only if it was applied from there.

        Answers how many of its runs were to start later, and are cancelled.
        """
        workflow = (await self._catalog.resolve(reference)).workflow
        work = partial(self._delete, reference=workflow.id, by=by, if_match=if_match, source=source)
        cancelled = await self._write(work, workflow)
        if cancelled is None:
            raise unknown_workflow(reference)
        self.hand_over(cancelled)
        return len(cancelled)

    async def record_failure(self, version: VersionRow, action: str, reason: str, *, by: str) -> None:
        """Keep that a deployment of a version was tried in vain."""
        now = self._clock.now()
        row = self._deployment(version.workflow_id, version.number, action, reason, by, now, outcome="failed")

        def work(connection: Connection) -> None:
            deployments.add(connection, row)
            told = {"action": action, "version": version.number, "reason": reason}
            note(connection, Action.WORKFLOW_DEPLOY_FAIL, version.workflow_id, after=told)

        await self._database.write(work)

    async def _write(self, work: Callable[[Connection], T], changed: WorkflowRow) -> T:
        """`changed`: the workflow as it is to be."""
        try:
            return await self._database.write(work)
        finally:
            self._catalog.forget(changed.id, changed.name)
            self.after_change()

    def _insert(self, connection: Connection, new: Current, by: str, message: str | None) -> Current:
        workflow = new.workflow
        _refuse_taken_name(connection, workflow)
        authorship.refuse_reserved_name(connection, workflow, by=by)
        authorship.require_startable(connection, new.version, workflow.name, by=by)
        authorship.require_reach(connection, new.version, None, by=by)
        workflow = replace(workflow, slug=repository.free_slug(connection, slugify(workflow.name)))
        repository.add_workflow(connection, workflow)
        repository.add_version(connection, new.version)
        authorship.give_all_to_maker(connection, workflow, by=by)
        if new.source is not None:
            repository.set_source(connection, workflow.id, new.source, by=by, now=workflow.created_at)
        note_made(connection, workflow, new.version, new.source)
        if workflow.deployed_version is not None:
            row = self._deployment(workflow.id, workflow.deployed_version, "deploy", message, by, workflow.created_at)
            deployments.add(connection, row)
            note_deployment(connection, workflow, "deploy", None, workflow.deployed_version, message)
        self._sync(connection, workflow, new.version, workflow.created_at)
        return replace(new, workflow=workflow, uids=self._named(connection, new.version))

    def _save(
        self, connection: Connection, before: Current, change: Change, by: str
    ) -> tuple[Current, Sequence[InboxItem]] | None:
        """Write the change unless the workflow is no longer as it was read; then write nothing and answer `None`.

        Also answers what ends the runs that were to start later.
        """
        found = newest(connection, before.workflow.id, lock=True)
        if found is None or found.workflow != before.workflow:
            return None
        now = max(self._clock.now(), before.workflow.updated_at + 1)
        after = replace(change.workflow, updated_by=by, updated_at=now)
        if after.name != before.workflow.name:
            _refuse_taken_name(connection, after)
            authorship.refuse_reserved_name(connection, after, by=by)
            after = replace(after, slug=repository.free_slug(connection, slugify(after.name), but=after.id))
        _save_versions(connection, found, change)
        if change.renamed is not None:
            repository.rename_task(connection, after.id, *change.renamed)
        if change.source is not None:
            repository.set_source(connection, after.id, change.source, by=by, now=now)
        repository.save_workflow(connection, after)
        _judge_author(connection, before, change, by)
        old = noted(before.workflow, before.version, before.source)
        note_saved(connection, after, old, noted(after, change.version, change.source or before.source))
        action = change.action or _action(before.workflow, after)
        if action is not None:
            row = self._deployment(after.id, after.deployed_version, action, change.message, by, now)
            deployments.add(connection, row)
            was = before.workflow.deployed_version
            note_deployment(connection, after, action, was, after.deployed_version, change.message)
        canary = follow(connection, found.canary, after.deployed_version, change.canary, by=by, now=now)
        if canary != found.canary:
            note_canary(connection, after, found.canary, canary)
        if change.canary is None:
            # What is said of a canary changes no trigger, and their rows are locked by every firing.
            self._sync(connection, after, change.version, now)
        uids = self._named(connection, change.version)
        cancelled: Sequence[InboxItem] = ()
        if after.status in NO_START and before.workflow.status not in NO_START:
            cancelled = self._cancel_delayed(connection, after.id, by, now, f"the workflow is {after.status} now")
        return Current(after, change.version, uids, change.source or before.source, canary), cancelled

    def _delete(
        self, connection: Connection, reference: str, by: str, if_match: IfMatch | None, source: str | None
    ) -> Sequence[InboxItem] | None:
        workflow = repository.find_workflow(connection, reference, lock=True)
        if workflow is None:
            return None
        if if_match is not None and not if_match(workflow):
            raise stale(workflow)
        if source is not None and repository.source_of(connection, workflow.id) != source:
            raise Conflict("other_source", f"the workflow {workflow.name!r} was not applied from {source!r}")
        now = max(self._clock.now(), workflow.updated_at + 1)
        repository.mark_deleted(connection, workflow.id, by=by, now=now)
        grants.remove_of_workflow(connection, workflow.id)
        told = {"version": workflow.newest_version, "deployed_version": workflow.deployed_version}
        note(connection, Action.WORKFLOW_DELETE, workflow.id, workflow.name, before=told)
        if workflow.deployed_version is not None:
            row = self._deployment(workflow.id, None, "undeploy", "the workflow was deleted", by, now)
            deployments.add(connection, row)
        follow(connection, canaries.live(connection, workflow.id), None, None, by=by, now=now)
        self._registrar.sync(connection, replace(workflow, deployed_version=None), None, now=now)
        return self._cancel_delayed(connection, workflow.id, by, now, "the workflow was deleted")

    def _cancel_delayed(
        self, connection: Connection, workflow_id: str, by: str, now: Instant, reason: str
    ) -> Sequence[InboxItem]:
        """No run starts any more that was to start later: every start is refused now."""
        data: JsonObject = {"by": by, "reason": reason}
        found = delayed_runs(connection, workflow_id, now)
        items = [InboxItem(self._ids.new(), run_id, "cancel", data) for run_id in found]
        post(connection, items)
        return items

    def _sync(self, connection: Connection, workflow: WorkflowRow, version: VersionRow, now: Instant) -> None:
        deployed: VersionRow | None = None
        if workflow.deployed_version == version.number:
            deployed = version
        elif workflow.deployed_version is not None:
            deployed = repository.version_by_number(connection, workflow.id, workflow.deployed_version)
        self._registrar.sync(connection, workflow, deployed, now=now)

    def _named(self, connection: Connection, version: VersionRow) -> dict[str, str]:
        """The uids of a version's tasks; those that have none yet get one."""
        uids = repository.uids(connection, version.workflow_id)
        wanted = task_ids(orjson.loads(version.definition))
        added = {task_id: self._ids.new() for task_id in wanted if task_id not in uids}
        repository.add_uids(connection, version.workflow_id, added.items())
        return {**uids, **added}

    def _deployment(
        self,
        workflow_id: str,
        version: int | None,
        action: str,
        message: str | None,
        by: str,
        now: Instant,
        *,
        outcome: str = "succeeded",
    ) -> DeploymentRow:
        return DeploymentRow(self._ids.new(), workflow_id, version, action, outcome, message, by, now)


def _told_of(workflow: WorkflowRow, cancelled: int) -> Sequence[str]:
    if not cancelled:
        return ()
    runs = "1 run that was to start later is" if cancelled == 1 else f"{cancelled} runs that were to start later are"
    return (f"{runs} cancelled: the workflow is {workflow.status} and takes no starts",)


def newest(connection: Connection, reference: str, *, lock: bool = False) -> Current | None:
    workflow = repository.find_workflow(connection, reference, lock=lock)
    if workflow is None:
        return None
    version = repository.version_by_number(connection, workflow.id, workflow.newest_version)
    if version is None:
        raise NotFound("version_not_found", f"workflow {workflow.name!r} has lost its newest version")
    uids = repository.uids(connection, workflow.id)
    source, canary = repository.source_of(connection, workflow.id), canaries.live(connection, workflow.id)
    return Current(workflow, version, uids, source, canary)


def stale(workflow: WorkflowRow) -> Conflict:
    return Conflict(
        "stale_version",
        f"the workflow {workflow.name!r} has changed since: it was last changed at {to_iso(workflow.updated_at)} and "
        f"is at version {workflow.newest_version}; read it again and repeat the change",
    )


def _judge_author(connection: Connection, before: Current, change: Change, by: str) -> None:
    """By the names that hold from now on: the former one of a workflow is nobody's, and may be anybody's later."""
    name = change.workflow.name
    made = change.version.number > before.workflow.newest_version
    if made:
        authorship.require_reach(connection, change.version, before.version, by=by)
    if made or name != before.workflow.name:
        authorship.require_startable(connection, change.version, name, by=by)


def _save_versions(connection: Connection, found: Current, change: Change) -> None:
    if change.retold is not None:
        _free_tag(connection, change.retold, take=change.takes_tag)
        _describe(connection, found, change.retold)
    if change.version.number > found.version.number:
        _free_tag(connection, change.version)
        repository.add_version(connection, change.version)
    elif change.version != found.version:
        _free_tag(connection, change.version, take=change.takes_tag)
        _describe(connection, found, change.version)


def _describe(connection: Connection, found: Current, after: VersionRow) -> None:
    before = repository.version_by_id(connection, after.id)
    repository.describe_version(connection, after)
    if before is not None:
        note_description(connection, found.workflow, before, after)


def _in_use(current: Current | None) -> set[int]:
    """The numbers of the versions that a workflow stands for: what is newest, deployed, or a canary."""
    if current is None:
        return set()
    numbers = {current.workflow.newest_version, current.workflow.deployed_version}
    numbers.add(None if current.canary is None else current.canary.version)
    return {number for number in numbers if number is not None}


def _action(before: WorkflowRow, after: WorkflowRow) -> str | None:
    if before.deployed_version == after.deployed_version:
        return None
    return "undeploy" if after.deployed_version is None else "deploy"


def taken_name(name: str) -> Conflict:
    return Conflict("name_taken", f"there is a workflow named {name!r} already; names are unique")


def _refuse_taken_name(connection: Connection, workflow: WorkflowRow) -> None:
    if repository.name_taken(connection, workflow.name, but=workflow.id):
        raise taken_name(workflow.name)


def _free_tag(connection: Connection, version: VersionRow, *, take: bool = False) -> None:
    """See that no other version has the tag: take it away from that one, or raise `Conflict`."""
    if version.tag is None:
        return
    holder = repository.version_by_tag(connection, version.workflow_id, version.tag)
    if holder is None or holder.id == version.id:
        return
    if not take:
        raise Conflict(
            "tag_taken",
            f"version {holder.number} of the workflow has the tag {version.tag!r}; a tag names one version: "
            "choose another, or send `move: true` (`millrace tag --move`)",
        )
    repository.describe_version(connection, replace(holder, tag=None))
    note(connection, Action.VERSION_DESCRIBE, holder.id, before={"tag": version.tag}, after={"tag": None})


def _nobody(*_told: object) -> None:
    return None
