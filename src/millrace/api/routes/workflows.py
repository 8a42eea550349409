"""Routes about workflows: create, read, change, delete, validate, versions, start, stop, and the runs of one."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from millrace.api.bodies import answer, checked, document, page_answer, request_body
from millrace.api.deps import Containers, requires
from millrace.api.queries import Cursor, Labels, Limit, Moment, Words, instant, labels, values_of, words
from millrace.api.schemas.runs import EndBody, RunPage, RunView, StartBody, StopAnswer
from millrace.api.schemas.workflows import (
    DEFINITION_EXAMPLE,
    ValidationAnswer,
    VersionDetail,
    VersionPage,
    WorkflowDetail,
    WorkflowPage,
)
from millrace.app.runs.repository import RunFilter
from millrace.app.runs.starting import StartRequest
from millrace.app.workflows.repository import WorkflowFilter, WorkflowRow
from millrace.app.workflows.requests import STATUSES
from millrace.app.workflows.views import etag
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.core.errors import Fault, InvalidRequest
from millrace.core.states import RunStatus

router = APIRouter(tags=["workflows"])

READ = [requires(Permission.WORKFLOW_READ)]
Writer = Annotated[Principal, requires(Permission.WORKFLOW_WRITE)]
Starter = Annotated[Principal, requires(Permission.RUN_START)]
Controller = Annotated[Principal, requires(Permission.RUN_CONTROL)]

DEFINITION_BODY = request_body({"$ref": "#/components/schemas/Definition"}, DEFINITION_EXAMPLE)
START_BODY = request_body(
    StartBody.model_json_schema(), {"input": {"name": "Ada"}, "correlation_id": "visit-17"}, required=False
)
END_BODY = request_body(EndBody.model_json_schema(), {"reason": "wrong day"}, required=False)


@router.get("/workflows", dependencies=READ, responses={200: {"model": WorkflowPage}})
async def list_workflows(
    container: Containers,
    status: Words,
    label: Labels,
    category: str | None = None,
    owner: str | None = None,
    name: Annotated[str | None, Query(description="Part of the name, in any case of letters.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List workflows by name."""
    narrow = WorkflowFilter(words("status", status, STATUSES), category, owner, name, labels(label))
    return page_answer(await container.workflow_queries.list(narrow, cursor=cursor, limit=limit))


@router.post("/workflows", status_code=201, responses={201: {"model": WorkflowDetail}}, openapi_extra=DEFINITION_BODY)
async def create_workflow(request: Request, container: Containers, caller: Writer) -> Response:
    """Create a workflow from a definition in JSON or YAML."""
    shown, tag = await container.workflow_commands.create(await document(request), by=caller.user_id)
    return answer(shown, 201, {"ETag": tag, "Location": f"/api/v1/workflows/{shown['id']}"})


@router.post(
    "/workflows/validate",
    dependencies=READ,
    responses={200: {"model": ValidationAnswer}},
    openapi_extra=DEFINITION_BODY,
)
async def validate_workflow(request: Request, container: Containers) -> Response:
    """Check a definition without saving it; every fault is reported at once."""
    return answer(await container.workflow_commands.validate(await document(request)))


@router.get("/workflows/{workflow}", dependencies=READ, responses={200: {"model": WorkflowDetail}})
async def get_workflow(
    workflow: str, container: Containers, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """A workflow with its newest definition. `{workflow}` is an id, a name or a slug."""
    shown, tag = await container.workflow_queries.get(workflow)
    if if_none_match is not None and _names(if_none_match, tag):
        return Response(status_code=304, headers={"ETag": tag})
    return answer(shown, headers={"ETag": tag})


@router.put("/workflows/{workflow}", responses={200: {"model": WorkflowDetail}}, openapi_extra=DEFINITION_BODY)
@router.patch("/workflows/{workflow}", responses={200: {"model": WorkflowDetail}}, openapi_extra=DEFINITION_BODY)
async def update_workflow(
    workflow: str,
    request: Request,
    container: Containers,
    caller: Writer,
    if_match: Annotated[
        str | None, Header(description="An ETag, or the number of the version that this changes.")
    ] = None,
    replace: Annotated[
        bool, Query(description="The body is the whole definition: fields that it does not give are taken out.")
    ] = False,
) -> Response:
    """Change the top-level fields given, null takes one out; a changed definition becomes a new version."""
    body = await document(request)
    matches = None if if_match is None else _matcher(if_match)
    shown, tag = await container.workflow_commands.update(
        workflow, body, by=caller.user_id, if_match=matches, replace=replace
    )
    return answer(shown, headers={"ETag": tag})


@router.delete("/workflows/{workflow}", status_code=204)
async def delete_workflow(workflow: str, container: Containers, caller: Writer) -> Response:
    """Delete a workflow. Runs that are under way go on, and all its runs stay readable."""
    await container.workflow_commands.delete(workflow, by=caller.user_id)
    return Response(status_code=204)


@router.get("/workflows/{workflow}/versions", dependencies=READ, responses={200: {"model": VersionPage}})
async def list_versions(workflow: str, container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """The versions of a workflow, newest first."""
    return page_answer(await container.workflow_queries.versions(workflow, cursor=cursor, limit=limit))


@router.get("/workflows/{workflow}/versions/{number}", dependencies=READ, responses={200: {"model": VersionDetail}})
async def get_version(
    workflow: str, number: Annotated[int, Path(ge=1, le=2**31 - 1)], container: Containers
) -> Response:
    """One version with its definition."""
    return answer(await container.workflow_queries.version(workflow, number))


async def start_run(
    workflow: str,
    request: Request,
    container: Containers,
    caller: Starter,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Response:
    """Start a run. 202 with the run; 200 when it was waited for and has finished, or when the key is known."""
    body = await checked(request, StartBody)
    wanted = StartRequest(body.input, body.variables, body.version, body.correlation_id, body.priority)
    key = _one_key(idempotency_key, body.idempotency_key)
    started = await container.run_starter.start(workflow, wanted, by=caller.user_id, key=key)
    finished = body.waits and await container.run_starter.wait(started.run_id, body.wait_seconds)
    status = 200 if finished or (started.existed and not body.waits) else 202
    run = await container.run_queries.get(started.run_id)
    return answer(run, status, {"Location": f"/api/v1/runs/{started.run_id}"})


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
    """Cancel every run of the workflow that has not finished."""
    body = await checked(request, EndBody)
    return answer({"stopped": await container.run_control.stop(workflow, by=caller.user_id, reason=body.reason)})


@router.get(
    "/workflows/{workflow}/runs", dependencies=[requires(Permission.RUN_READ)], responses={200: {"model": RunPage}}
)
async def list_runs_of_workflow(
    workflow: str,
    container: Containers,
    status: Words,
    trigger_type: str | None = None,
    correlation_id: str | None = None,
    created_after: Moment = None,
    created_before: Moment = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The runs of one workflow, newest first."""
    narrow = RunFilter(
        status=words("status", status, values_of(RunStatus)),
        workflow_id=await container.workflow_queries.id_of(workflow),
        trigger_type=trigger_type,
        correlation_id=correlation_id,
        created_from=instant(created_after),
        created_before=instant(created_before),
    )
    return page_answer(await container.run_queries.list(narrow, cursor=cursor, limit=limit))


def _one_key(header: str | None, body: str | None) -> str | None:
    if header is not None and body is not None and header != body:
        fault = Fault("idempotency_key", "value", "the header Idempotency-Key has another value", "send one of them")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    return header if header is not None else body


def _matcher(if_match: str) -> Callable[[WorkflowRow], bool]:
    """Whether a workflow is what `If-Match` names: by an ETag, by the bare number of a version, or `*` for any."""

    def matches(workflow: WorkflowRow) -> bool:
        number = str(workflow.newest_version)
        return _names(if_match, etag(workflow)) or if_match.strip().strip('"') == number

    return matches


def _names(header: str, tag: str) -> bool:
    """Whether a list of ETags names `tag`. A proxy that compresses makes a tag weak; it still means the same state."""
    named = {part.strip().removeprefix("W/") for part in header.split(",")}
    return "*" in named or tag in named
