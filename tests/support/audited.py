"""Which route writes what into the audit log: each that can change something, with a way to have it do so.

A route that is missing here fails a test, and so does one that changes something and leaves no row.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from millrace.auth.audit.actions import RUN_START
from tests.support.api import ECHO, create, definition, start, until_status
from tests.support.installation import Installation
from tests.support.logins import ADA, OTHER, PASSWORD, bearer, tokens

V1: Final = "/api/v1"
HOLD: Final = {"id": "hold", "type": "hold"}
ASK: Final = {"id": "ask", "type": "approval", "config": {"message": "Publish?"}}
HOURLY: Final = {"id": "hourly", "type": "cron", "config": {"expression": "0 * * * *"}}
RANGE: Final = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T05:00:00Z"}

WITHOUT_ROWS: Final[Mapping[str, str]] = {
    "POST /api/v1/workflows/validate": "it only looks at a definition",
    "POST /api/v1/workflows/{workflow}/dry-run": "it foresees a run, and starts none",
    "POST /api/v1/triggers/simulate": "it tells what an event would start",
    "POST /api/v1/triggers/preview": "it tells when a schedule would be due",
    "POST /api/v1/connections/{name}/test": "it tries a connection, and keeps nothing",
    "POST /api/v1/agents/{agent}/health": "it asks an agent how it is, as Millrace does by itself all the time",
    "POST /api/v1/auth/oidc/token": "it gives the tokens of a login by a provider, which tests of its own look at",
    "POST /api/v1/audit-logs/verify": "it reads the log",
    "POST /api/v1/auth/refresh": "a login goes on; that a token came twice is in the log",
    **{f"{method} /webhook/{{path:path}}": "it starts runs, of a trigger" for method in ("DELETE", "PATCH", "PUT")},
}


@dataclass
class Ground:
    """What the requests are about: each asks for what it needs, under a name of its own."""

    millrace: Installation
    api: httpx2.AsyncClient
    """With the administrator's key."""
    anonymous: httpx2.AsyncClient
    made: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    """Of the one request that is being looked at."""

    def name(self) -> str:
        self.made += 1
        return f"thing_{self.made}"

    async def do(
        self, method: str, path: str, client: httpx2.AsyncClient | None = None, **sent: Any
    ) -> httpx2.Response:
        """The request that is being looked at."""
        headers = {**sent.pop("headers", {}), **self.headers}
        return await (client or self.api).request(method, path, headers=headers, **sent)

    async def workflow(self, *tasks: dict[str, Any], **more: Any) -> str:
        return str((await create(self.api, {**definition(self.name(), *tasks), **more}))["id"])

    async def versions(self) -> str:
        """A workflow whose second version is not deployed."""
        workflow = await self.workflow()
        changed = await self.api.put(f"{V1}/workflows/{workflow}", json={"tasks": [HOLD], "deploy": False})
        assert changed.status_code == 200, changed.text
        return workflow

    async def run(self, task: dict[str, Any], *status: str) -> str:
        run = await start(self.api, await self.workflow(task))
        return str((await until_status(self.api, run, *status))["id"])

    async def held(self) -> str:
        return await self.run(HOLD, "running")

    async def trigger(self) -> str:
        workflow = await self.workflow(triggers=[HOURLY])
        return str((await self.api.get(f"{V1}/workflows/{workflow}/triggers")).json()["items"][0]["id"])

    async def backfill(self) -> str:
        return str((await self.post(f"triggers/{await self.trigger()}/backfill", RANGE))["id"])

    async def webhook(self) -> str:
        body = {"workflow_id": await self.workflow(), "url_path": self.name()}
        return str((await self.post("webhooks", body))["id"])

    async def agent(self) -> str:
        return str((await self.post("agents", {"name": self.name(), "url": "https://1.1.1.1"}))["id"])

    async def secret(self) -> str:
        name = self.name()
        assert (await self.api.put(f"{V1}/secrets/{name}", json={"value": "hunter2hunter2"})).status_code == 201
        return name

    async def connection(self) -> str:
        name = self.name()
        body = {"type": "http", "config": {"url": "https://1.1.1.1"}}
        made = await self.api.put(f"{V1}/connections/{name}", json=body)
        assert made.status_code == 201, made.text
        return name

    async def user(self) -> str:
        body = {"email": f"{self.name()}@example.com", "name": "Grace", "role": "viewer", "password": PASSWORD}
        return str((await self.post("users", body))["id"])

    async def key(self) -> str:
        return str((await self.post("api-keys", {"name": self.name()}))["id"])

    async def artifact(self) -> str:
        sent = await self.api.post(f"{V1}/artifacts", params={"name": "a.txt"}, content=b"a")
        assert sent.status_code == 201, sent.text
        return str(sent.json()["id"])

    async def person(self) -> dict[str, str]:
        """Headers of Ada, who has just logged in."""
        return bearer((await tokens(self.anonymous))["access_token"])

    async def post(self, path: str, body: Any) -> Any:
        response = await self.api.post(f"{V1}/{path}", json=body)
        assert response.is_success, response.text
        return response.json()


Perform = Callable[[Ground], Awaitable[httpx2.Response]]


@dataclass(frozen=True)
class Audited:
    actions: tuple[str, ...]
    """All that the request leaves in the log."""
    perform: Perform


def _sent(method: str, path: str, actions: str, needs: Callable[[Ground], Awaitable[str]], body: Any = None) -> Audited:
    """A request whose path has one name in it, of what `needs` makes."""

    async def perform(ground: Ground) -> httpx2.Response:
        place = path.format(await needs(ground))
        return await ground.do(method, f"{V1}/{place}", **({} if body is None else {"json": body}))

    return Audited(tuple(actions.split()), perform)


def _of_run(path: str, actions: str, task: dict[str, Any], status: str, body: Any = None) -> Audited:
    return _sent("POST", f"runs/{{}}/{path}", actions, lambda ground: ground.run(task, status), body)


async def _create(ground: Ground) -> httpx2.Response:
    return await ground.do("POST", f"{V1}/workflows", json=definition(ground.name()))


async def _apply(ground: Ground) -> httpx2.Response:
    return await ground.do("POST", f"{V1}/workflows/apply", params={"source": "git"}, json=definition(ground.name()))


async def _describe(ground: Ground) -> httpx2.Response:
    path = f"{V1}/workflows/{await ground.workflow()}/versions/1"
    return await ground.do("PATCH", path, json={"tag": "stable"})


async def _disabled(ground: Ground) -> str:
    workflow = await ground.workflow()
    await ground.post(f"workflows/{workflow}/disable", {})
    return workflow


async def _with_canary(ground: Ground) -> str:
    workflow = await ground.versions()
    begun = await ground.api.put(f"{V1}/workflows/{workflow}/canary", json={"version": 2, "share": 10})
    assert begun.status_code == 200, begun.text
    return workflow


async def _tested(ground: Ground) -> str:
    workflow = await ground.workflow()
    body = {"on": False}
    assert (await ground.api.put(f"{V1}/workflows/{workflow}/test-mode", json=body)).status_code == 200
    return workflow


async def _stopped(ground: Ground) -> str:
    workflow = await ground.workflow(HOLD)
    await until_status(ground.api, await start(ground.api, workflow), "running")
    return workflow


async def _paused(ground: Ground) -> str:
    run = await ground.held()
    await ground.post(f"runs/{run}/pause", {})
    await until_status(ground.api, {"id": run}, "paused")
    return run


async def _bulk(ground: Ground) -> httpx2.Response:
    workflow = await _stopped(ground)
    return await ground.do("POST", f"{V1}/runs/bulk", json={"action": "cancel", "filter": {"workflow": workflow}})


async def _upload(ground: Ground) -> httpx2.Response:
    return await ground.do("POST", f"{V1}/artifacts", params={"name": "b.txt"}, content=b"b")


async def _event(ground: Ground) -> httpx2.Response:
    return await ground.do("POST", f"{V1}/events", json={"type": "orders.imported", "data": {"count": 3}})


async def _silent(ground: Ground) -> str:
    trigger = await ground.trigger()
    await ground.post(f"triggers/{trigger}/disable", {})
    return trigger


async def _paused_backfill(ground: Ground) -> str:
    backfill = await ground.backfill()
    await ground.post(f"backfills/{backfill}/pause", {})
    return backfill


async def _new_webhook(ground: Ground) -> httpx2.Response:
    body = {"workflow_id": await ground.workflow(), "url_path": ground.name()}
    return await ground.do("POST", f"{V1}/webhooks", json=body)


async def _receive(ground: Ground) -> httpx2.Response:
    shown = (await ground.api.get(f"{V1}/webhooks/{await ground.webhook()}")).json()
    return await ground.do("POST", str(shown["url_path"]), client=ground.anonymous, json={})


async def _set_secret(ground: Ground) -> httpx2.Response:
    return await ground.do("PUT", f"{V1}/secrets/{ground.name()}", json={"value": "hunter2hunter2"})


async def _rotate(ground: Ground) -> httpx2.Response:
    return await ground.do("POST", f"{V1}/secrets/rotate-key")


async def _set_connection(ground: Ground) -> httpx2.Response:
    body = {"type": "http", "config": {"url": "https://1.1.1.1"}}
    return await ground.do("PUT", f"{V1}/connections/{ground.name()}", json=body)


async def _changed_secret(ground: Ground) -> str:
    name = await ground.secret()
    assert (await ground.api.put(f"{V1}/secrets/{name}", json={"value": "hunter3hunter3"})).status_code == 200
    return name


async def _changed_connection(ground: Ground) -> str:
    name = await ground.connection()
    body = {"type": "http", "config": {"url": "https://1.0.0.1"}}
    assert (await ground.api.put(f"{V1}/connections/{name}", json=body)).status_code == 200
    return name


async def _grant(ground: Ground) -> httpx2.Response:
    path = f"{V1}/workflows/{await ground.workflow()}/grants/{await ground.user()}"
    return await ground.do("PUT", path, json={"grants": ["view"]})


async def _take_grant(ground: Ground) -> httpx2.Response:
    path = f"{V1}/workflows/{await ground.workflow()}/grants/{await ground.user()}"
    assert (await ground.api.put(path, json={"grants": ["view"]})).status_code in (200, 201)
    return await ground.do("DELETE", path)


async def _new_agent(ground: Ground) -> httpx2.Response:
    return await ground.do("POST", f"{V1}/agents", json={"name": ground.name(), "url": "https://1.1.1.1"})


async def _new_key(ground: Ground) -> httpx2.Response:
    return await ground.do("POST", f"{V1}/api-keys", json={"name": ground.name()})


async def _new_user(ground: Ground) -> httpx2.Response:
    body = {"email": f"{ground.name()}@example.com", "name": "Grace", "role": "viewer"}
    return await ground.do("POST", f"{V1}/users", json=body)


async def _disabled_user(ground: Ground) -> str:
    user = await ground.user()
    await ground.post(f"users/{user}/disable", {})
    return user


async def _logged_in_user(ground: Ground) -> str:
    user = await ground.user()
    email = (await ground.api.get(f"{V1}/users/{user}")).json()["email"]
    await tokens(ground.anonymous, email)
    return user


async def _rename(ground: Ground) -> httpx2.Response:
    body = {"name": f"Ada {ground.name()}"}
    return await ground.do("PATCH", f"{V1}/auth/me", client=ground.anonymous, headers=await ground.person(), json=body)


async def _change_password(ground: Ground) -> httpx2.Response:
    user = await ground.user()
    email = (await ground.api.get(f"{V1}/users/{user}")).json()["email"]
    headers = bearer((await tokens(ground.anonymous, email))["access_token"])
    body = {"old_password": PASSWORD, "new_password": OTHER}
    return await ground.do("POST", f"{V1}/auth/password", client=ground.anonymous, headers=headers, json=body)


async def _log_out(ground: Ground) -> httpx2.Response:
    return await ground.do("POST", f"{V1}/auth/logout", client=ground.anonymous, headers=await ground.person())


async def _log_out_everywhere(ground: Ground) -> httpx2.Response:
    headers = await ground.person()
    return await ground.do("POST", f"{V1}/auth/logout-everywhere", client=ground.anonymous, headers=headers)


async def _end_session(ground: Ground) -> httpx2.Response:
    headers = await ground.person()
    sessions = (await ground.anonymous.get(f"{V1}/auth/sessions", headers=headers)).json()["items"]
    path = f"{V1}/auth/sessions/{sessions[0]['id']}"
    return await ground.do("DELETE", path, client=ground.anonymous, headers=headers)


async def _token(ground: Ground) -> httpx2.Response:
    form = {"grant_type": "password", "username": ADA, "password": PASSWORD}
    return await ground.do("POST", f"{V1}/auth/token", client=ground.anonymous, data=form)


async def _login(ground: Ground) -> httpx2.Response:
    async with ground.millrace.client("") as browser:
        body = {"email": ADA, "password": PASSWORD}
        return await ground.do("POST", f"{V1}/auth/login", client=browser, json=body)


async def _reset(ground: Ground) -> httpx2.Response:
    token = (await ground.post(f"users/{await ground.user()}/reset", {}))["reset_token"]
    body = {"token": token, "password": OTHER}
    return await ground.do("POST", f"{V1}/auth/reset", client=ground.anonymous, json=body)


async def set_up_first(ground: Ground) -> httpx2.Response:
    body = {"setup_key": ground.millrace.key, "email": ADA, "name": "Ada", "password": PASSWORD}
    return await ground.do("POST", f"{V1}/auth/setup", client=ground.anonymous, json=body)


async def _use_link(ground: Ground) -> httpx2.Response:
    run = await ground.run(ASK, "waiting")
    link = await ground.post(f"runs/{run}/tasks/ask/approval-link", {})
    path = urlsplit(link["url"]).path
    return await ground.do("POST", path, client=ground.anonymous, data={"decision": "approve"})


async def _backup(ground: Ground) -> httpx2.Response:
    return await ground.do("GET", f"{V1}/db/backup")


_workflow, _held = Ground.workflow, Ground.held
_CHANGE: Final = {"description": "other words"}
_DEPLOYED: Final = "workflow.deploy"

SETUP: Final = "POST /api/v1/auth/setup"
AUDITED: Final[Mapping[str, Audited]] = {
    SETUP: Audited(("user.update", "password.change"), set_up_first),
    "POST /api/v1/workflows/{workflow}/execute": _sent("POST", "workflows/{}/execute", RUN_START, _workflow, {}),
    "POST /api/v1/workflows/{workflow}/run": _sent("POST", "workflows/{}/run", RUN_START, _workflow, {}),
    "POST /api/v1/workflows/{workflow}/trigger/manual": _sent(
        "POST", "workflows/{}/trigger/manual", RUN_START, _workflow, {}
    ),
    "POST /api/v1/workflows/{workflow}/test": _sent("POST", "workflows/{}/test", RUN_START, _workflow, {}),
    "POST /webhook/{path:path}": Audited((RUN_START,), _receive),
    "POST /api/v1/workflows/{workflow}/stop": _sent("POST", "workflows/{}/stop", "workflow.stop", _stopped, {}),
    "POST /api/v1/artifacts": Audited(("artifact.upload",), _upload),
    "DELETE /api/v1/artifacts/{artifact}": _sent("DELETE", "artifacts/{}", "artifact.delete", Ground.artifact),
    "POST /api/v1/workflows": Audited(("workflow.create", _DEPLOYED), _create),
    "POST /api/v1/workflows/apply": Audited(("workflow.create", _DEPLOYED), _apply),
    "PATCH /api/v1/workflows/{workflow}": _sent("PATCH", "workflows/{}", "workflow.update", _workflow, _CHANGE),
    "PUT /api/v1/workflows/{workflow}": _sent(
        "PUT", "workflows/{}", f"workflow.update {_DEPLOYED}", _workflow, {"tasks": [HOLD]}
    ),
    "DELETE /api/v1/workflows/{workflow}": _sent("DELETE", "workflows/{}", "workflow.delete", _workflow),
    "PATCH /api/v1/workflows/{workflow}/versions/{version:path}": Audited(("version.describe",), _describe),
    "POST /api/v1/workflows/{workflow}/rollback": _sent(
        "POST", "workflows/{}/rollback", "workflow.update workflow.rollback", Ground.versions, {"version": 1}
    ),
    "POST /api/v1/workflows/{workflow}/enable": _sent("POST", "workflows/{}/enable", "workflow.enable", _disabled, {}),
    "POST /api/v1/workflows/{workflow}/disable": _sent(
        "POST", "workflows/{}/disable", "workflow.disable", _workflow, {}
    ),
    "PUT /api/v1/workflows/{workflow}/deploy": _sent("PUT", "workflows/{}/deploy", _DEPLOYED, Ground.versions, {}),
    "POST /api/v1/workflows/{workflow}/deploy": _sent("POST", "workflows/{}/deploy", _DEPLOYED, Ground.versions, {}),
    "DELETE /api/v1/workflows/{workflow}/deploy": _sent(
        "DELETE", "workflows/{}/deploy", "workflow.undeploy", _workflow
    ),
    "PUT /api/v1/workflows/{workflow}/canary": _sent(
        "PUT", "workflows/{}/canary", "canary.set", Ground.versions, {"version": 2, "share": 10}
    ),
    "DELETE /api/v1/workflows/{workflow}/canary": _sent("DELETE", "workflows/{}/canary", "canary.stop", _with_canary),
    "POST /api/v1/workflows/{workflow}/canary/promote": _sent(
        "POST", "workflows/{}/canary/promote", f"{_DEPLOYED} canary.stop", _with_canary, {}
    ),
    "POST /api/v1/workflows/{workflow}/tasks": _sent(
        "POST", "workflows/{}/tasks", f"workflow.update {_DEPLOYED}", _workflow, HOLD
    ),
    "PATCH /api/v1/workflows/{workflow}/tasks/{task}": _sent(
        "PATCH", "workflows/{}/tasks/a", f"workflow.update {_DEPLOYED}", _workflow, {"config": {"value": 2}}
    ),
    "PUT /api/v1/workflows/{workflow}/tasks/{task}": _sent(
        "PUT", "workflows/{}/tasks/a", f"workflow.update {_DEPLOYED}", _workflow, {**ECHO, "config": {"value": 3}}
    ),
    "DELETE /api/v1/workflows/{workflow}/tasks/{task}": _sent(
        "DELETE", "workflows/{}/tasks/hold", f"workflow.update {_DEPLOYED}", lambda g: g.workflow(ECHO, HOLD)
    ),
    "PUT /api/v1/workflows/{workflow}/test-mode": _sent(
        "PUT", "workflows/{}/test-mode", "workflow.test_mode", _workflow, {"on": False}
    ),
    "DELETE /api/v1/workflows/{workflow}/test-mode": _sent(
        "DELETE", "workflows/{}/test-mode", "workflow.test_mode", _tested
    ),
    "POST /api/v1/runs/{run}/cancel": _of_run("cancel", "run.cancel", HOLD, "running", {"reason": "enough"}),
    "POST /api/v1/runs/{run}/pause": _of_run("pause", "run.pause", HOLD, "running", {}),
    "POST /api/v1/runs/{run}/resume": _sent("POST", "runs/{}/resume", "run.resume", _paused, {}),
    "POST /api/v1/runs/{run}/signal": _of_run("signal", "run.signal", HOLD, "running", {"name": "go", "data": 1}),
    "POST /api/v1/runs/{run}/retry": _of_run("retry", RUN_START, {"id": "a", "type": "fail"}, "failed", {}),
    "POST /api/v1/runs/{run}/rerun": _of_run("rerun", RUN_START, ECHO, "completed", {}),
    "POST /api/v1/runs/bulk": Audited(("operation.begin",), _bulk),
    "POST /api/v1/runs/{run}/tasks/{path:path}/decision": _of_run(
        "tasks/ask/decision", "approval.decide", ASK, "waiting", {"decision": "approve"}
    ),
    "POST /api/v1/runs/{run}/tasks/{path:path}/approval-link": _of_run(
        "tasks/ask/approval-link", "approval.link", ASK, "waiting", {}
    ),
    "POST /approvals/{token}": Audited(("approval.decide",), _use_link),
    "POST /api/v1/events": Audited(("event.publish",), _event),
    "POST /api/v1/triggers/{trigger}/enable": _sent("POST", "triggers/{}/enable", "trigger.enable", _silent, {}),
    "POST /api/v1/triggers/{trigger}/disable": _sent(
        "POST", "triggers/{}/disable", "trigger.disable", Ground.trigger, {}
    ),
    "POST /api/v1/webhooks": Audited(("webhook.create",), _new_webhook),
    "PATCH /api/v1/webhooks/{webhook}": _sent(
        "PATCH", "webhooks/{}", "webhook.update", Ground.webhook, {"name": "other"}
    ),
    "PUT /api/v1/webhooks/{webhook}": _sent(
        "PUT", "webhooks/{}", "webhook.update", Ground.webhook, {"url_path": "all/new"}
    ),
    "DELETE /api/v1/webhooks/{webhook}": _sent("DELETE", "webhooks/{}", "webhook.delete", Ground.webhook),
    "POST /api/v1/triggers/{trigger}/backfill": _sent(
        "POST", "triggers/{}/backfill", "backfill.begin", Ground.trigger, RANGE
    ),
    "POST /api/v1/backfills/{backfill}/pause": _sent("POST", "backfills/{}/pause", "backfill.pause", Ground.backfill),
    "POST /api/v1/backfills/{backfill}/resume": _sent(
        "POST", "backfills/{}/resume", "backfill.resume", _paused_backfill
    ),
    "POST /api/v1/backfills/{backfill}/cancel": _sent(
        "POST", "backfills/{}/cancel", "backfill.cancel", Ground.backfill
    ),
    "POST /api/v1/retention/run": Audited(
        ("retention.run",), lambda ground: ground.do("POST", f"{V1}/retention/run", json={})
    ),
    "POST /api/v1/secrets/rotate-key": Audited(("encryption_key.rotate",), _rotate),
    "PUT /api/v1/secrets/{name}": Audited(("secret.set",), _set_secret),
    "PATCH /api/v1/secrets/{name}": _sent("PATCH", "secrets/{}", "secret.set", Ground.secret, {"workflows": ["a"]}),
    "DELETE /api/v1/secrets/{name}": _sent("DELETE", "secrets/{}", "secret.delete", Ground.secret),
    "PUT /api/v1/connections/{name}": Audited(("connection.set",), _set_connection),
    "PATCH /api/v1/connections/{name}": _sent(
        "PATCH", "connections/{}", "connection.set", Ground.connection, {"workflows": ["a"]}
    ),
    "DELETE /api/v1/connections/{name}": _sent("DELETE", "connections/{}", "connection.delete", Ground.connection),
    "POST /api/v1/secrets/{name}/rollback": _sent(
        "POST", "secrets/{}/rollback", "secret.set", _changed_secret, {"version": 1}
    ),
    "POST /api/v1/connections/{name}/rollback": _sent(
        "POST", "connections/{}/rollback", "connection.set", _changed_connection, {"version": 1}
    ),
    "PUT /api/v1/workflows/{workflow}/grants/{user}": Audited(("grant.set",), _grant),
    "DELETE /api/v1/workflows/{workflow}/grants/{user}": Audited(("grant.remove",), _take_grant),
    "POST /api/v1/agents": Audited(("agent.create",), _new_agent),
    "PUT /api/v1/agents/{agent}": _sent("PUT", "agents/{}", "agent.update", Ground.agent, {"timeout_ms": 5000}),
    "PATCH /api/v1/agents/{agent}": _sent("PATCH", "agents/{}", "agent.update", Ground.agent, _CHANGE),
    "DELETE /api/v1/agents/{agent}": _sent("DELETE", "agents/{}", "agent.delete", Ground.agent),
    "PATCH /api/v1/auth/me": Audited(("user.update",), _rename),
    "POST /api/v1/auth/password": Audited(("password.change",), _change_password),
    "POST /api/v1/auth/logout": Audited(("login.end",), _log_out),
    "POST /api/v1/auth/logout-everywhere": Audited(("login.end",), _log_out_everywhere),
    "DELETE /api/v1/auth/sessions/{session}": Audited(("login.end",), _end_session),
    "POST /api/v1/api-keys": Audited(("api_key.create",), _new_key),
    "DELETE /api/v1/api-keys/{key}": _sent("DELETE", "api-keys/{}", "api_key.revoke", Ground.key),
    "POST /api/v1/api-keys/{key}/rotate": _sent("POST", "api-keys/{}/rotate", "api_key.rotate", Ground.key, {}),
    "POST /api/v1/users": Audited(("user.create",), _new_user),
    "PATCH /api/v1/users/{user}": _sent("PATCH", "users/{}", "user.update", Ground.user, {"role": "operator"}),
    "DELETE /api/v1/users/{user}": _sent("DELETE", "users/{}", "user.delete", Ground.user),
    "POST /api/v1/users/{user}/erase": _sent("POST", "users/{}/erase", "user.erase", Ground.user, {"confirm": "Grace"}),
    "POST /api/v1/users/{user}/disable": _sent("POST", "users/{}/disable", "user.disable", Ground.user, {}),
    "POST /api/v1/users/{user}/enable": _sent("POST", "users/{}/enable", "user.enable", _disabled_user, {}),
    "POST /api/v1/users/{user}/reset": _sent("POST", "users/{}/reset", "user.reset", Ground.user, {}),
    "POST /api/v1/users/{user}/logout": _sent("POST", "users/{}/logout", "login.end", _logged_in_user, {}),
    "POST /api/v1/auth/token": Audited(("login.start",), _token),
    "POST /api/v1/auth/login": Audited(("login.start",), _login),
    "POST /api/v1/auth/reset": Audited(("password.change",), _reset),
    "GET /api/v1/db/backup": Audited(("database.backup",), _backup),
}
"""By method and path. The first administrator is set up first, so that somebody can log in."""
