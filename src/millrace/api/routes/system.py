"""Routes about the installation: task types, the definition's schema, workers, doctor, settings."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query, Request, Response

from millrace.api.bodies import answer
from millrace.api.deps import Containers, allowed, api_router, requires
from millrace.api.presence import while_present
from millrace.api.progress import LINES, ProgressAnswer, wants_progress
from millrace.api.schemas.system import DoctorReport, SettingPage, TaskTypePage, WorkerPage
from millrace.auth.permissions import Permission
from millrace.config import settings_table
from millrace.definition import definition_json_schema

router = api_router("system")

DOCTOR_LINE = {
    "type": "object",
    "description": "One JSON document a line: `progress` when a check begins, in the last line `answer`.",
    "properties": {
        "progress": {
            "type": "object",
            "properties": {"check": {"type": "string"}, "number": {"type": "integer"}, "of": {"type": "integer"}},
        },
        "answer": {"$ref": "#/components/schemas/DoctorReport"},
    },
}
DOCTOR_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": DoctorReport, "content": {LINES: {"schema": DOCTOR_LINE}}}
}

READ = [allowed(Permission.WORKFLOW_READ)]


@router.get("/task-types", dependencies=READ, responses={200: {"model": TaskTypePage}})
async def list_task_types(container: Containers) -> Response:
    """The task types of this installation, where they come from and what their `config` takes; also those that cannot
    be used, with the reason."""
    return answer({"items": container.task_types.list(), "next_cursor": None})


@router.get("/definition-schema", dependencies=READ)
async def get_definition_schema(container: Containers) -> Response:
    """JSON Schema of definitions, for editors."""
    return answer(definition_json_schema(container.runners.types(), container.triggers.types))


@router.get("/workers", dependencies=[requires(Permission.WORKER_READ)], responses={200: {"model": WorkerPage}})
async def list_workers(
    container: Containers,
    live: Annotated[bool, Query(description="Only those that live.")] = True,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """The workers of this installation, newest first."""
    return answer(await container.worker_queries.list(live_only=live, limit=limit))


@router.get("/doctor", dependencies=[requires(Permission.DOCTOR_READ)], responses=DOCTOR_ANSWERS)
async def run_doctor(
    request: Request,
    container: Containers,
    deep: Annotated[
        bool,
        Query(description="Read all artifacts to the end, which may take hours. One such round at a time: else 409."),
    ] = False,
) -> Response:
    """Check the database for anything that cannot be, and whether the files of artifacts are as they were stored.

    It ends when the client goes. With `Accept: application/x-ndjson` each check is told when it begins, one JSON
    document a line, and the last line has the report.
    """
    if wants_progress(request):
        return ProgressAnswer(lambda say: container.doctor.examine(deep=deep, tell=lambda step: say(asdict(step))))
    return answer(await while_present(request, container.doctor.examine(deep=deep)))


@router.get("/settings", dependencies=[requires(Permission.SETTINGS_READ)], responses={200: {"model": SettingPage}})
async def list_settings(container: Containers) -> Response:
    """The settings in effect, passwords masked."""
    values = container.settings.redacted()
    items = [
        {
            "name": row.field,
            "variables": row.names,
            "value": values[row.field],
            "default": row.default,
            "description": row.description,
        }
        for row in settings_table()
    ]
    return answer({"items": items, "next_cursor": None})
