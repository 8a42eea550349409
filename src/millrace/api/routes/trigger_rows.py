"""Routes about the triggers there are: list, read, enable, disable, and what became of each time one fired."""

from typing import Annotated, get_args

from fastapi import Query, Response

from millrace.api.bodies import answer, page_answer
from millrace.api.deps import Containers, api_router, requires, sees
from millrace.api.queries import Cursor, Limit, Words, words
from millrace.api.schemas.triggers import FiringPage, TriggerPage, TriggerView
from millrace.app.triggers.repository import FiringFilter, TriggerFilter
from millrace.auth.permissions import Permission
from millrace.auth.sight import Sight
from millrace.definition.model import TriggerType

router = api_router("triggers")

READ = [requires(Permission.TRIGGER_READ)]
Seeing = Annotated[Sight | None, sees(Permission.TRIGGER_READ)]
CONTROL = [requires(Permission.TRIGGER_CONTROL)]
DECISIONS = ("started", "skipped", "refused", "missed", "failed")

Enabled = Annotated[bool | None, Query(description="Only those that are enabled, or only those that are not.")]
Overdue = Annotated[bool | None, Query(description="true: only schedules that should have fired and did not.")]


@router.get("/triggers", responses={200: {"model": TriggerPage}})
async def list_triggers(
    container: Containers,
    sight: Seeing,
    type: Words,
    workflow: Annotated[str | None, Query(description="Id, name or slug of a workflow.")] = None,
    enabled: Enabled = None,
    overdue: Overdue = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List triggers in the order in which they were made."""
    narrow = TriggerFilter(
        types=words("type", type, get_args(TriggerType)),
        workflow_id=None if workflow is None else await container.workflow_queries.id_of(workflow, sight),
        enabled=enabled,
        overdue=overdue,
        sight=sight,
    )
    return page_answer(await container.triggers.queries.list(narrow, cursor=cursor, limit=limit))


@router.get("/workflows/{workflow}/triggers", dependencies=READ, responses={200: {"model": TriggerPage}})
async def list_triggers_of_workflow(
    workflow: str, container: Containers, cursor: Cursor = None, limit: Limit = 50
) -> Response:
    """The triggers of a workflow."""
    narrow = TriggerFilter(workflow_id=await container.workflow_queries.id_of(workflow))
    return page_answer(await container.triggers.queries.list(narrow, cursor=cursor, limit=limit))


@router.get("/workflows/{workflow}/firings", dependencies=READ, responses={200: {"model": FiringPage}})
async def list_firings_of_workflow(
    workflow: str, container: Containers, decision: Words, cursor: Cursor = None, limit: Limit = 50
) -> Response:
    """What became of each time a trigger of the workflow fired, newest first."""
    workflow_id = await container.workflow_queries.id_of(workflow)
    narrow = FiringFilter(workflow_id=workflow_id, decisions=words("decision", decision, DECISIONS))
    return page_answer(await container.triggers.queries.firings(narrow, cursor=cursor, limit=limit))


@router.get("/triggers/{trigger}", dependencies=READ, responses={200: {"model": TriggerView}})
async def get_trigger(trigger: str, container: Containers) -> Response:
    """One trigger: its last and next firing, and why it is silent."""
    return answer(await container.triggers.queries.get(trigger))


@router.get("/triggers/{trigger}/firings", dependencies=READ, responses={200: {"model": FiringPage}})
async def list_firings(
    trigger: str, container: Containers, decision: Words, cursor: Cursor = None, limit: Limit = 50
) -> Response:
    """What became of each time the trigger fired, newest first, with the run or the reason."""
    narrow = FiringFilter(trigger_id=trigger, decisions=words("decision", decision, DECISIONS))
    return page_answer(await container.triggers.queries.firings(narrow, cursor=cursor, limit=limit))


@router.post("/triggers/{trigger}/enable", dependencies=CONTROL, responses={200: {"model": TriggerView}})
async def enable_trigger(trigger: str, container: Containers) -> Response:
    """Let the trigger fire from now on. What was due while it was silent does not fire."""
    await container.triggers.commands.enable(trigger)
    return answer(await container.triggers.queries.get(trigger))


@router.post("/triggers/{trigger}/disable", dependencies=CONTROL, responses={200: {"model": TriggerView}})
async def disable_trigger(trigger: str, container: Containers) -> Response:
    """Silence the trigger until it is enabled again; a deploy keeps it so. Runs that it has started go on."""
    await container.triggers.commands.disable(trigger)
    return answer(await container.triggers.queries.get(trigger))
