"""S9 over the API: test mode of one workflow, and what is shown of it."""

import httpx2
import pytest

from tests.support.api import create, definition, problem

OPS = "ops@example.com"


@pytest.fixture(autouse=True)
def mail_server(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What the settings of the installation say."""
    monkeypatch.setenv("MILLRACE_SMTP_HOST", "mail.example.com")
    monkeypatch.setenv("MILLRACE_SMTP_FROM", "robot@example.com")
    return monkeypatch


async def test_it_is_said_shown_and_taken_back(api: httpx2.AsyncClient) -> None:
    made = await create(api, definition("greet"))
    of = {"id": made["id"], "name": "greet"}
    off = {"workflow": of, "said": None, "on": False, "recipient": None, "skip_execution": False}
    path = "/api/v1/workflows/greet/test-mode"
    assert (await api.get(path)).json() == off
    said = {"on": True, "recipient": OPS, "skip_execution": None}
    on = {"workflow": of, "said": said, "on": True, "recipient": OPS, "skip_execution": True}
    put = await api.put(path, json={"on": True, "recipient": OPS})
    assert (put.status_code, put.json()) == (200, on)
    assert (await api.get(path)).json() == on
    shown = await api.get("/api/v1/workflows/greet")
    assert shown.json()["test_mode"] == said
    assert (await api.get("/api/v1/workflows")).json()["items"][0]["test_mode"] == said
    assert shown.json()["updated_at"] > made["updated_at"]
    assert shown.json()["version"] == 1, "it is no part of the definition"
    assert (await api.delete(path)).json() == off
    assert (await api.get("/api/v1/workflows/greet")).json()["test_mode"] is None


async def test_it_stays_when_the_workflow_is_changed(api: httpx2.AsyncClient) -> None:
    await create(api, definition("greet"))
    await api.put("/api/v1/workflows/greet/test-mode", json={"on": True, "recipient": OPS, "skip_execution": False})
    changed = await api.patch("/api/v1/workflows/greet", json={"description": "says hello"})
    assert changed.json()["test_mode"] == {"on": True, "recipient": OPS, "skip_execution": False}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "on"),
        ({"on": "yes"}, "on"),
        ({"on": True}, "recipient"),
        ({"on": True, "recipient": "ops"}, "recipient"),
        ({"on": True, "recipient": "a@example.com, b@example.com"}, "recipient"),
        ({"on": True, "recipient": "a@example.com\r\nBcc: b@example.com"}, "recipient"),
        ({"on": True, "recipient": f"{'a' * 400}@example.com"}, "recipient"),
        ({"on": True, "recipient": OPS, "skip_execution": 1}, "skip_execution"),
        ({"on": True, "recipient": OPS, "skip": True}, "skip"),
    ],
)
async def test_what_is_wrong_is_named(api: httpx2.AsyncClient, body: dict[str, object], path: str) -> None:
    await create(api, definition("greet"))
    refused = problem(await api.put("/api/v1/workflows/greet/test-mode", json=body), 422, "invalid_request")
    assert [fault["path"] for fault in refused["faults"]] == [path]
    assert refused["faults"][0]["remedy"]
    assert (await api.get("/api/v1/workflows/greet/test-mode")).json()["said"] is None


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_unknown_workflow_is_not_found(api: httpx2.AsyncClient, method: str) -> None:
    body = {"on": False} if method == "PUT" else None
    problem(await api.request(method, "/api/v1/workflows/none/test-mode", json=body), 404, "workflow_not_found")


class TestWithoutAMailServer:
    @pytest.fixture(autouse=True)
    def mail_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("MILLRACE_SMTP_HOST", "MILLRACE_SMTP_FROM"):
            monkeypatch.delenv(name, raising=False)

    async def test_it_cannot_be_turned_on(self, api: httpx2.AsyncClient) -> None:
        await create(api, definition("greet"))
        path = "/api/v1/workflows/greet/test-mode"
        refused = problem(await api.put(path, json={"on": True, "recipient": OPS}), 409, "no_mail_server")
        assert "MILLRACE_SMTP_HOST" in refused["detail"]
        assert (await api.put(path, json={"on": False})).json()["said"]["on"] is False
