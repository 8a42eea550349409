"""Routes that test a workflow: with chosen tasks mocked, one task alone, or without doing anything."""

from typing import Any

from fastapi import Request, Response

from millrace.api.answers import started_answer
from millrace.api.bodies import checked, request_body
from millrace.api.deps import Containers, api_router
from millrace.api.routes.starts import Starter
from millrace.api.schemas.runs import RunView
from millrace.api.schemas.test_runs import TEST_EXAMPLE, DryRunBody, TestBody, Tested
from millrace.app.test_runs.starting import TestRequest
from millrace.core.values import JsonObject

router = api_router("workflows")


def _in_one_piece(model: type[Tested]) -> JsonObject:
    """The schema of a body, which is described without references."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs")
    mock = parts["MockBody"]
    mock["properties"]["fail"]["anyOf"][0] = parts["MockedFailure"]
    schema["properties"]["mocks"]["additionalProperties"] = mock
    return schema


_TESTED: dict[int | str, dict[str, Any]] = {202: {"model": RunView}, 200: {"model": RunView}}


@router.post(
    "/workflows/{workflow}/test",
    status_code=202,
    responses=_TESTED,
    openapi_extra=request_body(_in_one_piece(TestBody), TEST_EXAMPLE, required=False),
)
async def start_test_run(workflow: str, request: Request, container: Containers, caller: Starter) -> Response:
    """Start a test run: tasks that are mocked are not done, the others are. 200 when it was waited for and has ended.

    Also of a workflow that takes no starts, but of no archived one. Its end fires no trigger, and it cannot be
    repeated.
    """
    body = await checked(request, TestBody)
    started = await container.tests.runs.start(workflow, _wanted(body), by=caller.user_id)
    return await started_answer(request, container, started, body)


def _wanted(body: TestBody | DryRunBody) -> TestRequest:
    version = None if body.version is None else str(body.version)
    return TestRequest(body.asked(), input=body.input, variables=body.variables, version=version)
