"""Routes about canaries: a second version takes a share of the triggered runs, and both are compared."""

from typing import Annotated

from fastapi import Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.naming import named, named_page
from millrace.api.preconditions import IfMatch
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.canaries import CanaryBody, CanaryDetail, CanaryPage, PromoteBody
from millrace.api.schemas.versions import DeployedAnswer
from millrace.app.canary.views import HUNDREDTHS
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("deployments")

READ = [requires(Permission.WORKFLOW_READ)]
Writer = Annotated[Principal, requires(Permission.WORKFLOW_WRITE)]

BODY = request_body(CanaryBody.model_json_schema(), {"version": 3, "share": 10})
PROMOTE_BODY = request_body(PromoteBody.model_json_schema(), {"comment": "no failures in a day"}, required=False)


@router.get("/workflows/{workflow}/canary", dependencies=READ, responses={200: {"model": CanaryDetail}})
async def get_canary(workflow: str, container: Containers) -> Response:
    """The version that is being tried out beside the deployed one, and how both did since it began."""
    return answer(await named(container, await container.canary_queries.live(workflow)))


@router.put("/workflows/{workflow}/canary", responses={200: {"model": CanaryDetail}}, openapi_extra=BODY)
async def set_canary(
    workflow: str, request: Request, container: Containers, caller: Writer, if_match: IfMatch
) -> Response:
    """Let a second version take a share of the runs that triggers start. Explicit starts take the deployed one.

    The triggers are those of the deployed version. Which runs it takes follows from what starts them, and a larger
    share takes all that a smaller one would. It takes the place of another canary; the same version again changes only
    the share. It ends when it is promoted or stopped, and by itself when another version is deployed.
    """
    body = await checked(request, CanaryBody)
    workflow_id, canary_id, tag = await container.canary_commands.set(
        workflow, str(body.version), round(body.share * HUNDREDTHS), by=caller.user_id, if_match=if_match
    )
    shown = await container.canary_queries.get(workflow_id, canary_id)
    return answer(await named(container, shown), headers={"ETag": tag})


@router.delete("/workflows/{workflow}/canary", responses={200: {"model": CanaryDetail}})
async def stop_canary(workflow: str, container: Containers, caller: Writer, if_match: IfMatch) -> Response:
    """End the trial: the deployed version takes all triggered runs again. Runs under way go on."""
    workflow_id, canary_id, tag = await container.canary_commands.stop(workflow, by=caller.user_id, if_match=if_match)
    shown = await container.canary_queries.get(workflow_id, canary_id)
    return answer(await named(container, shown), headers={"ETag": tag})


@router.post(
    "/workflows/{workflow}/canary/promote", responses={200: {"model": DeployedAnswer}}, openapi_extra=PROMOTE_BODY
)
async def promote_canary(
    workflow: str, request: Request, container: Containers, caller: Writer, if_match: IfMatch
) -> Response:
    """Deploy the version that is the canary: it takes all runs from now on, and its triggers fire."""
    body = await checked(request, PromoteBody)
    shown, tag = await container.workflow_lifecycle.promote(
        workflow, by=caller.user_id, message=body.comment, if_match=if_match
    )
    deployed = await container.deployment_queries.deployed(str(shown["id"]))
    return answer(await named(container, deployed, "version", "deployment"), headers={"ETag": tag})


@router.get("/workflows/{workflow}/canaries", dependencies=READ, responses={200: {"model": CanaryPage}})
async def list_canaries(workflow: str, container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """The canaries of a workflow, newest first, and how they ended."""
    return page_answer(
        await named_page(container, await container.canary_queries.list(workflow, cursor=cursor, limit=limit))
    )


@router.get("/workflows/{workflow}/canaries/{canary}", dependencies=READ, responses={200: {"model": CanaryDetail}})
async def get_canary_by_id(workflow: str, canary: str, container: Containers) -> Response:
    """A canary by its id, also one that has ended: how both versions did meanwhile, as far as the runs are kept."""
    return answer(await named(container, await container.canary_queries.get(workflow, canary)))
