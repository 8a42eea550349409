"""Make, change and delete webhooks that no definition has. Their rows are triggers like all others.

A deploy leaves them alone, but for the version that they start. Rows of a definition are changed there and not here.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from itertools import count

import orjson
from sqlalchemy import Connection

from millrace.app.secrets.uses import NamedSecrets
from millrace.app.triggers import repository as rows
from millrace.app.triggers.cursor import begun, changed
from millrace.app.triggers.repository import TriggerRow
from millrace.app.triggers.routes import keep
from millrace.app.triggers.schedules import Schedules
from millrace.app.webhooks import repository, settings
from millrace.app.webhooks.bodies import WebhookBody, WebhookChange
from millrace.app.webhooks.queries import unknown_webhook
from millrace.app.webhooks.settings import Settings
from millrace.app.workflows import repository as workflows
from millrace.app.workflows.catalog import unknown_workflow
from millrace.app.workflows.repository import VersionRow, WorkflowRow
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.core.values import JsonObject
from millrace.definition.rough import mapping
from millrace.ports.database import Database
from millrace.ports.ids import Ids

ORIGIN = "api"


class WebhookCommands:
    def __init__(self, database: Database, schedules: Schedules, ids: Ids, named: NamedSecrets) -> None:
        self._database = database
        self._named = named
        self._schedules = schedules
        self._ids = ids

    async def create(self, body: WebhookBody) -> str:
        """Its id. Raises `NotFound`, `InvalidRequest`, `Forbidden`, and `Conflict`: `path_taken` or `name_taken`."""
        await self._refuse_secrets(body, lambda connection: workflows.find_workflow(connection, body.workflow_id))

        def write(connection: Connection) -> str:
            workflow = workflows.find_workflow(connection, body.workflow_id, lock=True)
            if workflow is None:
                raise unknown_workflow(body.workflow_id)
            wanted = settings.merged(Settings(config={}), body)
            taken = repository.names_of_api(connection, workflow.id)
            wanted = replace(wanted, name=wanted.name or _free_name(taken))
            _refuse_taken(wanted, taken)
            row = self._new(connection, workflow, wanted)
            rows.add(connection, row)
            _keep_routes(connection, row)
            note(connection, Action.WEBHOOK_CREATE, row.id, row.name, after=_noted(row))
            return row.id

        return await self._database.write(write)

    async def change(self, webhook_id: str, body: WebhookChange, *, replace_all: bool) -> None:
        """Change what is given; with `replace_all` take out what is not. Raises as `create` does."""
        await self._refuse_secrets(body, partial(_workflow_of, webhook_id=webhook_id))

        def write(connection: Connection) -> None:
            workflow, row = self._found(connection, webhook_id)
            _refuse_move(connection, workflow, body)
            before = Settings(config={}, name=row.name) if replace_all else settings.settings_of(row)
            wanted = settings.merged(before, body)
            if wanted.name != row.name:
                _refuse_taken(wanted, repository.names_of_api(connection, workflow.id))
            settings.check(wanted, _variables(_version(connection, workflow)))
            live = workflow.status == "active" and row.version_id is not None
            after = _with(row, wanted, live=live)
            after = changed(row, after, self._schedules, rows.now(connection))
            if after != row:
                rows.save(connection, after)
                _keep_routes(connection, after)
                note(connection, Action.WEBHOOK_UPDATE, row.id, after.name, before=_noted(row), after=_noted(after))

        await self._database.write(write)

    async def delete(self, webhook_id: str) -> None:
        """Its path is free from then on. Raises `NotFound` and `Conflict`."""

        def write(connection: Connection) -> None:
            _, row = self._found(connection, webhook_id)
            rows.remove(connection, row.id)
            note(connection, Action.WEBHOOK_DELETE, row.id, row.name, before=_noted(row))

        await self._database.write(write)

    async def _refuse_secrets(self, body: WebhookChange, find: Callable[[Connection], WorkflowRow | None]) -> None:
        """Raise `InvalidRequest` for secrets that are not for the workflow, `Forbidden` if the author has no right."""
        secrets = frozenset[str]() if body.authentication is None else body.authentication.secrets
        workflow = await self._database.read(find) if secrets else None
        if workflow is not None:
            places = {name: ["authentication"] for name in sorted(secrets)}
            faults = await self._named.faults(workflow.name, places, {}, saving=True)
            if faults:
                raise InvalidRequest("invalid_request", "the request is not valid", faults=faults)

    def _found(self, connection: Connection, webhook_id: str) -> tuple[WorkflowRow, TriggerRow]:
        """Locked in the order in which a deploy locks them."""
        known = rows.find(connection, webhook_id)
        if known is None or known["type"] != repository.TYPE:
            raise unknown_webhook(webhook_id)
        workflow = workflows.find_workflow(connection, known["workflow_id"], lock=True)
        row = rows.to_change(connection, webhook_id)
        if workflow is None or row is None:
            raise unknown_webhook(webhook_id)
        if row.origin != ORIGIN:
            raise Conflict(
                "of_definition",
                f"the webhook {row.name!r} is in the definition of the workflow {workflow.name!r}; change it there",
            )
        return workflow, row

    def _new(self, connection: Connection, workflow: WorkflowRow, wanted: Settings) -> TriggerRow:
        version, now = _version(connection, workflow), rows.now(connection)
        settings.check(wanted, _variables(version))
        deployed = None if workflow.deployed_version is None or version is None else version.id
        row = TriggerRow(
            id=self._ids.new(),
            workflow_id=workflow.id,
            origin=ORIGIN,
            name=wanted.name or "",
            type=repository.TYPE,
            declared=wanted.enabled,
            enabled=wanted.enabled,
            active=False,
            condition=None,
            config="",
            input="",
            version_id=deployed,
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
        row = _with(row, wanted, live=workflow.status == "active" and deployed is not None)
        return begun(row, self._schedules, now)


def _workflow_of(connection: Connection, webhook_id: str) -> WorkflowRow | None:
    """As it is now, to look at."""
    known = rows.find(connection, webhook_id)
    return None if known is None else workflows.find_workflow(connection, known["workflow_id"])


def _noted(row: TriggerRow) -> JsonObject:
    config, given = orjson.loads(row.config), orjson.loads(row.input)
    told: JsonObject = {"workflow_id": row.workflow_id, "name": row.name, "enabled": row.declared}
    return {**told, "config": config, "input": given, "condition": row.condition}


def _keep_routes(connection: Connection, row: TriggerRow) -> None:
    try:
        keep(connection, row)
    except Conflict as error:
        faults = [replace(fault, path="url_path") for fault in error.faults]
        raise Conflict(error.code, error.message, faults=faults) from None


def _with(row: TriggerRow, wanted: Settings, *, live: bool) -> TriggerRow:
    return replace(
        row,
        name=wanted.name or row.name,
        declared=wanted.enabled,
        enabled=wanted.enabled,
        active=live and wanted.enabled,
        condition=None if wanted.condition is None else settings.text(wanted.condition),
        config=settings.text(wanted.config),
        input=settings.text(wanted.input or {}),
    )


def _version(connection: Connection, workflow: WorkflowRow) -> VersionRow | None:
    """The deployed version, else the newest."""
    number = workflow.newest_version if workflow.deployed_version is None else workflow.deployed_version
    return workflows.version_by_number(connection, workflow.id, number)


def _variables(version: VersionRow | None) -> frozenset[str]:
    return frozenset() if version is None else frozenset(mapping(orjson.loads(version.definition).get("variables")))


def _free_name(taken: Collection[str]) -> str:
    names = (repository.TYPE if number == 1 else f"{repository.TYPE}_{number}" for number in count(1))
    return next(name for name in names if name not in taken)


def _refuse_taken(wanted: Settings, taken: Collection[str]) -> None:
    if wanted.name in taken:
        raise Conflict("name_taken", f"the workflow has a webhook named {wanted.name!r} already; choose another name")


def _refuse_move(connection: Connection, workflow: WorkflowRow, body: WebhookChange) -> None:
    if body.workflow_id is None:
        return
    named = workflows.find_workflow(connection, body.workflow_id)
    if named is None or named.id != workflow.id:
        message = f"the webhook belongs to the workflow {workflow.name!r}, and stays there"
        fault = Fault("workflow_id", "value", message, "make another webhook for the other workflow")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
