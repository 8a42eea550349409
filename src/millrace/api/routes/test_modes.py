"""Routes about the test mode of a workflow: say that it is on or off, take that back, see what holds."""

from typing import Annotated

from fastapi import Request, Response

from millrace.api.bodies import answer, checked, request_body
from millrace.api.deps import Containers, api_router, requires
from millrace.api.schemas.test_modes import TestModeBody, TestModeView
from millrace.app.test_mode.instructions import OwnMode
from millrace.auth.permissions import Permission
from millrace.auth.principal import Principal

router = api_router("workflows")

READ = [requires(Permission.WORKFLOW_READ)]
Writer = Annotated[Principal, requires(Permission.WORKFLOW_WRITE)]

BODY = request_body(TestModeBody.model_json_schema(), {"on": True, "recipient": "ops@example.com"})


@router.get("/workflows/{workflow}/test-mode", dependencies=READ, responses={200: {"model": TestModeView}})
async def get_test_mode(workflow: str, container: Containers) -> Response:
    """Whether triggers of the workflow send an e-mail when they fire, to whom, and whether runs start."""
    return answer(await container.triggers.test_mode_commands.show(workflow))


@router.put("/workflows/{workflow}/test-mode", responses={200: {"model": TestModeView}}, openapi_extra=BODY)
async def set_test_mode(workflow: str, request: Request, container: Containers, caller: Writer) -> Response:
    """Turn test mode on or off for a workflow, whatever the settings say. It holds for whatever fires from now on."""
    body = await checked(request, TestModeBody)
    said = OwnMode(body.on, body.recipient, body.skip_execution)
    return answer(await container.triggers.test_mode_commands.set(workflow, said, by=caller.user_id))


@router.delete("/workflows/{workflow}/test-mode", responses={200: {"model": TestModeView}})
async def clear_test_mode(workflow: str, container: Containers, caller: Writer) -> Response:
    """Let the workflow be as the settings say again."""
    return answer(await container.triggers.test_mode_commands.clear(workflow, by=caller.user_id))
