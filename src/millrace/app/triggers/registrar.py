"""Keeps the trigger rows of a workflow in step with its deployed version and its status, in the same transaction.

Rows of origin `definition` follow the definition, by the trigger's id in it: a trigger that stays keeps its row, its
counts and what a user said about `enabled`, until the definition itself says something else about that. Rows of origin
`api` are left alone, but for the version that they start and for whether they may fire.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection

from millrace.app.triggers import repository
from millrace.app.triggers.cursor import begun, changed
from millrace.app.triggers.repository import TriggerRow
from millrace.app.triggers.routes import keep
from millrace.app.triggers.schedules import Schedules
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.core.values import Instant, JsonValue
from millrace.ports.ids import Ids

DEFINITION = "definition"


@dataclass(frozen=True, slots=True)
class Declared:
    """A trigger as its definition has it."""

    name: str
    type: str
    enabled: bool
    condition: str | None
    config: str
    input: str


class Registrar:
    """Meets `app.workflows.deploying.TriggerRegistrar`."""

    def __init__(self, schedules: Schedules, ids: Ids) -> None:
        self._schedules = schedules
        self._ids = ids

    def sync(self, connection: Connection, workflow: WorkflowRow, version: VersionRow | None, *, now: Instant) -> None:
        # `now` orders the changes of a workflow, so it may run ahead; cursors go by the clock of those who read them.
        now = repository.now(connection)
        live = version is not None and workflow.status == "active"
        version_id = None if version is None else version.id
        wanted = None if version is None else {trigger.name: trigger for trigger in declared(version.definition)}
        for row in repository.of_workflow(connection, workflow.id):
            after = _followed(row, wanted)
            if after is None:
                repository.remove(connection, row.id)
                continue
            after = replace(after, version_id=version_id, active=live and after.enabled)
            after = changed(row, after, self._schedules, now)
            if after != row:
                repository.save(connection, after)
            keep(connection, after)
            if wanted is not None and row.origin == DEFINITION:
                del wanted[row.name]
        if version is None and repository.workflow_status(connection, workflow.id) is None:
            repository.free_routes(connection, workflow.id)
        for trigger in (wanted or {}).values():
            added = self._new(trigger, workflow.id, version_id, live=live, now=now)
            repository.add(connection, added)
            keep(connection, added)

    def _new(
        self, trigger: Declared, workflow_id: str, version_id: str | None, *, live: bool, now: Instant
    ) -> TriggerRow:
        row = TriggerRow(
            id=self._ids.new(),
            workflow_id=workflow_id,
            origin=DEFINITION,
            name=trigger.name,
            type=trigger.type,
            declared=trigger.enabled,
            enabled=trigger.enabled,
            active=live and trigger.enabled,
            condition=trigger.condition,
            config=trigger.config,
            input=trigger.input,
            version_id=version_id,
            jitter_us=0,
            next_due_at=None,
            decided_until=None,
            last_fired_at=None,
            last_run_id=None,
            last_error=None,
            fired_count=0,
            started_count=0,
            failed_count=0,
            missed_count=0,
            revision=1,
            created_at=now,
            updated_at=now,
        )
        return begun(row, self._schedules, now)


def declared(definition: str) -> Iterator[Declared]:
    """The triggers of a stored definition, which was validated when it was saved."""
    return declared_in(orjson.loads(definition))


def declared_in(canonical: Mapping[str, Any]) -> Iterator[Declared]:
    for trigger in canonical.get("triggers") or []:
        condition = trigger.get("if")
        yield Declared(
            name=trigger["id"],
            type=trigger["type"],
            enabled=trigger.get("enabled", True),
            condition=None if condition is None else _text(condition),
            config=_text(trigger.get("config") or {}),
            input=_text(trigger.get("input") or {}),
        )


def _followed(row: TriggerRow, wanted: Mapping[str, Declared] | None) -> TriggerRow | None:
    """The row as the definition wants it; `None` if the definition has no such trigger any more."""
    if wanted is None or row.origin != DEFINITION:
        return row
    trigger = wanted.get(row.name)
    if trigger is None:
        return None
    return replace(
        row,
        type=trigger.type,
        declared=trigger.enabled,
        enabled=row.enabled if trigger.enabled == row.declared else trigger.enabled,
        condition=trigger.condition,
        config=trigger.config,
        input=trigger.input,
    )


def _text(value: JsonValue) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
