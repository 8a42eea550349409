"""Test mode of one workflow: say that it is on or off, take that back, and see what holds."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from millrace.app.test_mode import repository
from millrace.app.test_mode.instructions import Instance, OwnMode, check_recipient
from millrace.app.workflows import repository as workflows
from millrace.app.workflows.catalog import Catalog, unknown_workflow
from millrace.app.workflows.repository import WorkflowRow
from millrace.auth.audit.actions import Action
from millrace.auth.audit.writing import note
from millrace.core.errors import Conflict, Fault, InvalidRequest
from millrace.core.values import JsonObject
from millrace.ports.clock import Clock
from millrace.ports.database import Database


class TestModeCommands:
    def __init__(self, database: Database, clock: Clock, catalog: Catalog, instance: Instance) -> None:
        self._database = database
        self._clock = clock
        self._catalog = catalog
        self._instance = instance
        self.after_change: Callable[[], None] = _nobody
        """Told after each commit; the composition root lets it wake the scheduler."""

    async def show(self, reference: str) -> JsonObject:
        """What holds for the workflow with this id, name or slug. Raises `NotFound`."""
        found = await self._database.read(lambda connection: workflows.find_workflow(connection, reference))
        if found is None:
            raise unknown_workflow(reference)
        return self._view(found, None if found.test_mode is None else OwnMode.read(found.test_mode))

    async def set(self, reference: str, mode: OwnMode, *, by: str) -> JsonObject:
        """Say it about the workflow; it holds from the commit on.

        Raises `NotFound`; `InvalidRequest` where nobody would be told; `Conflict` where no mail could be sent.
        """
        if mode.on:
            self._check(mode)
        return await self._save(reference, mode, by)

    async def clear(self, reference: str, *, by: str) -> JsonObject:
        """Let the workflow be as the settings say. Raises `NotFound`."""
        return await self._save(reference, None, by)

    def _check(self, mode: OwnMode) -> None:
        recipient = mode.recipient or self._instance.recipient
        if recipient is None:
            message = "nobody would be told: no recipient is given, and the settings name none"
            fault = Fault("recipient", "missing", message, "give a mail address, or set MILLRACE_TEST_MODE_RECIPIENT")
            raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
        try:
            check_recipient(recipient)
        except ValueError as error:
            remedy = "write a mail address such as ops@example.com"
            fault = Fault("recipient", "value_error", str(error), remedy)
            raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault]) from None
        if not self._instance.can_send:
            raise Conflict(
                "no_mail_server", "there is no mail server to send with; set MILLRACE_SMTP_HOST and MILLRACE_SMTP_FROM"
            )

    async def _save(self, reference: str, mode: OwnMode | None, by: str) -> JsonObject:
        try:
            found = await self._database.write(partial(self._write, reference=reference, mode=mode, by=by))
        finally:
            self._catalog.forget_all()
            self.after_change()
        if found is None:
            raise unknown_workflow(reference)
        return self._view(found, mode)

    def _write(self, connection: Connection, reference: str, mode: OwnMode | None, by: str) -> WorkflowRow | None:
        workflow = workflows.find_workflow(connection, reference, lock=True)
        if workflow is None:
            return None
        now = max(self._clock.now(), workflow.updated_at + 1)
        repository.save(connection, workflow.id, None if mode is None else mode.stored(), by=by, now=now)
        before = None if workflow.test_mode is None else OwnMode.read(workflow.test_mode).shown()
        after = {"test_mode": None if mode is None else mode.shown()}
        note(
            connection,
            Action.WORKFLOW_TEST_MODE,
            workflow.id,
            workflow.name,
            before={"test_mode": before},
            after=after,
        )
        return workflow

    def _view(self, workflow: WorkflowRow, own: OwnMode | None) -> JsonObject:
        holds = self._instance.instructions(own)
        return {
            "workflow": {"id": workflow.id, "name": workflow.name},
            "said": None if own is None else own.shown(),
            "on": holds is not None,
            "recipient": None if holds is None else holds.recipient,
            "skip_execution": False if holds is None else holds.skip_execution,
        }


def _nobody() -> None:
    return None
