"""Routes about the versions of a workflow: list, read, compare, name, roll back."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.naming import named, named_page
from millrace.api.preconditions import UNCHANGED, IfMatch, IfNoneMatch, answer_unless_known
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.versions import DifferenceAnswer, RollbackBody, VersionBody, VersionDetail, VersionPage
from millrace.api.schemas.workflows import WorkflowDetail
from millrace.app.workflows.lifecycle import Retelling
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("versions")

READ = [requires(Permission.WORKFLOW_READ)]
Writer = Annotated[Principal, requires(Permission.WORKFLOW_WRITE)]
NumberOrTag = Annotated[
    str | None, Query(min_length=1, max_length=64, description="The number or tag of a version, or newest.")
]


@router.get("/workflows/{workflow}/versions", dependencies=READ, responses={200: {"model": VersionPage}})
async def list_versions(workflow: str, container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """The versions of a workflow, newest first."""
    return page_answer(
        await named_page(container, await container.workflow_queries.versions(workflow, cursor=cursor, limit=limit))
    )


# A tag may hold slashes.
@router.get(
    "/workflows/{workflow}/versions/{version:path}",
    dependencies=READ,
    responses={200: {"model": VersionDetail}, **UNCHANGED},
)
async def get_version(
    workflow: str, version: str, container: Containers, if_none_match: IfNoneMatch = None
) -> Response:
    """One version with its definition. `{version}` is a number, else a tag, else `newest`."""
    shown, tag = await container.workflow_queries.version(workflow, version)
    return answer_unless_known(await named(container, shown), tag, if_none_match)


@router.patch(
    "/workflows/{workflow}/versions/{version:path}",
    responses={200: {"model": VersionDetail}},
    openapi_extra=request_body(VersionBody.model_json_schema(), {"tag": "1.0", "comment": "as released"}),
)
async def change_version(
    workflow: str, version: str, request: Request, container: Containers, caller: Writer, if_match: IfMatch
) -> Response:
    """Give a version another tag or comment; null takes it away. What the version does never changes."""
    body = await checked(request, VersionBody)
    told = Retelling(frozenset(body.model_fields_set), body.tag, body.comment, body.move)
    shown, tag = await container.workflow_lifecycle.retell(
        workflow, version, told, by=caller.user_id, if_match=if_match
    )
    return answer(await named(container, shown), headers={"ETag": tag})


@router.get("/workflows/{workflow}/diff", dependencies=READ, responses={200: {"model": DifferenceAnswer}})
async def compare_versions(
    workflow: str,
    container: Containers,
    old: Annotated[NumberOrTag, Query(alias="from")] = None,
    new: Annotated[NumberOrTag, Query(alias="to")] = None,
) -> Response:
    """What is different between two versions, by task and by field: by default the newest and the one before it."""
    found = await container.workflow_queries.difference(workflow, old, new)
    return answer(await named(container, found, "from", "to"))


@router.post(
    "/workflows/{workflow}/rollback",
    responses={200: {"model": WorkflowDetail}},
    openapi_extra=request_body(RollbackBody.model_json_schema(), {"version": 1, "comment": "orders were lost"}),
)
async def roll_back(
    workflow: str, request: Request, container: Containers, caller: Writer, if_match: IfMatch
) -> Response:
    """Make a new version that does what an older one did, and deploy it unless `deploy: false`."""
    body = await checked(request, RollbackBody)
    shown, tag = await container.workflow_lifecycle.rollback(
        workflow,
        str(body.version),
        by=caller.user_id,
        comment=body.comment,
        deploy=body.deploy,
        if_match=if_match,
    )
    return answer(await named(container, shown), headers={"ETag": tag})
