"""Routes about retention: how long what is kept, what would go, and a round on request."""

from fastapi import Request, Response

from millrace.api.bodies import answer, checked, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.schemas.retention import RetentionPreview, RetentionRequest, RetentionStarted, RetentionView
from millrace.app.retention.queries import round_view
from millrace.auth.permissions import Permission

router = api_router("retention")


@router.get("/retention", dependencies=[requires(Permission.RETENTION_READ)], responses={200: {"model": RetentionView}})
async def show_retention(container: Containers) -> Response:
    """How long what is kept, and the rounds of deleting that are under way and were last."""
    return answer(await container.retention_queries.show())


@router.post(
    "/retention/run",
    status_code=202,
    dependencies=[requires(Permission.RETENTION_RUN)],
    responses={200: {"model": RetentionPreview}, 202: {"model": RetentionStarted}},
    openapi_extra=request_body(RetentionRequest.model_json_schema(), {"dry_run": True}, required=False),
)
async def run_retention(request: Request, container: Containers) -> Response:
    """Delete in the background what has been kept long enough (202), or only say what that would be (200)."""
    asked = await checked(request, RetentionRequest)
    if asked.dry_run:
        return answer(await container.retention_queries.preview())
    return answer({"dry_run": False, "round": round_view(await container.retention.ask())}, 202)
