"""Routes that start runs of a workflow, end all of them, and list them."""

from typing import Annotated, Any

from fastapi import Request, Response

from millrace.api.answers import started_answer
from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.keys import IdempotencyKey, one_key
from millrace.api.naming import named_page
from millrace.api.queries import Cursor, Limit, Moment, TriggerTypeWord, Words, instant, known_word, values_of, words
from millrace.api.schemas.runs import EndBody, RunPage, RunView, StartBody, StopAnswer
from millrace.app.runs.repository import RunFilter
from millrace.app.runs.starting import StartRequest
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.core.states import RunStatus
from millrace.definition.model import START_TYPES

router = api_router("workflows")

Starter = Annotated[Principal, requires(Permission.RUN_START)]
Controller = Annotated[Principal, requires(Permission.RUN_CONTROL)]

START_BODY = request_body(
    StartBody.model_json_schema(), {"input": {"name": "Ada"}, "correlation_id": "visit-17"}, required=False
)
END_BODY = request_body(EndBody.model_json_schema(), {"reason": "wrong day"}, required=False)


async def start_run(
    workflow: str,
    request: Request,
    container: Containers,
    caller: Starter,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Start a run. 202 with the run; 200 when it was waited for and has finished, or when the key is known."""
    body = await checked(request, StartBody)
    wanted = StartRequest(
        input=body.input,
        variables=body.variables,
        version=None if body.version is None else str(body.version),
        correlation_id=body.correlation_id,
        priority=body.priority,
        run_at=instant(body.run_at),
        confirmation=body.confirmation,
    )
    key = one_key(idempotency_key, body.idempotency_key)
    started = await container.run_starter.start(workflow, wanted, by=caller.user_id, key=key)
    return await started_answer(request, container, started, body)


_STARTED: dict[int | str, dict[str, Any]] = {202: {"model": RunView}, 200: {"model": RunView}}
for _path in ("execute", "run", "trigger/manual"):
    router.add_api_route(
        f"/workflows/{{workflow}}/{_path}",
        start_run,
        methods=["POST"],
        status_code=202,
        responses=_STARTED,
        openapi_extra=START_BODY,
    )


@router.post("/workflows/{workflow}/stop", responses={200: {"model": StopAnswer}}, openapi_extra=END_BODY)
async def stop_workflow(workflow: str, request: Request, container: Containers, caller: Controller) -> Response:
    """Cancel every run of the workflow that has not finished. The id of a deleted workflow is taken, too."""
    body = await checked(request, EndBody)
    return answer({"stopped": await container.run_control.stop(workflow, by=caller.user_id, reason=body.reason)})


@router.get(
    "/workflows/{workflow}/runs", dependencies=[requires(Permission.RUN_READ)], responses={200: {"model": RunPage}}
)
async def list_runs_of_workflow(
    workflow: str,
    container: Containers,
    status: Words,
    trigger_type: TriggerTypeWord = None,
    correlation_id: str | None = None,
    created_after: Moment = None,
    created_before: Moment = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The runs of one workflow, newest first. The id of a deleted workflow is taken, too."""
    narrow = RunFilter(
        status=words("status", status, values_of(RunStatus)),
        workflow_id=await container.workflow_queries.id_of_runs(workflow),
        trigger_type=known_word("query.trigger_type", trigger_type, START_TYPES),
        correlation_id=correlation_id,
        created_from=instant(created_after),
        created_before=instant(created_before),
    )
    return page_answer(
        await named_page(container, await container.run_queries.list(narrow, cursor=cursor, limit=limit))
    )
