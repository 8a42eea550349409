"""D3: links by which somebody without an account decides once. What is no link of ours tells nothing."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import update

from millrace.app.decisions import links
from millrace.auth.permissions import Role
from millrace.storage.tables import users
from tests.integration.api.test_access import role_client
from tests.integration.api.test_decisions import ASK, FILLED, approvals, asking, decide, task_of
from tests.support.api import problem, until_status
from tests.support.installation import Installation

URL = "/api/v1"
PAGE = {"Accept": "text/html,application/xhtml+xml"}


async def link_of(
    api: httpx2.AsyncClient, run: dict[str, Any], path: str = "ask", **body: Any
) -> tuple[str, dict[str, Any]]:
    """Path of a new link, and the answer that it came in."""
    answered = await api.post(f"{URL}/runs/{run['id']}/tasks/{path}/approval-link", json=body)
    assert answered.status_code == 201, answered.text
    return urlsplit(answered.json()["url"]).path, answered.json()


@pytest.fixture
def anybody(millrace: Installation) -> httpx2.AsyncClient:
    return millrace.client("")


async def test_a_link_shows_what_is_asked_and_decides_it(api: httpx2.AsyncClient, anybody: httpx2.AsyncClient) -> None:
    run = await asking(api)
    path, made = await link_of(api, run)
    assert made["url"] == f"http://millrace.test{path}"
    in_a_week = datetime.now(UTC) + timedelta(days=7)
    assert abs(datetime.fromisoformat(made["expires_at"]) - in_a_week) < timedelta(minutes=1)
    page = await anybody.get(path)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "Large day, publish?" in page.text
    assert len(await approvals(api)) == 1, "whoever only looks decides nothing"
    decided = await anybody.post(path, data={"decision": "approve", "comment": "by mail"})
    assert decided.status_code == 202
    assert "You have approved it" in decided.text
    await until_status(api, run, "completed")
    output = (await task_of(api, run))["output"]
    user = run["triggered_by"]
    assert (output["approved"], output["comment"]) == (True, "by mail")
    assert output["by"] == f"link made by {user['id']}"
    records = (await api.get(f"{URL}/runs/{run['id']}/events")).json()["items"]
    (told,) = (record["data"] for record in records if record["type"] == "task.decided")
    assert told == {"approved": True, "by": {**user, "by_link": True}}


async def test_a_link_takes_json_and_answers_json(api: httpx2.AsyncClient, anybody: httpx2.AsyncClient) -> None:
    run = await asking(api, FILLED)
    path, _ = await link_of(api, run)
    wrong = problem(await anybody.post(path, json={"decision": "approve", "form": {"copies": 0}}), 422, "invalid_input")
    assert wrong["faults"][0]["path"] == "form.copies"
    problem(await anybody.post(path, json={}), 422, "invalid_request")
    answered = await anybody.post(path, json={"decision": "approve", "form": {"copies": 3}})
    assert (answered.status_code, answered.json()["approved"]) == (202, True)
    await until_status(api, run, "completed")
    assert (await task_of(api, run))["output"]["form"] == {"copies": 3, "format": "pdf"}


async def test_a_program_that_fills_in_the_form_may_ask_for_json(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    run = await asking(api, FILLED)
    path, _ = await link_of(api, run)
    json_please = {"Accept": "application/json"}
    sent = {"decision": "approve", "form.copies": "0"}
    wrong = problem(await anybody.post(path, data=sent, headers=json_please), 422, "invalid_input")
    assert wrong["faults"][0]["path"] == "form.copies"
    answered = await anybody.post(path, data={**sent, "form.copies": "3"}, headers=json_please)
    assert (answered.status_code, answered.json()) == (202, {"run_id": run["id"], "path": "ask", "approved": True})
    problem(await anybody.post(path, data=sent, headers=json_please), 410, "already_decided")


async def test_a_link_is_worth_nothing_once_it_was_used(api: httpx2.AsyncClient, anybody: httpx2.AsyncClient) -> None:
    run = await asking(api)
    path, _ = await link_of(api, run)
    other, _ = await link_of(api, run, expires_in="1h")
    answers = await asyncio.gather(*(anybody.post(path, json={"approved": False}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, *[410] * 4]
    for again in (path, other):
        problem(await anybody.post(again, json={"decision": "approve"}), 410, "already_decided")
        problem(await anybody.get(again), 410, "already_decided")
    await until_status(api, run, "failed")
    problem(await anybody.post(path, json={"decision": "approve"}), 410, "already_decided")
    page = await anybody.get(path, headers=PAGE)
    assert (page.status_code, "decided already" in page.text) == (410, True)
    by_form = await anybody.post(path, data={"decision": "approve"})
    assert (by_form.status_code, by_form.headers["Content-Type"]) == (410, "text/html; charset=utf-8")


async def test_a_link_after_a_decision_by_somebody_else_or_the_end_of_the_run(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    run = await asking(api)
    path, _ = await link_of(api, run)
    await decide(api, run, decision="approve")
    problem(await anybody.get(path), 410, "already_decided")
    other = await start_another(api)
    path, _ = await link_of(api, other)
    await api.post(f"{URL}/runs/{other['id']}/cancel")
    await until_status(api, other, "cancelled")
    over = problem(await anybody.post(path, json={"decision": "approve"}), 410, "not_waiting")
    assert "cancelled" in over["detail"]


async def start_another(api: httpx2.AsyncClient) -> dict[str, Any]:
    run: dict[str, Any] = (await api.post(f"{URL}/workflows/asking/execute", json={})).json()
    await until_status(api, run, "waiting")
    return run


async def test_a_link_that_was_changed_tells_nothing(api: httpx2.AsyncClient, anybody: httpx2.AsyncClient) -> None:
    run = await asking(api)
    path, _ = await link_of(api, run)
    token = path.rpartition("/")[2]
    content, key, signature = token.split(".")
    foreign = {
        "nothing", "a.b", "a.b.c", f"{content}.{key}.", f".{key}.{signature}", f"{content}.{'0' * 16}.{signature}",
        f"{token}=", f"{token}.", token[:-1], token.swapcase(), f"{content}A.{key}.{signature}", "x" * 5_000,
        f"{content[:-2]}AA.{key}.{signature}", token[::-1],
        f"{content}.{key}.{signature[:-1]}{'A' if signature[-1] != 'A' else 'E'}",
    }  # fmt: skip
    for place in range(0, len(token), 7):
        foreign.add(f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}")
    said = set()
    for text in foreign - {token}:
        for response in (await anybody.get(f"/approvals/{text}"), await anybody.post(f"/approvals/{text}", json={})):
            said.add(problem(response, 404, "link_not_found")["detail"])
    assert len(said) == 1
    page = await anybody.get("/approvals/nothing", headers=PAGE)
    assert (page.status_code, run["id"] in page.text) == (404, False)
    assert len(await approvals(api)) == 1


async def test_a_link_holds_for_a_time(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await asking(api)
    path, _ = await link_of(api, run, expires_in="1s")
    await asyncio.sleep(1.1)
    problem(await anybody.get(path), 410, "link_expired")
    problem(await anybody.post(path, json={"decision": "approve"}), 410, "link_expired")
    for wrong in ("31d", "soon", "0s", "-1h", "1" * 61):
        refused = await api.post(f"{URL}/runs/{run['id']}/tasks/ask/approval-link", json={"expires_in": wrong})
        assert problem(refused, 422, "invalid_request")["faults"][0]["path"] == "expires_in"
    assert (await link_of(api, run, expires_in="30d"))[1]["decision"] is None


async def test_a_link_may_be_for_one_decision_only(api: httpx2.AsyncClient, anybody: httpx2.AsyncClient) -> None:
    run = await asking(api)
    path, made = await link_of(api, run, decision="reject")
    assert made["decision"] == "reject"
    page = (await anybody.get(path)).text
    assert ('value="reject"' in page, 'value="approve"' in page) == (True, False)
    refused = problem(await anybody.post(path, json={"decision": "approve"}), 422, "invalid_request")
    assert refused["faults"][0]["path"] == "decision"
    assert (await anybody.post(path, json={"decision": "reject"})).status_code == 202


async def test_a_link_of_an_earlier_wait_or_for_another_purpose_is_none(
    millrace: Installation, api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    run = await asking(api)
    (shown,) = await approvals(api)
    since = round(datetime.fromisoformat(shown["since"]).timestamp() * 1_000_000)
    user = run["triggered_by"]["id"]
    later = 2**52

    def signed(purpose: str, **changed: Any) -> str:
        claims = {"run_id": run["id"], "path": "ask", "since": since, "expires_at": later, "made_by": user, **changed}
        return f"/approvals/{millrace.vault.sign(purpose, links.Claims(**claims).packed())}"

    problem(await anybody.get(signed("another purpose")), 404, "link_not_found")
    problem(await anybody.get(signed(links.PURPOSE, since=since - 1)), 410, "not_waiting")
    problem(await anybody.get(signed(links.PURPOSE, path="nothing")), 410, "not_waiting")
    problem(await anybody.get(signed(links.PURPOSE, made_by="nobody")), 410, "link_void")
    assert (await anybody.get(signed(links.PURPOSE))).status_code == 200


async def test_a_link_is_worth_what_its_maker_may_do(
    millrace: Installation, api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    run = await asking(api)
    async with await role_client(millrace, Role.VIEWER) as viewer:
        refused = await viewer.post(f"{URL}/runs/{run['id']}/tasks/ask/approval-link", json={})
        problem(refused, 403, "forbidden")
    async with await role_client(millrace, Role.OPERATOR) as operator:
        path, _ = await link_of(operator, run)
    assert (await anybody.get(path)).status_code == 200
    for changed in ({"role": "viewer"}, {"role": "operator", "disabled_at": 1}):
        change = update(users).where(users.c.id == "user-operator").values(**changed)
        await millrace.database.write(lambda connection, change=change: connection.execute(change))
        told = problem(await anybody.get(path), 410, "link_void")
        assert "does not hold any more" in told["detail"]
    problem(await anybody.post(path, json={"decision": "approve"}), 410, "link_void")
    page = await anybody.get(f"{path}x", headers=PAGE)
    assert (page.status_code, "does not hold" in page.text) == (404, False)


async def test_a_link_holds_beyond_a_change_of_the_key(
    millrace: Installation, api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    run = await asking(api)
    path, _ = await link_of(api, run)
    await millrace.vault.rotate()
    assert (await anybody.get(path)).status_code == 200
    newer, _ = await link_of(api, run)
    assert newer.split(".")[1] != path.split(".")[1]
    assert (await anybody.post(newer, json={"decision": "approve"})).status_code == 202


async def test_a_link_is_made_only_for_what_waits(api: httpx2.AsyncClient) -> None:
    run = await asking(api)
    for place, status, code in (
        ("after", 409, "not_waiting"),
        ("nothing", 404, "task_run_not_found"),
    ):
        refused = await api.post(f"{URL}/runs/{run['id']}/tasks/{place}/approval-link", json={})
        problem(refused, status, code)
    problem(await api.post(f"{URL}/runs/nothing/tasks/ask/approval-link", json={}), 404, "run_not_found")


# --- the page ---------------------------------------------------------------------------------------------------------

EVIL = '</p><script>alert(1)</script>" onload="x'
MANY = {
    "type": "object",
    "required": ["name", "copies"],
    "properties": {
        "name": {"type": "string", "title": f"Name {EVIL}", "description": EVIL},
        "copies": {"type": "integer", "default": 2, "minimum": 1},
        "share": {"type": "number"},
        "sure": {"type": "boolean"},
        "default_on": {"type": "boolean", "default": True},
        "format": {"enum": ["pdf", EVIL]},
        "size": {"enum": [1, 2, "2b"]},
        "day": {"type": "string", "format": "date"},
        "more": {"type": "array", "items": {"type": "integer"}},
        "decision": {"type": "string"},
    },
}


async def test_the_page_is_plain_and_everything_in_it_is_escaped(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    run = await asking(api, {**ASK, "config": {"message": f"a < b\n{EVIL}", "form": MANY}}, name=f"w {EVIL}")
    path, _ = await link_of(api, run)
    page = await anybody.get(path)
    assert "<script" not in page.text
    assert 'onload="' not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert (await anybody.get("/static/approval.css")).status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    labelled = set(re.findall(r'<label for="([\w-]+)"', page.text))
    fields = set(re.findall(r'<(?:input|select|textarea) id="([\w-]+)"', page.text))
    assert labelled == fields
    assert len(fields) == len(MANY["properties"]) + 1
    described = set(re.findall(r'aria-describedby="([^"]+)"', page.text))
    assert described == {"field0-hint", f"field{list(MANY['properties']).index('more')}-hint"}
    assert "Written as JSON: a list such as [&quot;a&quot;, &quot;b&quot;]." in page.text


async def test_the_form_of_the_page_sends_values_of_their_types(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    run = await asking(api, {**ASK, "config": {"message": "?", "form": MANY}})
    path, _ = await link_of(api, run)
    given = {
        "form.name": "two\r\nlines", "form.copies": "4", "form.share": "0.5", "form.sure": "true", "form.format": EVIL,
        "form.size": "2", "form.day": "", "form.more": "[1, 2]", "form.decision": "later", "comment": "", "other": "x",
        "decision": "approve",
    }  # fmt: skip
    for changed, said in (
        ({"form.copies": "0"}, "0 is less than the minimum of 1"),
        ({"form.name": ""}, "name is missing"),
        ({"form.more": '["a"]'}, "is not of type"),
        ({"form.more": "[1, 2"}, "more is not JSON: Expecting ',' delimiter at line 1, column 6"),
        ({"form.more": "[NaN]"}, "more is not JSON: NaN"),
        ({"form.more": "[" * 100_000}, "more is nested too deeply"),
        ({"form.copies": "four"}, "is not of type"),
        ({"decision": "maybe"}, "decision"),
    ):
        page = await anybody.post(path, data={**given, **changed})
        assert page.status_code == 422
        assert said in unescape(page.text)
        assert 'role="alert"' in page.text
        assert ">later<" in page.text or 'value="later"' in page.text, "what was filled in stays"
    assert (await anybody.post(path, data=given)).status_code == 202
    await until_status(api, run, "completed")
    output = (await task_of(api, run))["output"]
    assert output["form"] == {
        "name": "two\nlines", "copies": 4, "share": 0.5, "sure": True, "default_on": False, "format": EVIL, "size": 2,
        "more": [1, 2], "decision": "later",
    }  # fmt: skip
    assert output["comment"] is None


async def test_who_rejects_by_the_page_need_not_fill_in_anything(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    run = await asking(api, {**ASK, "config": {"message": "?", "form": MANY}})
    path, _ = await link_of(api, run)
    rejected = await anybody.post(path, data={"decision": "reject", "form.copies": "x", "comment": "no"})
    assert (rejected.status_code, "You have rejected it" in rejected.text) == (202, True)
    assert (await until_status(api, run, "failed"))["error"]["kind"] == "rejected"


async def test_what_is_no_form_is_refused(api: httpx2.AsyncClient, anybody: httpx2.AsyncClient) -> None:
    run = await asking(api)
    path, _ = await link_of(api, run)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for content, status in ((b"comment=%ff", 400), (b"\xff", 400), (b"&".join([b"a=1"] * 2_000), 400), (b"", 422)):
        assert (await anybody.post(path, content=content, headers=form)).status_code == status
    nul = await anybody.post(path, data={"decision": "approve", "comment": "a\0b"})
    assert (nul.status_code, "NUL" in nul.text) == (422, True)
    problem(await anybody.post(path, content=b"{", headers={"Content-Type": "application/json"}), 400, "unreadable")
    problem(await anybody.put(path, json={"decision": "approve"}), 405, "method_not_allowed")
    assert (await anybody.post(path, content=b"x" * 2_000_000, headers=form)).status_code == 413
    assert len(await approvals(api)) == 1


async def test_a_secret_in_a_message_is_masked_on_the_page(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    await api.put(f"{URL}/secrets/word", json={"value": "hunter2&hunter2"})
    run = await asking(api, {**ASK, "config": {"message": "publish hunter2&hunter2?"}})
    path, _ = await link_of(api, run)
    page = (await anybody.get(path)).text
    assert "hunter2" not in page
    assert "publish ***?" in page
    assert "hunter2" not in json.dumps(await approvals(api))
