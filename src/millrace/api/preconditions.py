"""`If-Match` and `If-None-Match`: whether a workflow is still the one that the caller has seen."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from millrace.api.bodies import answer
from millrace.app.workflows.repository import WorkflowRow
from millrace.app.workflows.views import etag

Matcher = Callable[[WorkflowRow], bool] | None


async def if_match(
    if_match: Annotated[
        str | None,
        Header(
            description="An ETag: refused if anything about the workflow has changed since. Or the number of the "
            "version that this changes: refused if there is a newer one."
        ),
    ] = None,
) -> Matcher:
    """Whether a workflow is what the header names: by an ETag, by the bare number of a version, or `*` for any."""
    if if_match is None:
        return None

    def matches(workflow: WorkflowRow) -> bool:
        return _names(if_match, etag(workflow)) or if_match.strip().strip('"') == str(workflow.newest_version)

    return matches


IfMatch = Annotated[Matcher, Depends(if_match)]
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller has it already: nothing is sent."}}
"""Of routes that take `If-None-Match`."""

IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match")]


def answer_unless_known(content: object, tag: str, if_none_match: str | None) -> Response:
    """The answer with its ETag; 304 without a body when the caller has it already."""
    if if_none_match is not None and _names(if_none_match, tag):
        return Response(status_code=304, headers={"ETag": tag})
    return answer(content, headers={"ETag": tag})


def _names(header: str, tag: str) -> bool:
    """Whether a list of ETags names `tag`. A proxy that compresses makes a tag weak; it still means the same state."""
    named = {part.strip().removeprefix("W/") for part in header.split(",")}
    return "*" in named or tag in named
