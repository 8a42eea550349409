"""Routes that change the course of runs: cancel, pause, resume, signal, retry, rerun, and many at once."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Request, Response

from millrace.api.answers import started_answer
from millrace.api.bodies import answer, checked, request_body
from millrace.api.deps import Containers, allowed_with_any, api_router, requires
from millrace.api.keys import IdempotencyKey, one_key
from millrace.api.naming import named
from millrace.api.schemas.control import BULK_EXAMPLE, BulkBody, OperationView
from millrace.api.schemas.runs import CancelAnswer, EndBody, RerunBody, RetryBody, RunView
from millrace.api.schemas.signals import SIGNAL_EXAMPLE, SignalBody
from millrace.app.operations.operations import needed_for
from millrace.app.runs.repeating import RepeatRequest
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("runs")

READ = [requires(Permission.RUN_READ)]
Starter = Annotated[Principal, requires(Permission.RUN_START)]
Controller = Annotated[Principal, requires(Permission.RUN_CONTROL)]
ManyController = Annotated[Principal, allowed_with_any(Permission.RUN_CONTROL)]

_STARTED: dict[int | str, dict[str, Any]] = {202: {"model": RunView}, 200: {"model": RunView}}


@router.post(
    "/runs/{run}/cancel",
    status_code=202,
    responses={202: {"model": CancelAnswer}},
    openapi_extra=request_body(EndBody.model_json_schema(), {"reason": "wrong day"}, required=False),
)
async def cancel_run(
    run: str, request: Request, container: Containers, caller: Controller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Cancel a run: what runs is stopped, `finally` tasks still run; a second cancel skips those, too."""
    body = await checked(request, EndBody)
    await container.run_control.cancel(run, by=caller.user_id, reason=body.reason, key=idempotency_key)
    return answer({"id": run, "cancelling": True}, 202)


@router.post("/runs/{run}/pause", status_code=202, responses={202: {"model": RunView}})
async def pause_run(
    run: str, container: Containers, caller: Controller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Pause a run: no further task starts, what runs goes on, and its time limits do, too."""
    await container.run_control.pause(run, by=caller.user_id, key=idempotency_key)
    return answer(await named(container, await container.run_queries.get(run)), 202)


@router.post("/runs/{run}/resume", status_code=202, responses={202: {"model": RunView}})
async def resume_run(
    run: str, container: Containers, caller: Controller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Let a paused run go on."""
    await container.run_control.resume(run, by=caller.user_id, key=idempotency_key)
    return answer(await named(container, await container.run_queries.get(run)), 202)


@router.post(
    "/runs/{run}/signal",
    status_code=202,
    responses={202: {"model": RunView}},
    openapi_extra=request_body(SignalBody.model_json_schema(), SIGNAL_EXAMPLE),
)
async def signal_run(
    run: str, request: Request, container: Containers, caller: Controller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Send a signal to a run: tasks that wait for its name take it, else it is kept for the next one that does."""
    body = await checked(request, SignalBody)
    key = one_key(idempotency_key, body.idempotency_key)
    await container.run_control.signal(run, body.name, body.data, by=caller.user_id, key=key)
    return answer(await named(container, await container.run_queries.get(run)), 202)


@router.post(
    "/runs/{run}/retry",
    status_code=202,
    responses=_STARTED,
    openapi_extra=request_body(RetryBody.model_json_schema(), {"version": "newest"}, required=False),
)
async def retry_run(
    run: str, request: Request, container: Containers, caller: Starter, idempotency_key: IdempotencyKey = None
) -> Response:
    """Do again what did not complete, in a new run that takes over the rest. 200 when the key is known."""
    body = await checked(request, RetryBody)
    key = one_key(idempotency_key, body.idempotency_key)
    started = await container.run_repeater.retry(run, _repeat(body), by=caller.user_id, key=key)
    return await started_answer(request, container, started, body)


@router.post(
    "/runs/{run}/rerun",
    status_code=202,
    responses=_STARTED,
    openapi_extra=request_body(RerunBody.model_json_schema(), {"from_task": "load"}, required=False),
)
async def rerun_run(
    run: str, request: Request, container: Containers, caller: Starter, idempotency_key: IdempotencyKey = None
) -> Response:
    """Do a run again, from its beginning or from a task, in a new run. 200 when the key is known."""
    body = await checked(request, RerunBody)
    key, wanted = one_key(idempotency_key, body.idempotency_key), _repeat(body)
    started = await container.run_repeater.rerun(run, wanted, by=caller.user_id, from_task=body.from_task, key=key)
    return await started_answer(request, container, started, body)


@router.post(
    "/runs/bulk",
    status_code=202,
    responses={202: {"model": OperationView}},
    openapi_extra=request_body(BulkBody.model_json_schema(), BULK_EXAMPLE),
)
async def change_many_runs(
    request: Request, container: Containers, caller: ManyController, idempotency_key: IdempotencyKey = None
) -> Response:
    """Cancel, pause, resume or retry every run that a filter finds. The operation answered tells its progress.

    A retry leaves out the runs of sub-workflows that a task waited for: the retry of their parents goes on with them.
    """
    body = await checked(request, BulkBody)
    key = one_key(idempotency_key, body.idempotency_key)
    wanted = body.wanted()
    within = replace(wanted.narrow, sight=await container.rights.sight(caller, needed_for(wanted.action)))
    operation = await container.operations.begin(replace(wanted, narrow=within), by=caller, key=key)
    return answer(await named(container, operation), 202, {"Location": f"/api/v1/operations/{operation['id']}"})


@router.get("/operations/{operation}", dependencies=READ, responses={200: {"model": OperationView}})
async def get_operation(operation: str, container: Containers) -> Response:
    """How far an operation on many runs has come."""
    return answer(await named(container, await container.operations.get(operation)))


def _repeat(body: RetryBody) -> RepeatRequest:
    return RepeatRequest(body.input, body.variables, body.version, body.priority, body.confirmation)
