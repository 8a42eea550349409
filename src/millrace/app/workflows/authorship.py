"""What follows from who writes a definition: whom it may start, and what its maker may do with it.

Asked in the transaction that writes, of the author as he is then. What the workflow starts later is asked again of an
author who is restricted to what he was granted (`app.runs.children.starting`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection

from millrace.app.secrets import repository as secrets
from millrace.app.workflows import repository
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.app.workflows.sub_workflows import named_workflows
from millrace.auth import repository as users
from millrace.auth.grants import repository as grants
from millrace.auth.permissions import Access, Grant, Permission, Role, everywhere
from millrace.auth.sight import Sight
from millrace.core.controls import SIGNAL, WAIT_FOR_EVENT
from millrace.core.errors import Conflict, Fault, Forbidden, InvalidRequest
from millrace.core.values import JsonObject
from millrace.definition.expressions.templates import has_expressions
from millrace.definition.outline import placed_tasks
from millrace.definition.rough import mapping
from millrace.ports.events import PUBLISH_EVENT


def require_startable(connection: Connection, version: VersionRow, name: str, *, by: str) -> None:
    """Raise `InvalidRequest` for sub-workflows that the author might not start himself; of these, and of such that
    there are not, the same is said. `name`: what the workflow is called from now on."""
    if _has_everywhere(connection, by, Permission.RUN_START):
        return
    named = named_workflows(orjson.loads(version.definition), name)
    plain = [called for _, called in named if not has_expressions(called)]
    startable = repository.known(connection, plain, Sight.of(by, Permission.RUN_START))
    faults = [
        Fault(
            path,
            "unknown_workflow",
            f"there is no workflow {called[:100]!r} that you may start",
            "name one that you may start, not by an expression",
        )
        for path, called in named
        if called not in startable
    ]
    if faults:
        raise InvalidRequest("invalid_definition", "the definition starts what you may not start", faults=faults)


def require_reach(connection: Connection, version: VersionRow, before: VersionRow | None, *, by: str) -> None:
    """Raise `Forbidden` for what was not there before and reaches beyond the workflow itself, if the author may not do
    so himself: take events, publish them, send signals, call agents."""
    for reach in REACHES:
        if _has_everywhere(connection, by, reach.permission):
            continue
        known = set() if before is None else {text for _, text in _reaching(before, reach)}
        new = [name for name, text in _reaching(version, reach) if text not in known]
        if new:
            raise Forbidden(
                reach.code,
                f"{', '.join(new)} {reach.does}, and you may not do so everywhere; have somebody add it who has "
                f"{reach.permission.value}",
            )


@dataclass(frozen=True, slots=True)
class Reach:
    """Something that tasks and triggers do with more than their own workflow."""

    permission: Permission
    code: str
    does: str
    triggers: frozenset[str]
    """The types of triggers that do it."""
    tasks: frozenset[str]

    def has(self, task: JsonObject) -> bool:
        # A wait for a signal takes what is sent to its own run.
        waits_for_event = mapping(task.get("config")).get("type") is not None
        return task["type"] in self.tasks and (task["type"] != WAIT_FOR_EVENT or waits_for_event)


AGENT: Final = "agent"
NONE: Final = frozenset[str]()
REACHES: Final = (
    Reach(
        Permission.EVENT_READ,
        "events_forbidden",
        "would take events, which are of all workflows",
        frozenset({"event"}),
        frozenset({WAIT_FOR_EVENT}),
    ),
    Reach(
        Permission.EVENT_PUBLISH,
        "events_forbidden",
        "would publish events, which start and wake runs of all workflows",
        NONE,
        frozenset({PUBLISH_EVENT}),
    ),
    Reach(
        Permission.RUN_CONTROL,
        "signals_forbidden",
        "would send signals, which go to runs of all workflows",
        NONE,
        frozenset({SIGNAL}),
    ),
    Reach(
        Permission.AGENT_READ,
        "agents_forbidden",
        "would call agents, which are there for all workflows",
        NONE,
        frozenset({AGENT}),
    ),
)


def _reaching(version: VersionRow, reach: Reach) -> Iterator[tuple[str, bytes]]:
    """What of a version does so: in words, and as it is written."""
    definition = orjson.loads(version.definition)
    for trigger in definition.get("triggers") or []:
        if trigger["type"] in reach.triggers:
            yield f"the trigger {trigger.get('id', 'event')}", orjson.dumps(trigger, option=orjson.OPT_SORT_KEYS)
    for placed in placed_tasks(definition):
        if reach.has(placed.task):
            yield (
                f"the task {placed.id}",
                orjson.dumps([placed.id, placed.task.get("config")], option=orjson.OPT_SORT_KEYS),
            )


def refuse_reserved_name(connection: Connection, workflow: WorkflowRow, *, by: str) -> None:
    """Raise `Forbidden` if secrets wait for a workflow of that name, which would be given to it, and `Conflict` if
    another one is found by it as its slug or id, and would be no more: unless the author may use all secrets, or may
    change all workflows."""
    name = workflow.name
    if not _has_everywhere(connection, by, Permission.WORKFLOW_WRITE) and repository.finds_another(
        connection, name, but=workflow.id
    ):
        raise Conflict("name_taken", f"another workflow is found by {name!r} already; choose another name")
    if not _has_everywhere(connection, by, Permission.SECRET_USE) and (kept := secrets.kept_for(connection, name)):
        kept_is = f"{', '.join(kept)} {'is' if len(kept) == 1 else 'are'}"
        raise Forbidden(
            "name_reserved",
            f"{kept_is} for workflows called {name!r}; choose another name, or have somebody make it who "
            "may use all secrets, and grant you `edit`",
        )


def _has_everywhere(connection: Connection, by: str, permission: Permission) -> bool:
    """Whether the author has it of all workflows; what is saved by nobody, Millrace saves itself."""
    author = users.find_user(connection, by)
    return author is None or permission in everywhere(Role(author.role), Access(author.access))


def give_all_to_maker(connection: Connection, workflow: WorkflowRow, *, by: str) -> None:
    """Who sees only what was granted to him is granted what he makes."""
    maker = users.find_user(connection, by)
    if maker is not None and maker.access == Access.GRANTED:
        grants.replace(connection, by, workflow.id, frozenset(Grant), by=by, now=workflow.created_at)
