"""Routes about runs: list and read them, and their tasks."""

from typing import Annotated, Any, Literal

from fastapi import Query, Response

from millrace.api.bodies import answer, page_answer
from millrace.api.deps import Containers, api_router, requires, sees
from millrace.api.naming import named, named_page
from millrace.api.queries import (
    Cursor,
    Labels,
    Limit,
    Moment,
    TriggerTypeWord,
    Words,
    instant,
    known_word,
    labels,
    values_of,
    words,
)
from millrace.api.schemas.runs import (
    RunPage,
    RunView,
    TaskRunPage,
    TaskRunView,
)
from millrace.app.runs.repository import RunFilter
from millrace.app.runs.tasks.reading import TaskFilter
from millrace.auth.permissions import Permission
from millrace.auth.sight import Sight
from millrace.core.states import RunStatus, TaskStatus
from millrace.definition.model import START_TYPES

router = api_router("runs")

READ = [requires(Permission.RUN_READ)]
Seeing = Annotated[Sight | None, sees(Permission.RUN_READ)]
MOST_WORKFLOWS = 50
"""That one list of runs may be narrowed to."""


@router.get("/runs", responses={200: {"model": RunPage}})
async def list_runs(
    container: Containers,
    sight: Seeing,
    status: Words,
    label: Labels,
    workflow: Annotated[
        list[str],
        Query(
            default_factory=list,
            max_length=MOST_WORKFLOWS,
            description="Id, name or slug of a workflow, of a deleted one its id; may be repeated: runs of any.",
        ),
    ],
    trigger_type: TriggerTypeWord = None,
    correlation_id: str | None = None,
    parent: Annotated[str | None, Query(description="Id of the run that started them by its sub-workflows.")] = None,
    created_after: Moment = None,
    created_before: Moment = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List runs, newest first."""
    narrow = RunFilter(
        status=words("status", status, values_of(RunStatus)),
        workflow_ids=[await container.workflow_queries.id_of_runs(name, sight) for name in dict.fromkeys(workflow)],
        trigger_type=known_word("query.trigger_type", trigger_type, START_TYPES),
        correlation_id=correlation_id,
        created_from=instant(created_after),
        created_before=instant(created_before),
        labels=labels(label),
        parent=parent,
        sight=sight,
    )
    return page_answer(
        await named_page(container, await container.run_queries.list(narrow, cursor=cursor, limit=limit))
    )


@router.get("/runs/{run}", dependencies=READ, responses={200: {"model": RunView}})
async def get_run(run: str, container: Containers) -> Response:
    """One run with its input and output."""
    return answer(await named(container, await container.run_queries.get(run)))


async def list_task_runs(
    run: str,
    container: Containers,
    status: Words,
    within: Annotated[
        str | None,
        Query(max_length=512, description="Only what stands in this control task, or in this iteration of a loop."),
    ] = None,
    loops: Annotated[
        Literal["open", "closed"],
        Query(description="closed: a loop stands for what is in it, and says in `begun` how far it is."),
    ] = "open",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """The tasks of a run, in the order of the definition, iteration after iteration."""
    narrow = TaskFilter(within, words("status", status, values_of(TaskStatus)), into_loops=loops == "open")
    return page_answer(await container.run_queries.tasks(run, narrow, cursor=cursor, limit=limit))


async def get_task_run(run: str, path: str, container: Containers) -> Response:
    """One task of a run with its rendered input and its output."""
    return answer(await container.run_queries.task(run, path))


_TASKS: dict[int | str, dict[str, Any]] = {200: {"model": TaskRunPage}}
_TASK: dict[int | str, dict[str, Any]] = {200: {"model": TaskRunView}}
for _name in ("tasks", "steps"):
    router.add_api_route(f"/runs/{{run}}/{_name}", list_task_runs, dependencies=READ, responses=_TASKS)
    router.add_api_route(f"/runs/{{run}}/{_name}/{{path:path}}", get_task_run, dependencies=READ, responses=_TASK)
