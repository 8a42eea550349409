"""D3: tasks that wait for a person: the list of them, approving and rejecting, and what may be filled in."""

import asyncio
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from millrace.auth.permissions import Role
from tests.integration.api.test_access import role_client
from tests.support.api import create, definition, eventually, problem, start, until_status
from tests.support.installation import Installation

URL = "/api/v1"
FORM = {
    "type": "object",
    "required": ["copies"],
    "additionalProperties": False,
    "properties": {
        "copies": {"type": "integer", "minimum": 1, "maximum": 9},
        "format": {"enum": ["pdf", "csv"], "default": "pdf"},
    },
}
ASK = {"id": "ask", "type": "approval", "config": {"message": "Large day, publish?"}}
FILLED = {"id": "ask", "type": "approval", "config": {"message": "How?", "form": FORM}}
AFTER = {"id": "after", "type": "echo", "config": {"value": "{{ tasks.ask.output }}"}}


async def asking(api: httpx2.AsyncClient, *tasks: dict[str, Any], name: str = "asking") -> dict[str, Any]:
    """A run that waits for a decision."""
    created = await create(api, definition(name, *(tasks or (ASK, AFTER))))
    run = await start(api, created["id"])
    await until_status(api, run, "waiting")
    return run


async def decide(
    api: httpx2.AsyncClient, run: dict[str, Any], path: str = "ask", headers: dict[str, str] | None = None, **body: Any
) -> httpx2.Response:
    url = f"{URL}/runs/{run['id']}/tasks/{quote(path, safe='')}/decision"
    return await api.post(url, json=body, headers=headers or {})


async def task_of(api: httpx2.AsyncClient, run: dict[str, Any], path: str = "ask") -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"{URL}/runs/{run['id']}/tasks/{quote(path, safe='')}")).json()
    return found


async def approvals(api: httpx2.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """All pages of the list."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = (await api.get(f"{URL}/approvals", params={**query, **({"cursor": cursor} if cursor else {})})).json()
        found += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return found


async def test_what_waits_is_shown_with_what_it_asks(api: httpx2.AsyncClient) -> None:
    run = await asking(api, {**FILLED, "timeout": "4h", "config": {**FILLED["config"], "default": "reject"}})
    (shown,) = await approvals(api)
    assert (shown["run_id"], shown["path"], shown["workflow"]["name"]) == (run["id"], "ask", "asking")
    assert (shown["message"], shown["form"], shown["default"]) == ("How?", FORM, "reject")
    assert shown["since"] < shown["until"]
    question = (await task_of(api, run))["approval"]
    assert question == {name: shown[name] for name in ("message", "form", "default", "since", "until")}


async def test_approving_lets_the_run_go_on(api: httpx2.AsyncClient) -> None:
    run = await asking(api)
    answered = await decide(api, run, decision="approve", comment="looks right")
    assert (answered.status_code, answered.json()) == (202, {"run_id": run["id"], "path": "ask", "approved": True})
    await until_status(api, run, "completed")
    user = run["triggered_by"]
    expected = {"approved": True, "by": user["id"], "comment": "looks right", "form": None, "timed_out": False}
    assert (await task_of(api, run, "after"))["output"] == expected
    records = (await api.get(f"{URL}/runs/{run['id']}/events")).json()["items"]
    assert [record["data"] for record in records if record["type"] == "task.decided"] == [
        {"approved": True, "by": user}
    ]
    assert await approvals(api) == []
    assert (await task_of(api, run))["approval"] is None


async def test_rejecting_fails_the_task_with_the_reason(api: httpx2.AsyncClient) -> None:
    run = await asking(api, FILLED)
    assert (await decide(api, run, approved=False, comment="too large")).status_code == 202
    ended = await until_status(api, run, "failed")
    assert ended["error"]["kind"] == "rejected"
    assert "too large" in ended["error"]["message"]


async def test_a_decision_is_made_once(api: httpx2.AsyncClient) -> None:
    run = await asking(api)
    answers = await asyncio.gather(*(decide(api, run, decision="approve", comment=str(n)) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 7]
    (first,) = (number for number, answer in enumerate(answers) if answer.status_code == 202)
    await until_status(api, run, "completed")
    refused = problem(await decide(api, run, decision="reject"), 409, "not_waiting")
    assert "decided before" in refused["detail"]
    assert (await task_of(api, run, "after"))["output"]["comment"] == str(first)


async def test_a_key_makes_a_decision_that_is_sent_again_the_same(api: httpx2.AsyncClient) -> None:
    run, key = await asking(api), {"Idempotency-Key": "decided-1"}
    answers = await asyncio.gather(*(decide(api, run, decision="approve", headers=key) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {202}
    await until_status(api, run, "completed")
    assert (await decide(api, run, approved=True, idempotency_key="decided-1")).status_code == 202
    problem(await decide(api, run, decision="reject", headers=key), 409, "idempotency_conflict")


async def test_a_form_is_checked_and_its_defaults_are_filled_in(api: httpx2.AsyncClient) -> None:
    run = await asking(api, FILLED, AFTER)
    missing = problem(await decide(api, run, decision="approve"), 422, "invalid_input")
    assert [fault["path"] for fault in missing["faults"]] == ["form.copies"]
    wrong = problem(
        await decide(api, run, decision="approve", form={"copies": 99, "colour": "red"}), 422, "invalid_input"
    )
    assert sorted(fault["path"] for fault in wrong["faults"]) == ["form.colour", "form.copies"]
    assert any("the fields are copies, format" in fault["remedy"] for fault in wrong["faults"])
    assert (await decide(api, run, decision="approve", form={"copies": 2})).status_code == 202
    await until_status(api, run, "completed")
    assert (await task_of(api, run, "after"))["output"]["form"] == {"copies": 2, "format": "pdf"}


@pytest.mark.parametrize(
    ("task", "doing"),
    [
        ({"type": "hold"}, "it is running"),
        ({"type": "sleep", "config": {"duration": "1h"}}, "it waits for a time"),
        ({"type": "wait_for_event", "config": {"signal": "go_on"}}, "it waits for a signal"),
        ({"type": "wait_for_event", "config": {"type": "orders.paid"}}, "it waits for an event"),
    ],
)
async def test_a_task_that_waits_for_no_decision_says_what_it_does(
    api: httpx2.AsyncClient, task: dict[str, Any], doing: str
) -> None:
    await create(api, definition("other", {"id": "other", **task}))
    run = await start(api, "other")

    async def does() -> bool:
        refused = problem(await decide(api, run, "other", decision="approve"), 409, "not_waiting")
        return doing in refused["detail"]

    await eventually(does)


async def test_there_must_be_such_a_run_and_task(api: httpx2.AsyncClient) -> None:
    run = await asking(api)
    problem(await decide(api, run, "nothing", decision="approve"), 404, "task_run_not_found")
    problem(await decide(api, {"id": "nothing"}, decision="approve"), 404, "run_not_found")
    pending = problem(await decide(api, run, "after", decision="approve"), 409, "not_waiting")
    assert "it is pending" in pending["detail"]
    await api.post(f"{URL}/runs/{run['id']}/cancel")
    await until_status(api, run, "cancelled")
    over = problem(await decide(api, run, decision="approve"), 409, "not_waiting")
    assert "it is cancelled" in over["detail"]


async def test_a_task_within_a_loop_is_decided_by_its_path(api: httpx2.AsyncClient) -> None:
    ask = {**ASK, "config": {"message": "publish {{ item }}?"}}
    run = await asking(api, {"id": "loop", "type": "foreach", "config": {"items": ["a", "b", "c"]}, "tasks": [ask]})

    async def all_there() -> bool:
        return len(await approvals(api)) == 3

    await eventually(all_there)
    shown = {item["path"]: item["message"] for item in await approvals(api)}
    assert shown == {f"loop[{number}].ask": f"publish {word}?" for number, word in enumerate("abc")}
    for path in shown:
        assert (await decide(api, run, path, decision="approve")).status_code == 202
    await until_status(api, run, "completed")


async def test_the_list_is_of_one_workflow_or_of_all_and_comes_in_pages(api: httpx2.AsyncClient) -> None:
    await create(api, definition("asks a", ASK))
    other = await create(api, definition("asks b", ASK))
    runs = []
    for name in ("asks-a", "asks-b", "asks-a", "asks-b", "asks-a"):
        runs.append(await start(api, name))
        await until_status(api, runs[-1], "waiting")
    assert [item["run_id"] for item in await approvals(api, limit=2)] == [run["id"] for run in runs]
    for named in ("asks-b", other["id"]):
        found = await approvals(api, workflow=named, limit=1)
        assert [item["run_id"] for item in found] == [runs[1]["id"], runs[3]["id"]]
    problem(await api.get(f"{URL}/approvals", params={"workflow": "nothing"}), 404, "workflow_not_found")
    for cursor in ("x", "IjEgYSI", "ImEgYiBjIg", "MQ"):
        problem(await api.get(f"{URL}/approvals", params={"cursor": cursor}), 422, "invalid_cursor")


async def test_who_may_only_look_sees_them_and_decides_nothing(millrace: Installation, api: httpx2.AsyncClient) -> None:
    run = await asking(api)
    async with await role_client(millrace, Role.VIEWER) as viewer:
        assert len(await approvals(viewer)) == 1
        assert "run:decide" in problem(await decide(viewer, run, decision="approve"), 403, "forbidden")["detail"]
    async with await role_client(millrace, Role.OPERATOR) as operator:
        assert (await decide(operator, run, decision="approve")).status_code == 202


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "decision"),
        ({"decision": "maybe"}, "decision"),
        ({"approved": "yes"}, "approved"),
        ({"approved": True, "decision": "reject"}, "approved"),
        ({"decision": "approve", "comment": "a\0b"}, "comment"),
        ({"decision": "approve", "comment": "c" * 2_001}, "comment"),
        ({"decision": "approve", "form": []}, "form"),
        ({"decision": "approve", "form": {"copies": "\0"}}, "form.copies"),
        ({"decision": "approve", "form": {"note": "n" * 65_536}}, "form"),
        ({"decision": "reject", "form": {"copies": 0}}, "form.copies"),
        ({"decision": "approve", "from": {}}, "from"),
    ],
)
async def test_what_is_no_decision_is_refused_with_its_place(
    api: httpx2.AsyncClient, body: dict[str, Any], at: str
) -> None:
    run = await asking(api, FILLED)
    response = await decide(api, run, **body)
    assert response.status_code == 422, response.text
    assert [fault["path"] for fault in response.json()["faults"]] == [at]
    assert len(await approvals(api)) == 1


async def test_a_task_without_a_form_takes_none(api: httpx2.AsyncClient) -> None:
    run = await asking(api)
    refused = problem(await decide(api, run, decision="approve", form={"a": 1}), 422, "invalid_input")
    assert refused["faults"][0]["path"] == "form"
    assert (await decide(api, run, decision="approve", form={})).status_code == 202
