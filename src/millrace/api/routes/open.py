"""The only routes that need no credentials: health, and the documentation of the API. SPEC R2 lists them exactly."""

import asyncio
import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from millrace.api.bodies import answer
from millrace.api.deps import Containers
from millrace.api.schemas.system import Health, Problem
from millrace.core.errors import Unavailable

router = APIRouter()

READY_WITHIN = 2.0
"""Seconds in which the database must answer."""


@router.get("/health", tags=["system"], responses={200: {"model": Health}})
async def health() -> Response:
    """The process is alive."""
    return answer({"status": "ok"})


@router.get("/health/ready", tags=["system"], responses={200: {"model": Health}, 503: {"model": Problem}})
async def ready(container: Containers) -> Response:
    """The process can do its work: the database answers."""
    try:
        async with asyncio.timeout(READY_WITHIN):
            await container.database.read(lambda connection: connection.exec_driver_sql("select 1").scalar())
    except TimeoutError:
        raise Unavailable("not_ready", f"the database did not answer within {READY_WITHIN:g} s") from None
    return answer({"status": "ready"})


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    return answer(request.app.openapi(), headers={"Cache-Control": "no-cache"})


@router.get("/docs", include_in_schema=False)
@router.get("/redoc", include_in_schema=False)
async def docs() -> Response:
    page, policy = _docs_page()
    return Response(page, headers={"Content-Security-Policy": policy}, media_type="text/html")


@cache
def _docs_page() -> tuple[str, str]:
    """The page, and a content policy that lets exactly its own script and style run: nothing comes from elsewhere."""
    page = files("millrace.api").joinpath("docs.html").read_text(encoding="utf-8")
    script, style = (_hash_of(page, tag) for tag in ("script", "style"))
    policy = f"default-src 'none'; script-src {script}; style-src {style}; connect-src 'self'; frame-ancestors 'none'"
    return page, policy


def _hash_of(page: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert found is not None, f"the page has one {tag}"  # noqa: S101
    return f"'sha256-{base64.b64encode(hashlib.sha256(found.group(1).encode()).digest()).decode()}'"
