"""Routes about runs: list, read, their tasks, records and logs, and cancel."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, requires
from millrace.api.queries import (
    After,
    Cursor,
    Labels,
    Limit,
    ManyLines,
    Moment,
    WaitSeconds,
    Words,
    instant,
    labels,
    position,
    values_of,
    words,
)
from millrace.api.schemas.runs import (
    CancelAnswer,
    EndBody,
    LogPage,
    RecordPage,
    RunPage,
    RunView,
    TaskRunPage,
    TaskRunView,
)
from millrace.app.runs.repository import RunFilter
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.core.states import RunStatus

router = APIRouter(tags=["runs"])

READ = [requires(Permission.RUN_READ)]
Controller = Annotated[Principal, requires(Permission.RUN_CONTROL)]

LOG_LEVELS = ("debug", "info", "warning", "error")


@router.get("/runs", dependencies=READ, responses={200: {"model": RunPage}})
async def list_runs(
    container: Containers,
    status: Words,
    label: Labels,
    workflow: Annotated[str | None, Query(description="Id, name or slug of a workflow.")] = None,
    trigger_type: str | None = None,
    correlation_id: str | None = None,
    created_after: Moment = None,
    created_before: Moment = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List runs, newest first."""
    narrow = RunFilter(
        status=words("status", status, values_of(RunStatus)),
        workflow_id=None if workflow is None else await container.workflow_queries.id_of(workflow),
        trigger_type=trigger_type,
        correlation_id=correlation_id,
        created_from=instant(created_after),
        created_before=instant(created_before),
        labels=labels(label),
    )
    return page_answer(await container.run_queries.list(narrow, cursor=cursor, limit=limit))


@router.get("/runs/{run}", dependencies=READ, responses={200: {"model": RunView}})
async def get_run(run: str, container: Containers) -> Response:
    """One run with its input and output."""
    return answer(await container.run_queries.get(run))


async def list_task_runs(run: str, container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """The tasks of a run, in the order of the definition."""
    return page_answer(await container.run_queries.tasks(run, cursor=cursor, limit=limit))


async def get_task_run(run: str, path: str, container: Containers) -> Response:
    """One task of a run with its rendered input and its output."""
    return answer(await container.run_queries.task(run, path))


_TASKS: dict[int | str, dict[str, Any]] = {200: {"model": TaskRunPage}}
_TASK: dict[int | str, dict[str, Any]] = {200: {"model": TaskRunView}}
for _name in ("tasks", "steps"):
    router.add_api_route(f"/runs/{{run}}/{_name}", list_task_runs, dependencies=READ, responses=_TASKS)
    router.add_api_route(f"/runs/{{run}}/{_name}/{{path:path}}", get_task_run, dependencies=READ, responses=_TASK)


@router.get("/runs/{run}/events", dependencies=READ, responses={200: {"model": RecordPage}})
async def list_records(
    run: str,
    container: Containers,
    after: After = None,
    cursor: Cursor = None,
    limit: ManyLines = 200,
    wait_seconds: WaitSeconds = 0,
) -> Response:
    """The history of a run: numbered records without gaps. With `wait_seconds`, waits for the next one."""
    page = await container.run_queries.records(
        run, after=position(after, cursor), limit=limit, wait_seconds=wait_seconds
    )
    return page_answer(page)


@router.get("/runs/{run}/logs", dependencies=READ, responses={200: {"model": LogPage}})
async def list_logs(
    run: str,
    container: Containers,
    level: Words,
    task: Annotated[str | None, Query(description="Only lines of this task.")] = None,
    after: After = None,
    cursor: Cursor = None,
    limit: ManyLines = 200,
    wait_seconds: WaitSeconds = 0,
) -> Response:
    """The log lines of a run, in order. With `wait_seconds`, waits for the next one."""
    page = await container.run_queries.logs(
        run,
        after=position(after, cursor),
        limit=limit,
        wait_seconds=wait_seconds,
        path=task,
        levels=words("level", level, LOG_LEVELS),
    )
    return page_answer(page)


@router.post(
    "/runs/{run}/cancel",
    status_code=202,
    responses={202: {"model": CancelAnswer}},
    openapi_extra=request_body(EndBody.model_json_schema(), {"reason": "wrong day"}, required=False),
)
async def cancel_run(run: str, request: Request, container: Containers, caller: Controller) -> Response:
    """Cancel a run: what runs is stopped, `finally` tasks still run; a second cancel skips those, too."""
    body = await checked(request, EndBody)
    await container.run_control.cancel(run, by=caller.user_id, reason=body.reason)
    return answer({"id": run, "cancelling": True}, 202)
