"""Routes about the audit log: who did what, when and from where. They read, and verify; nothing here changes it."""

from typing import Annotated, Any

from fastapi import Query, Request, Response
from starlette.responses import StreamingResponse

from millrace.api.audit_files import MEDIA_TYPES, Form, parts
from millrace.api.bodies import answer, checked, page_answer, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.masking import masker_of
from millrace.api.queries import Cursor, Limit, Moment, instant, known_word
from millrace.api.schemas.audit import VERIFY_EXAMPLE, AuditPage, AuditVerdict, AuditVerification
from millrace.app.audit.listing.repository import AuditFilter
from millrace.app.audit.repository import Link
from millrace.app.audit.verifying import Verdict
from millrace.auth.audit.actions import RUN_START, Action
from millrace.auth.permissions import Permission
from millrace.core.values import JsonObject

router = api_router("audit")

READ = [requires(Permission.AUDIT_READ)]
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in MEDIA_TYPES.values()}}
}
ACTIONS = sorted([*(action.value for action in Action), RUN_START])
ENTITIES = sorted({action.partition(".")[0] for action in ACTIONS})

Entity = Annotated[str | None, Query(description="Such as workflow, run, user or secret.")]
EntityId = Annotated[
    str | None,
    Query(max_length=512, description="Only of this one, by id; secrets, connections and workflows also by name."),
]
Actor = Annotated[
    str | None,
    Query(max_length=320, description="Only what this user did: id, e-mail address or name."),
]
ActionWord = Annotated[str | None, Query(description="Such as workflow.deploy, login.fail or run.start.")]
From = Annotated[Moment, Query(alias="from", description="Not before this moment: 2026-03-29T01:00:00Z.")]
To = Annotated[Moment, Query(alias="to", description="Before this moment.")]


@router.get("/audit-logs", dependencies=READ, responses={200: {"model": AuditPage}})
async def list_audit_logs(
    container: Containers,
    entity: Entity = None,
    entity_id: EntityId = None,
    actor: Actor = None,
    action: ActionWord = None,
    since: From = None,
    until: To = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Changes and starts of runs, newest first."""
    narrow = _filter(entity, entity_id, actor, action, since, until)
    return page_answer(await container.audit.queries.list(narrow, cursor=cursor, limit=limit))


@router.get("/audit-logs/export", dependencies=READ, responses=CONTENT)
async def export_audit_logs(
    request: Request,
    container: Containers,
    format: Annotated[str, Query(description="jsonl or csv.")] = "jsonl",
    entity: Entity = None,
    entity_id: EntityId = None,
    actor: Actor = None,
    action: ActionWord = None,
    since: From = None,
    until: To = None,
) -> Response:
    """All that the list has, newest first, as one file."""
    form: Form = "csv" if known_word("query.format", format, MEDIA_TYPES) == "csv" else "jsonl"
    narrow = _filter(entity, entity_id, actor, action, since, until)
    pages = container.audit.queries.pages(narrow)
    headers = {"Content-Disposition": f'attachment; filename="audit-log.{form}"'}
    # What is wrong with the request, or with the database, is an answer only as long as nothing was sent.
    sent = parts(await anext(pages), pages, form, masker_of(request.scope))
    return StreamingResponse(sent, headers=headers, media_type=MEDIA_TYPES[form])


@router.post(
    "/audit-logs/verify",
    dependencies=READ,
    responses={200: {"model": AuditVerdict}},
    openapi_extra=request_body(AuditVerification.model_json_schema(), VERIFY_EXAMPLE, required=False),
)
async def verify_audit_logs(request: Request, container: Containers) -> Response:
    """Follow the chain of seals from its beginning: whether anything was changed, taken away or put in."""
    body = await checked(request, AuditVerification)
    wanted = None
    if body.head is not None:
        seq, _, hash_ = body.head.partition(":")
        wanted = Link(int(seq), hash_)
    return answer(_shown(await container.audit.verifier.verify(wanted)))


def _filter(
    entity: str | None, entity_id: str | None, actor: str | None, action: str | None, since: Moment, until: Moment
) -> AuditFilter:
    return AuditFilter(
        entity=known_word("query.entity", entity, ENTITIES),
        entity_id=entity_id,
        actor_id=actor,
        action=known_word("query.action", action, ACTIONS),
        since=instant(since),
        until=instant(until),
    )


def _shown(verdict: Verdict) -> JsonObject:
    broken, head = verdict.broken, verdict.head
    return {
        "ok": broken is None and verdict.holds_head is not False,
        "checked": verdict.checked,
        "erased": verdict.erased,
        "head": f"{head.seq}:{head.hash}" if head.seq else None,
        "begins_after": verdict.begins_after,
        "unsealed": verdict.unsealed,
        "broken": None
        if broken is None
        else {"seq": broken.seq, "id": broken.row_id, "how": broken.how, "message": broken.message},
        "head_found": verdict.holds_head,
    }
