"""The only routes that need no credentials: health, the look and its files, and the documentation of the API."""

import asyncio
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from millrace.api.bodies import answer
from millrace.api.deps import Containers
from millrace.api.schemas.system import Health, Problem, Readiness
from millrace.app.containers.container import Container
from millrace.core.errors import NotFound, Unavailable

router = APIRouter()
"""What browsers and load balancers open. They add what they like, and nothing of it is read: all take any query."""

READY_WITHIN = 2.0
"""Seconds in which the database must answer."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""Nothing inline and nothing from elsewhere: text that slipped into a page as markup could not do a thing."""

MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


@router.get("/health", tags=["system"], responses={200: {"model": Health}})
async def health() -> Response:
    """The process is alive."""
    return answer({"status": "ok"})


@router.get("/health/ready", tags=["system"], responses={200: {"model": Readiness}, 503: {"model": Problem}})
async def ready(container: Containers) -> Response:
    """The process can do its work: the database answers and can be written, and the artifact store can be used.

    Schedules that nobody acts on are told and do not make it unready: it can still take requests.
    """
    _refuse_in_trouble(container)
    try:
        async with asyncio.timeout(READY_WITHIN):
            await container.database.read(lambda connection: connection.exec_driver_sql("select 1").scalar())
    except TimeoutError:
        raise Unavailable("not_ready", f"the database did not answer within {READY_WITHIN:g} s") from None
    _refuse_in_trouble(container)
    overdue = container.triggers.overdue_watch.count
    return answer({"status": "ready", **({"overdue_schedules": overdue} if overdue else {})})


def _refuse_in_trouble(container: Container) -> None:
    if (trouble := container.database.trouble) is not None:
        raise Unavailable(trouble.code, trouble.message)
    if (store_trouble := container.object_store_watch.trouble) is not None:
        raise Unavailable("artifact_store_unavailable", store_trouble)


@router.get("/", include_in_schema=False)
async def look() -> Response:
    """The page itself holds nothing: all it shows it asks for with the key of whoever looks."""
    return _static("look.html")


@router.get("/static/{name}", include_in_schema=False)
async def static_file(name: str) -> Response:
    return _static(name)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    return answer(request.app.openapi(), headers={"Cache-Control": "no-cache"})


@router.get("/docs", include_in_schema=False)
@router.get("/redoc", include_in_schema=False)
async def docs() -> Response:
    return _static("docs.html")


def _static(name: str) -> Response:
    """A file of the page. Names are compared with those that are there, so none can lead out of the folder."""
    found = _static_files().get(name)
    if found is None:
        raise NotFound("not_found", "there is no such file")
    media_type = next(kind for ending, kind in MEDIA_TYPES.items() if name.endswith(ending))
    return Response(
        found, headers={"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}, media_type=media_type
    )


@cache
def _static_files() -> Mapping[str, bytes]:
    folder = files("millrace.api").joinpath("static")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(tuple(MEDIA_TYPES))}
