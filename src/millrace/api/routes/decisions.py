"""Routes about what waits for people: the list of it, decisions, and links by which others decide."""

from typing import Annotated

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires, sees
from millrace.api.keys import IdempotencyKey, one_key
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.decisions import (
    DECISION_EXAMPLE,
    LINK_EXAMPLE,
    ApprovalPage,
    DecisionAnswer,
    DecisionBody,
    LinkBody,
    LinkView,
)
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.auth.sight import Sight
from millrace.core.values import to_iso

router = api_router("runs")

READ = [requires(Permission.RUN_READ)]
Seeing = Annotated[Sight | None, sees(Permission.RUN_READ)]
Decider = Annotated[Principal, requires(Permission.RUN_DECIDE)]


@router.get("/approvals", responses={200: {"model": ApprovalPage}})
async def list_approvals(
    container: Containers,
    sight: Seeing,
    workflow: Annotated[str | None, Query(description="Id, name or slug of a workflow.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List the tasks of all runs that wait for a decision, those first that have waited longest."""
    workflow_id = None if workflow is None else await container.workflow_queries.id_of_runs(workflow, sight)
    return page_answer(await container.approval_queries.list(workflow_id, sight=sight, cursor=cursor, limit=limit))


@router.post(
    "/runs/{run}/tasks/{path:path}/decision",
    status_code=202,
    responses={202: {"model": DecisionAnswer}},
    openapi_extra=request_body(DecisionBody.model_json_schema(), DECISION_EXAMPLE),
)
async def decide(
    run: str,
    path: str,
    request: Request,
    container: Containers,
    caller: Decider,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Approve or reject what a task of type `approval` asks. 409 `not_waiting` if it waits for no decision."""
    body = await checked(request, DecisionBody)
    key, wanted = one_key(idempotency_key, body.idempotency_key), body.wanted()
    await container.decisions.decide(run, path, wanted, by=caller.user_id, key=key)
    return answer({"run_id": run, "path": path, "approved": wanted.approved}, 202)


@router.post(
    "/runs/{run}/tasks/{path:path}/approval-link",
    status_code=201,
    responses={201: {"model": LinkView}},
    openapi_extra=request_body(LinkBody.model_json_schema(), LINK_EXAMPLE, required=False),
)
async def make_approval_link(run: str, path: str, request: Request, container: Containers, caller: Decider) -> Response:
    """Make a link by which somebody without an account decides, once, in the name of who made it."""
    body = await checked(request, LinkBody)
    approved = None if body.decision is None else body.decision == "approve"
    link = await container.approval_links.make(run, path, by=caller, lifetime=body.lifetime(), approved=approved)
    base = container.settings.public_url or str(request.base_url).rstrip("/")
    shown = {"url": f"{base}/approvals/{link.token}", "expires_at": to_iso(link.expires_at), "decision": body.decision}
    return answer(shown, 201)
