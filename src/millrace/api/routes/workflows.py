"""Routes about workflows as a whole: create, read, change, apply, delete, validate."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, document, page_answer, request_body
from millrace.api.deps import (
    Containers,
    SightBeside,
    allowed,
    allowed_or_any,
    api_router,
    requires,
    sees,
)
from millrace.api.naming import named, named_page
from millrace.api.preconditions import UNCHANGED, IfMatch, IfNoneMatch, answer_unless_known
from millrace.api.queries import Cursor, Labels, Limit, Words, labels, words
from millrace.api.schemas.texts import NO_NUL
from millrace.api.schemas.workflows import (
    DEFINITION_EXAMPLE,
    ApplyAnswer,
    DeletedWorkflow,
    ValidationAnswer,
    WorkflowDetail,
    WorkflowPage,
)
from millrace.app.workflows.repository import WorkflowFilter
from millrace.app.workflows.requests import STATUSES
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.auth.sight import Sight

router = api_router("workflows")

READ = [requires(Permission.WORKFLOW_READ)]
Seeing = Annotated[Sight | None, sees(Permission.WORKFLOW_READ)]
Writer = Annotated[Principal, requires(Permission.WORKFLOW_WRITE)]
Maker = Annotated[Principal, allowed(Permission.WORKFLOW_WRITE)]
Applier = Annotated[Principal, allowed_or_any(Permission.WORKFLOW_WRITE)]

DEFINITION_BODY = request_body({"$ref": "#/components/schemas/WorkflowBody"}, DEFINITION_EXAMPLE)
CHANGE_BODY = request_body({"$ref": "#/components/schemas/WorkflowChange"}, {"description": "as it is now"})

Source = Annotated[
    str | None, Query(min_length=1, max_length=200, pattern=NO_NUL, description="What it was applied from.")
]


@router.get("/workflows", responses={200: {"model": WorkflowPage}})
async def list_workflows(
    container: Containers,
    sight: Seeing,
    status: Words,
    label: Labels,
    category: str | None = None,
    owner: str | None = None,
    name: Annotated[str | None, Query(description="Part of the name, in any case of letters.")] = None,
    source: Source = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List workflows by name."""
    narrow = WorkflowFilter(words("status", status, STATUSES), category, owner, name, labels(label), source, sight)
    return page_answer(
        await named_page(container, await container.workflow_queries.list(narrow, cursor=cursor, limit=limit))
    )


@router.post("/workflows", status_code=201, responses={201: {"model": WorkflowDetail}}, openapi_extra=DEFINITION_BODY)
async def create_workflow(request: Request, container: Containers, caller: Maker) -> Response:
    """Create a workflow from a definition in JSON or YAML, of any accepted shape. It is deployed unless it is a draft
    or `deploy: false`."""
    shown, tag = await container.workflow_commands.create(await document(request), by=caller.user_id)
    return answer(await named(container, shown), 201, {"ETag": tag, "Location": f"/api/v1/workflows/{shown['id']}"})


@router.post(
    "/workflows/validate",
    dependencies=[allowed(Permission.WORKFLOW_READ)],
    responses={200: {"model": ValidationAnswer}},
    openapi_extra=DEFINITION_BODY,
)
async def validate_workflow(request: Request, container: Containers, sight: SightBeside) -> Response:
    """Check a definition without saving it; every fault is reported at once."""
    return answer(await container.workflow_commands.validate(await document(request), sight))


@router.post("/workflows/apply", responses={200: {"model": ApplyAnswer}}, openapi_extra=DEFINITION_BODY)
async def apply_workflow(
    request: Request,
    container: Containers,
    caller: Applier,
    sight: SightBeside,
    source: Source = None,
    dry_run: Annotated[bool, Query(description="Say what would be done, and do nothing.")] = False,
) -> Response:
    """Make the workflow of this name what the definition says, whether there is one or not; the same again does
    nothing. With `source` it belongs to that source from then on, and can be found by it."""
    body = await document(request)
    applied = await container.workflow_commands.apply(
        body,
        by=caller.user_id,
        source=source,
        dry_run=dry_run,
        permit=container.rights.applying(caller),
        sight=sight,
    )
    return answer(applied)


@router.get("/workflows/{workflow}", dependencies=READ, responses={200: {"model": WorkflowDetail}, **UNCHANGED})
async def get_workflow(workflow: str, container: Containers, if_none_match: IfNoneMatch = None) -> Response:
    """A workflow with its newest definition. `{workflow}` is an id, a name or a slug."""
    shown, tag = await container.workflow_queries.get(workflow)
    return answer_unless_known(await named(container, shown), tag, if_none_match)


@router.put("/workflows/{workflow}", responses={200: {"model": WorkflowDetail}}, openapi_extra=CHANGE_BODY)
@router.patch("/workflows/{workflow}", responses={200: {"model": WorkflowDetail}}, openapi_extra=CHANGE_BODY)
async def update_workflow(
    workflow: str,
    request: Request,
    container: Containers,
    caller: Writer,
    if_match: IfMatch,
    replace: Annotated[
        bool, Query(description="The body is the whole definition: fields that it does not give are taken out.")
    ] = False,
) -> Response:
    """Change the top-level fields given, null takes one out; a changed definition becomes a new version, which is
    deployed unless the workflow is a draft or the body says `deploy: false`."""
    body = await document(request)
    shown, tag = await container.workflow_commands.update(
        workflow, body, by=caller.user_id, if_match=if_match, replace=replace
    )
    return answer(await named(container, shown), headers={"ETag": tag})


@router.delete("/workflows/{workflow}", status_code=204, responses={200: {"model": DeletedWorkflow}})
async def delete_workflow(
    workflow: str, container: Containers, caller: Writer, if_match: IfMatch, source: Source = None
) -> Response:
    """Delete a workflow; with `source` only if it was applied from there. Its runs go on and stay readable.

    Runs that were to start later are cancelled: 200 says how many, 204 that there were none."""
    cancelled = await container.workflow_commands.delete(workflow, by=caller.user_id, if_match=if_match, source=source)
    return answer({"cancelled_runs": cancelled}) if cancelled else Response(status_code=204)
