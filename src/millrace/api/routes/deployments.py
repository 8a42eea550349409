"""Routes about what of a workflow is in use: enable and disable it, deploy and undeploy versions, the records."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires, sees
from millrace.api.naming import named, named_page
from millrace.api.preconditions import IfMatch
from millrace.api.queries import Cursor, Limit, Words, words
from millrace.api.schemas.versions import DeployBody, DeployedAnswer, DeploymentPage
from millrace.api.schemas.workflows import WorkflowDetail
from millrace.app.containers.container import Container
from millrace.app.deployments.repository import DeploymentFilter
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.auth.sight import Sight

router = api_router("deployments")

READ = [requires(Permission.WORKFLOW_READ)]
Seeing = Annotated[Sight | None, sees(Permission.WORKFLOW_READ)]
Writer = Annotated[Principal, requires(Permission.WORKFLOW_WRITE)]

ACTIONS = ("deploy", "undeploy", "rollback")
OUTCOMES = ("succeeded", "failed")
DEPLOY_BODY = request_body(DeployBody.model_json_schema(), {"version": 3, "comment": "release"}, required=False)


@router.post("/workflows/{workflow}/enable", responses={200: {"model": WorkflowDetail}})
async def enable_workflow(workflow: str, container: Containers, caller: Writer, if_match: IfMatch) -> Response:
    """Make a workflow active: its triggers start runs. Its newest version is deployed if none is."""
    shown, tag = await container.workflow_lifecycle.enable(workflow, by=caller.user_id, if_match=if_match)
    return answer(await named(container, shown), headers={"ETag": tag})


@router.post("/workflows/{workflow}/disable", responses={200: {"model": WorkflowDetail}})
async def disable_workflow(workflow: str, container: Containers, caller: Writer, if_match: IfMatch) -> Response:
    """Pause a workflow: its triggers are silent, explicit starts still work."""
    shown, tag = await container.workflow_lifecycle.disable(workflow, by=caller.user_id, if_match=if_match)
    return answer(await named(container, shown), headers={"ETag": tag})


@router.get("/workflows/{workflow}/deploy", dependencies=READ, responses={200: {"model": DeployedAnswer}})
async def get_deployed(workflow: str, container: Containers) -> Response:
    """The version that is deployed: the one that triggers start, and explicit starts that name none."""
    return await _deployed(container, workflow)


@router.post("/workflows/{workflow}/deploy", responses={200: {"model": DeployedAnswer}}, openapi_extra=DEPLOY_BODY)
@router.put("/workflows/{workflow}/deploy", responses={200: {"model": DeployedAnswer}}, openapi_extra=DEPLOY_BODY)
async def deploy_version(
    workflow: str, request: Request, container: Containers, caller: Writer, if_match: IfMatch
) -> Response:
    """Deploy a version, by number or tag; the newest if none is named. A draft becomes active."""
    body = await checked(request, DeployBody)
    shown, tag = await container.workflow_lifecycle.deploy(
        workflow,
        None if body.version is None else str(body.version),
        by=caller.user_id,
        message=body.comment,
        if_match=if_match,
    )
    return await _deployed(container, str(shown["id"]), tag)


@router.delete("/workflows/{workflow}/deploy", responses={200: {"model": DeployedAnswer}})
async def undeploy_workflow(workflow: str, container: Containers, caller: Writer, if_match: IfMatch) -> Response:
    """Take back what is deployed: no trigger of the workflow fires until a version is deployed again."""
    shown, tag = await container.workflow_lifecycle.undeploy(workflow, by=caller.user_id, if_match=if_match)
    return await _deployed(container, str(shown["id"]), tag)


@router.get("/workflows/{workflow}/deployments", dependencies=READ, responses={200: {"model": DeploymentPage}})
async def list_deployments_of_workflow(
    workflow: str, container: Containers, action: Words, outcome: Words, cursor: Cursor = None, limit: Limit = 50
) -> Response:
    """The deployments of a workflow, newest first."""
    narrow = DeploymentFilter(
        await container.workflow_queries.id_of(workflow),
        words("action", action, ACTIONS),
        words("outcome", outcome, OUTCOMES),
    )
    return page_answer(
        await named_page(container, await container.deployment_queries.list(narrow, cursor=cursor, limit=limit))
    )


@router.get("/deployments", responses={200: {"model": DeploymentPage}})
async def list_deployments(
    container: Containers,
    sight: Seeing,
    action: Words,
    outcome: Words,
    workflow: Annotated[str | None, Query(description="Id, name or slug of a workflow.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """What was deployed, undeployed and rolled back, newest first; what failed, too."""
    narrow = DeploymentFilter(
        None if workflow is None else await container.workflow_queries.id_of(workflow, sight),
        words("action", action, ACTIONS),
        words("outcome", outcome, OUTCOMES),
        sight,
    )
    return page_answer(
        await named_page(container, await container.deployment_queries.list(narrow, cursor=cursor, limit=limit))
    )


async def _deployed(container: Container, workflow: str, tag: str | None = None) -> Response:
    headers = {} if tag is None else {"ETag": tag}
    shown = await container.deployment_queries.deployed(workflow)
    return answer(await named(container, shown, "version", "deployment"), headers=headers)
