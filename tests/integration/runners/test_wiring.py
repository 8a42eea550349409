"""Script, email and notify in a whole Millrace: definitions are accepted, settings reach them, secrets stay in."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from millrace.api.create import create_app
from millrace.auth.first_admin import ensure_first_admin
from millrace.bootstrap import running
from millrace.config import Settings, SettingsError
from millrace.system import SystemClock, Uuid7Ids
from tests.integration.runners.smtp_kit import PASSWORD, USER, Mailhouse, mailhouse
from tests.support.api import create, start


@pytest.fixture
def house() -> Iterator[Mailhouse]:
    with mailhouse() as running_house:
        yield running_house


@asynccontextmanager
async def api_of(home: Path, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    async with running(Settings(home=home, port=0, **settings)) as runtime:
        key = await ensure_first_admin(runtime.database, SystemClock(), Uuid7Ids(), home)
        assert key is not None
        transport = httpx2.ASGITransport(app=create_app(runtime.container), raise_app_exceptions=False)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://test", headers={"X-API-Key": key}
        ) as client:
            yield client


async def ran(api: httpx2.AsyncClient, *tasks: dict[str, Any], **run: Any) -> dict[str, Any]:
    made = await create(api, {"name": tasks[0]["id"], "tasks": list(tasks)})
    return await start(api, made["id"], wait=True, **run)


async def everything_about(api: httpx2.AsyncClient, run: dict[str, Any], task: str) -> str:
    base = f"/api/v1/runs/{run['id']}"
    pages = [await api.get(f"{base}{part}") for part in ("", f"/tasks/{task}", "/events", "/logs")]
    return "\n".join(page.text for page in pages)


async def test_a_script_gets_its_input_and_the_next_task_its_result(tmp_path: Path) -> None:
    total = {
        "language": "python",
        "input": {"orders": "{{ input.orders }}"},
        "source": "result = {'n': sum(order['n'] for order in input['orders']), 'braces': '{{ .Name }}'}",
    }
    tasks = (
        {"id": "total", "type": "script", "config": total},
        {"id": "echo", "type": "transform", "config": {"output": "{{ tasks.total.output.result }}"}},
    )
    async with api_of(tmp_path / "home", script_python=sys.executable) as api:
        run = await ran(api, *tasks, input={"orders": [{"n": 2**53}, {"n": 1}]})
        echo = (await api.get(f"/api/v1/runs/{run['id']}/tasks/echo")).json()
    assert (run["status"], echo["output"]) == ("completed", {"n": 2**53 + 1, "braces": "{{ .Name }}"})


async def test_an_interpreter_of_the_settings_is_taken(tmp_path: Path) -> None:
    task = {"id": "run", "type": "script", "config": {"language": "bash", "source": "true"}}
    async with api_of(tmp_path / "home", script_bash="/no/bash") as api:
        run = await ran(api, task)
    assert (run["error"]["kind"], "MILLRACE_SCRIPT_BASH names /no/bash" in run["error"]["message"]) == ("refused", True)


async def test_mail_goes_to_the_server_of_the_settings(tmp_path: Path, house: Mailhouse) -> None:
    config = {
        "to": "{{ input.to }}",
        "subject": "{{ run.workflow.name }}",
        "text": f"{{{{ input }}}} {PASSWORD}",
        "attachments": "{{ input.files }}",
    }
    server = {
        "smtp_host": "localhost",
        "smtp_port": house.port,
        "smtp_tls": "none",
        "smtp_from": "Robot <r@example.com>",
    }
    async with api_of(tmp_path / "home", **server, smtp_user=USER, smtp_password=PASSWORD) as api:
        files = [{"name": "a.txt", "content": "x"}]
        run = await ran(
            api, {"id": "tell", "type": "email", "config": config}, input={"to": ["b@example.org"], "files": files}
        )
        assert run["status"] == "completed", run
        shown = await everything_about(api, run, "tell")
        settings = (await api.get("/api/v1/settings")).text
        evil = await ran(
            api, {"id": "evil", "type": "email", "config": config}, input={"to": "a@b.c, d@e.f", "files": []}
        )
    (letter,) = house.letters
    assert (letter.recipients, letter.message["Subject"], letter.user) == (["b@example.org"], "tell", USER)
    assert [part.get_filename() for part in letter.message.iter_attachments()] == ["a.txt"]
    assert PASSWORD not in shown
    assert PASSWORD not in settings
    assert evil["error"]["kind"] == "invalid_input"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"url": "{{ input.word }}"}, "url: url must begin with http:// or https://; write http://… or https://…"),
        ({"url": "https://a.example:{{ input.word }}/"}, "url: url has no such port; ports go from 1 to 65535"),
        ({"url": "https://a.example", "headers": {"X-Key": "{{ input.word }}\n"}}, "from a file often ends in one"),
        ({"url": "https://u:{{ input.word }}@a.example/"}, "url holds a user name or password; use `auth`"),
    ],
)
async def test_what_expressions_give_to_a_request_is_judged_like_what_is_written(
    tmp_path: Path, config: dict[str, Any], says: str
) -> None:
    async with api_of(tmp_path / "home") as api:
        run = await ran(api, {"id": "ask", "type": "http", "config": config}, input={"word": "swordfish"})
    assert run["error"]["kind"] == "invalid_input"
    assert says in run["error"]["message"]
    assert "swordfish" not in run["error"]["message"]


async def test_the_address_of_a_hook_is_shown_nowhere(
    tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/services/hush-hush-hush"
    httpserver.expect_request(path).respond_with_data("no", status=500)
    monkeypatch.setenv("MILLRACE_SECRET_CHAT", httpserver.url_for(path))
    task = {"id": "tell", "type": "notify", "config": {"url": "{{ secrets.chat }}", "text": "Hi"}}
    async with api_of(tmp_path / "home", http_allowed_targets=("localhost",)) as api:
        run = await ran(api, task)
        shown = await everything_about(api, run, "tell")
    assert run["error"]["message"].endswith("the webhook answered 500: no")
    assert len(httpserver.log) == 1
    assert "hush" not in shown


async def test_a_sender_that_is_no_address_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MILLRACE_SMTP_FROM: 'nobody' is not a mail address"):
        async with api_of(tmp_path / "home", smtp_host="mail.example.com", smtp_from="nobody"):
            pass
