"""Routes that test a workflow: with chosen tasks mocked, one task alone, or without doing anything."""

from typing import Any

from fastapi import Request, Response

from millrace.api.answers import started_answer
from millrace.api.bodies import answer, checked, request_body
from millrace.api.deps import Containers, api_router
from millrace.api.routes.starts import Starter
from millrace.api.schemas.runs import RunView
from millrace.api.schemas.test_runs import DRY_RUN_EXAMPLE, TEST_EXAMPLE, DryRunBody, DryRunView, TestBody, Tested
from millrace.app.test_runs.starting import TestRequest
from millrace.core.values import JsonObject

router = api_router("workflows")


def _in_one_piece(model: type[Tested]) -> JsonObject:
    """The schema of a body, which is described without references."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs")

    def whole(part: Any) -> Any:
        if isinstance(part, list):
            return [whole(one) for one in part]
        if not isinstance(part, dict):
            return part
        referred = parts[part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
        return {name: whole(value) for name, value in {**referred, **part}.items() if name != "$ref"}

    found: JsonObject = whole(schema)
    return found


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


@router.post(
    "/workflows/{workflow}/dry-run",
    responses={200: {"model": DryRunView}},
    openapi_extra=request_body(_in_one_piece(DryRunBody), DRY_RUN_EXAMPLE, required=False),
)
async def dry_run(workflow: str, request: Request, container: Containers, caller: Starter) -> Response:
    """What a run would do: its tasks in order, each with its config as far as that is known before the run.

    Nothing is stored and nothing started; no secret is read. What is not mocked is taken to go well, and what it comes
    to is not known.
    """
    body = await checked(request, DryRunBody)
    told = container.tests.dry_runs.of(workflow, _wanted(body), by=caller.user_id, iterations=body.iterations)
    return answer(await told)


def _wanted(body: TestBody | DryRunBody) -> TestRequest:
    version = None if body.version is None else str(body.version)
    return TestRequest(body.asked(), input=body.input, variables=body.variables, version=version)
