"""Routes about webhooks: those that stand in no definition are made, changed and deleted here; all are shown."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, allowed_with_any, api_router, requires, sees
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.webhooks import CHANGE_EXAMPLE, WEBHOOK_EXAMPLE, WebhookDetail, WebhookPage
from millrace.app.grants.rights import WORKFLOW, Subject
from millrace.app.webhooks.bodies import WebhookBody, WebhookChange
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.auth.sight import Sight

router = api_router("webhooks")

READ = [requires(Permission.TRIGGER_READ)]
Seeing = Annotated[Sight | None, sees(Permission.TRIGGER_READ)]
Maker = Annotated[Principal, allowed_with_any(Permission.WORKFLOW_WRITE)]
WRITE = [requires(Permission.WORKFLOW_WRITE)]


def _schema(model: type[WebhookChange]) -> dict[str, Any]:
    """Its parts are those of the config of a trigger, which the schema of definitions has already."""
    schema = model.model_json_schema(ref_template="#/components/schemas/WebhookTriggerConfig.{model}")
    schema.pop("$defs")
    return schema


CHANGE_BODY = request_body(_schema(WebhookChange), CHANGE_EXAMPLE)


@router.get("/webhooks", responses={200: {"model": WebhookPage}})
async def list_webhooks(
    container: Containers,
    sight: Seeing,
    workflow: Annotated[str | None, Query(description="Id, name or slug of a workflow.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List webhooks, also those of definitions, in the order in which they were made."""
    workflow_id = None if workflow is None else await container.workflow_queries.id_of(workflow, sight)
    return page_answer(
        await container.triggers.webhook_queries.list(workflow_id, cursor=cursor, limit=limit, sight=sight)
    )


@router.post(
    "/webhooks",
    status_code=201,
    responses={201: {"model": WebhookDetail}},
    openapi_extra=request_body(_schema(WebhookBody), WEBHOOK_EXAMPLE),
)
async def create_webhook(request: Request, container: Containers, caller: Maker) -> Response:
    """Make a webhook beside the definition of its workflow. A path that another one has is refused with its owner.

    A secret that it names and that is not there yet is told in `warnings`; until there is one, it takes no requests.
    """
    body = await checked(request, WebhookBody)
    subject = Subject(WORKFLOW, body.workflow_id)
    meant = await container.rights.require(caller, Permission.WORKFLOW_WRITE, subject)
    webhook_id = await container.triggers.webhook_commands.create(body.model_copy(update={"workflow_id": meant}))
    shown = await container.triggers.webhook_queries.get(webhook_id)
    return answer(shown, 201, {"Location": f"/api/v1/webhooks/{webhook_id}"})


@router.get("/webhooks/{webhook}", dependencies=READ, responses={200: {"model": WebhookDetail}})
async def get_webhook(webhook: str, container: Containers) -> Response:
    """One webhook: where it takes requests, from whom, and what came of them."""
    return answer(await container.triggers.webhook_queries.get(webhook))


@router.patch(
    "/webhooks/{webhook}", dependencies=WRITE, responses={200: {"model": WebhookDetail}}, openapi_extra=CHANGE_BODY
)
async def change_webhook(webhook: str, request: Request, container: Containers) -> Response:
    """Change the fields that are given; null takes one out."""
    body = await checked(request, WebhookChange)
    await container.triggers.webhook_commands.change(webhook, body, replace_all=False)
    return answer(await container.triggers.webhook_queries.get(webhook))


@router.put(
    "/webhooks/{webhook}", dependencies=WRITE, responses={200: {"model": WebhookDetail}}, openapi_extra=CHANGE_BODY
)
async def replace_webhook(webhook: str, request: Request, container: Containers) -> Response:
    """The same, and fields that are not given are as if they had never been. It keeps its name, and a path that was
    made up."""
    body = await checked(request, WebhookChange)
    await container.triggers.webhook_commands.change(webhook, body, replace_all=True)
    return answer(await container.triggers.webhook_queries.get(webhook))


@router.delete("/webhooks/{webhook}", status_code=204, dependencies=WRITE)
async def delete_webhook(webhook: str, container: Containers) -> Response:
    """Delete a webhook. Its path is free from then on; runs that it has started go on."""
    await container.triggers.webhook_commands.delete(webhook)
    return Response(status_code=204)
