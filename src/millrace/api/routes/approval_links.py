"""The page behind a link for an approval: open to whoever has the link, since its signature is the credential.

Nothing changes by looking at it: mail programs and chats follow links by themselves. What is decided is posted, by the
page's own form or as JSON, and answered in kind.
"""

from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response

from millrace.api import approval_page, problems
from millrace.api.bodies import answer, checked, received
from millrace.api.deps import Containers
from millrace.api.masking import masker_of
from millrace.api.schemas.decisions import OpenDecisionBody
from millrace.app.decisions.deciding import Decision
from millrace.app.decisions.links import Opened
from millrace.app.decisions.views import approval_view
from millrace.auth.masked_documents import masked_document
from millrace.core.errors import InvalidRequest, MillraceError, Unreadable
from millrace.core.values import JsonObject

router = APIRouter()
"""Programs on its way add to a link what they like, and nothing of it is read: any query is taken."""

FORM_TYPE = "application/x-www-form-urlencoded"
MOST_FIELDS = 1_000


@router.get("/approvals/{token}", include_in_schema=False)
async def show(token: str, request: Request, container: Containers) -> Response:
    try:
        opened = await container.approval_links.open(token)
    except MillraceError as error:
        return _refused(request, error)
    return _page(approval_page.question(_shown(request, opened), opened.approved))


@router.post("/approvals/{token}", include_in_schema=False)
async def decide(token: str, request: Request, container: Containers) -> Response:
    # The signature before anything else: of a stranger not even the body is read.
    try:
        opened = await container.approval_links.open(token)
        if _media_type(request) == FORM_TYPE:
            return await _decided_by_form(token, request, container, opened)
        wanted = (await checked(request, OpenDecisionBody)).wanted()
        await container.approval_links.decide(token, wanted)
    except MillraceError as error:
        return _refused(request, error)
    return _told(opened, wanted)


async def _decided_by_form(token: str, request: Request, container: Containers, opened: Opened) -> Response:
    """A page either way: what was decided, or the question once more with what is wrong about the answer.

    A program that fills in the form and asks for JSON gets that.
    """
    given = _fields(await received(request))
    try:
        wanted = approval_page.wanted(opened.wait.form, given).wanted()
        await container.approval_links.decide(token, wanted)
    except InvalidRequest as error:
        if _wants_json(request):
            raise
        shown = _shown(request, opened)
        return _page(approval_page.question(shown, opened.approved, given, error.faults), 422)
    if _wants_json(request):
        return _told(opened, wanted)
    word = "approved" if wanted.approved else "rejected"
    return _page(approval_page.told(f"You have {word} it", "The run goes on by that. You can close this page."), 202)


def _fields(body: bytes) -> dict[str, str]:
    """Raises `Unreadable`."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict", strict_parsing=False
        )
    except ValueError:
        raise Unreadable("unreadable", "the body is no form of a page") from None
    # Browsers end lines as the network does; what was written had plain ends.
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def _shown(request: Request, opened: Opened) -> JsonObject:
    """The question without the values of known secrets: JSON loses them on its way out, and a page is none."""
    masked: JsonObject = orjson.loads(
        masked_document(orjson.dumps(approval_view(opened.wait)), masker_of(request.scope))
    )
    return masked


def _refused(request: Request, error: MillraceError) -> Response:
    """As a page for people; a program that sends JSON or asks for it gets a problem document."""
    by_form = request.method == "POST" and _media_type(request) == FORM_TYPE
    if _wants_json(request) or (not by_form and "text/html" not in request.headers.get("Accept", "")):
        return problems.of_error(error)
    return _page(approval_page.told("Nothing to decide here", error.message), problems.status_of(error))


def _wants_json(request: Request) -> bool:
    """Whether JSON is asked for, and no page."""
    accepted = request.headers.get("Accept", "").lower()
    return "json" in accepted and "text/html" not in accepted


def _told(opened: Opened, wanted: Decision) -> Response:
    return answer({"run_id": opened.wait.run_id, "path": opened.wait.path, "approved": wanted.approved}, 202)


def _media_type(request: Request) -> str:
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _page(page: str, status: int = 200) -> Response:
    headers = {"Content-Security-Policy": approval_page.POLICY, "X-Robots-Tag": "noindex"}
    return Response(page, status, headers, "text/html")
