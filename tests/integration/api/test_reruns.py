"""A rerun from a task knows what it takes over from its first moment on, before it has any rows of its own."""

import httpx2
import pytest

from tests.support.api import create, definition, problem, start

URL = "/api/v1"


async def test_conditions_outputs_and_configs_of_a_rerun_read_what_was_taken_over(api: httpx2.AsyncClient) -> None:
    tasks = [
        {"id": "fetch", "type": "echo", "config": {"value": 5}},
        {
            "id": "work",
            "type": "echo",
            "depends_on": ["fetch"],
            "if": "{{ tasks.fetch.output > 3 }}",
            "config": {"value": "{{ tasks.fetch.output + 1 }}"},
        },
    ]
    output = {"of": "{{ tasks.fetch.output + tasks.work.output }}"}
    await create(api, {"name": "counted", "tasks": tasks, "output": output})
    run = await start(api, "counted", wait=True)
    assert run["output"] == {"of": 11}

    answer = await api.post(f"{URL}/runs/{run['id']}/rerun", json={"from_task": "work", "wait": True})
    assert (answer.json()["status"], answer.json()["output"]) == ("completed", {"of": 11})


ECHOED = {"type": "echo"}
NESTED = definition(
    "nested",
    {
        "id": "outer",
        "type": "foreach",
        "config": {"items": [1]},
        "tasks": [
            {"id": "group", "type": "sequential", "tasks": [{"id": "inner", **ECHOED}]},
            {
                "id": "again",
                "type": "while",
                "config": {"condition": "{{ false }}"},
                "tasks": [{"id": "page", **ECHOED}],
            },
        ],
    },
)


@pytest.mark.parametrize(
    ("from_task", "message", "remedy"),
    [
        ("inner", "inner runs once in each iteration", "with the number of the iteration, such as outer[0].inner"),
        ("page", "page runs once in each iteration", "such as outer[0].again[0].page"),
        ("closed", "closed runs in the part finally", "write one of those"),
        ("other", "has no task 'other'", "outer[0].group, outer[0].inner, outer[0].again, outer[0].again[0].page"),
    ],
)
async def test_a_task_in_a_loop_to_start_from_is_asked_for_by_its_path(
    api: httpx2.AsyncClient, from_task: str, message: str, remedy: str
) -> None:
    await create(api, {**NESTED, "finally": [{"id": "closed", **ECHOED}]})
    run = await start(api, "nested", wait=True)
    answer = await api.post(f"{URL}/runs/{run['id']}/rerun", json={"from_task": from_task})
    (fault,) = problem(answer, 422, "unknown_task")["faults"]
    assert (fault["path"], message in fault["message"]) == ("from_task", True), fault
    assert fault["remedy"].endswith(remedy), fault
