"""Routes about artifacts: the files that tasks wrote and users sent."""

from typing import Annotated, Any, Literal

from fastapi import Header, Query, Request, Response
from starlette.requests import ClientDisconnect

from millrace.api.bodies import answer, page_answer
from millrace.api.deps import Containers, allowed_with_any, api_router, requires, sees
from millrace.api.files import download
from millrace.api.naming import named, named_page
from millrace.api.queries import Cursor, Limit
from millrace.api.schemas.artifacts import ArtifactPage, ArtifactView
from millrace.app.artifacts.commands import UploadRequest
from millrace.app.artifacts.repository import ArtifactFilter
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal
from millrace.auth.sight import Sight
from millrace.core.durations import PERIOD_REMEDY, parse_period
from millrace.core.errors import Fault, InvalidRequest, Unreadable
from millrace.core.values import Duration
from millrace.ports.artifacts import ANY_BYTES

router = api_router("artifacts")

READ = [requires(Permission.ARTIFACT_READ)]
Seeing = Annotated[Sight | None, sees(Permission.ARTIFACT_READ)]
Uploader = Annotated[Principal, allowed_with_any(Permission.ARTIFACT_UPLOAD)]

BYTES: dict[str, Any] = {ANY_BYTES: {"schema": {"type": "string", "format": "binary"}}}


@router.get("/artifacts", responses={200: {"model": ArtifactPage}})
async def list_artifacts(
    container: Containers,
    sight: Seeing,
    run: Annotated[str | None, Query(description="Only files that tasks of this run wrote.")] = None,
    name: Annotated[str | None, Query(description="Part of the name, in any case of letters.")] = None,
    origin: Annotated[Literal["upload", "task"] | None, Query(description="Who made it.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List artifacts, newest first."""
    narrow = ArtifactFilter(run, name, None if origin is None else origin == "upload", sight)
    return page_answer(await named_page(container, await container.artifacts.list(narrow, cursor=cursor, limit=limit)))


@router.get("/runs/{run}/artifacts", dependencies=READ, responses={200: {"model": ArtifactPage}})
async def list_artifacts_of_run(run: str, container: Containers, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """The files that the tasks of a run wrote, newest first."""
    await container.run_queries.head(run)
    return page_answer(
        await named_page(container, await container.artifacts.list(ArtifactFilter(run), cursor=cursor, limit=limit))
    )


@router.post(
    "/artifacts",
    status_code=201,
    responses={201: {"model": ArtifactView}},
    openapi_extra={"requestBody": {"required": True, "content": BYTES}},
)
async def upload_artifact(
    request: Request,
    container: Containers,
    caller: Uploader,
    name: Annotated[str, Query(description="Its file name.", examples=["orders.csv"])],
    expires_in: Annotated[str, Query(description="How long it is kept: 12h, 30d, or never.")] = "never",
) -> Response:
    """Send a file: the body as it is, its media type as `Content-Type`. The answer has the reference for tasks."""
    media_type = request.headers.get("Content-Type", ANY_BYTES)
    upload = UploadRequest(name, media_type, _lifetime(expires_in), caller.user_id)
    try:
        shown = await container.artifacts.upload(upload, request.stream())
    except ClientDisconnect:
        raise Unreadable("incomplete", "the connection ended before the file did") from None
    return answer(await named(container, shown), 201, {"Location": f"/api/v1/artifacts/{shown['id']}"})


@router.get("/artifacts/{artifact}", dependencies=READ, responses={200: {"model": ArtifactView}})
async def get_artifact(artifact: str, container: Containers) -> Response:
    """What is known of an artifact."""
    return answer(await named(container, await container.artifacts.get(artifact)))


@router.get(
    "/artifacts/{artifact}/content",
    dependencies=READ,
    responses={200: {"content": BYTES}, 206: {"content": BYTES, "description": "The part that was asked for."}},
)
async def get_artifact_content(
    artifact: str,
    container: Containers,
    wanted: Annotated[str | None, Header(alias="Range", description="A part: bytes=0-1023.")] = None,
    if_range: Annotated[str | None, Header(description="The part only if the file still has this ETag.")] = None,
) -> Response:
    """The file itself, as a download. Of several ranges in one request the whole file is the answer."""
    found = await container.artifacts.download(artifact)
    return download(found.name, found.size, found.sha256, found.parts, wanted=wanted, if_range=if_range)


@router.delete("/artifacts/{artifact}", status_code=204, dependencies=[requires(Permission.ARTIFACT_DELETE)])
async def delete_artifact(artifact: str, container: Containers) -> Response:
    """Delete an artifact; a task that is given its reference later fails."""
    await container.artifacts.delete(artifact)
    return Response(status_code=204)


def _lifetime(text: str) -> Duration | None:
    try:
        return parse_period(text)
    except ValueError as error:
        fault = Fault("query.expires_in", "period", str(error), PERIOD_REMEDY)
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault]) from None
