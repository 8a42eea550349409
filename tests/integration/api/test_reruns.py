"""A rerun from a task knows what it takes over from its first moment on, before it has any rows of its own."""

import httpx2

from tests.support.api import create, start

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
