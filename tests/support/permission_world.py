"""One of everything that a route can be about, and an API key for everybody whom the matrix of permissions tells of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from tests.support.api import create, start, until_status
from tests.support.installation import Installation

API: Final = "/api/v1"
ROLES: Final = ("admin", "developer", "operator", "viewer")
GRANTS: Final = {"view": ["view"], "run": ["run"], "approve": ["approve"], "edit": ["edit"], "without": []}
"""The restricted ones: developers by their role, whom it gives nothing that is about workflows."""

PUBLISHED: Final = "tests.published"


@dataclass(frozen=True)
class World:
    """Ids by the parameters of routes, and API keys by who has them."""

    ids: Mapping[str, str]
    keys: Mapping[str, str]

    def path(self, template: str) -> str:
        path = template.replace("{path:path}", "ask").replace("{version:path}", "1")
        path = path.replace("/archive/runs/{run}", f"/archive/runs/{self.ids['archived']}")
        path = path.replace("{workflow}/triggers/{trigger}", "{workflow}/triggers/known_timed")
        for name, value in self.ids.items():
            path = path.replace(f"{{{name}}}", value)
        return path


async def everything(api: httpx2.AsyncClient, name: str) -> dict[str, str]:
    """A workflow and one of each thing that belongs to it, all of them with this name somewhere."""
    workflow = await create(api, _definition(name))
    run = await start(api, name, correlation_id=f"{name}-run")
    await until_status(api, run, "waiting")
    triggers = (await api.get(f"{API}/workflows/{name}/triggers")).json()["items"]
    (timed,) = [trigger["id"] for trigger in triggers if trigger["type"] == "cron"]
    hook = await _made(
        api, "/webhooks", {"workflow_id": workflow["id"], "name": f"{name}_hook", "url_path": f"{name}-hook"}
    )
    await _accepted(
        api, f"/triggers/{timed}/backfill", {"from": "2026-01-01T00:00:00Z", "until": "2026-01-03T00:00:00Z"}
    )
    (backfill,) = (await api.get(f"{API}/backfills", params={"workflow": name})).json()["items"]
    await _accepted(api, "/runs/bulk", {"action": "pause", "filter": {"workflow": name, "status": ["pending"]}})
    files = (await api.get(f"{API}/runs/{run['id']}/artifacts")).json()["items"]
    canary = await _canary(api, name)
    return {
        "workflow": workflow["id"],
        "run": run["id"],
        "trigger": timed,
        "webhook": hook["id"],
        "backfill": backfill["id"],
        "artifact": files[0]["id"],
        "canary": canary,
        "task": "ask",
    }


async def archived(millrace: Installation, api: httpx2.AsyncClient, name: str) -> str:
    """A run of the workflow that has a file, has completed, and is in the archive alone."""
    run = await start(api, name, input={"said": f"{name} in the archive"})
    await until_status(api, run, "waiting")
    await _accepted(api, f"/runs/{run['id']}/tasks/ask/decision", {"decision": "approve"})
    await until_status(api, run, "completed")
    kept = await api.patch(f"{API}/workflows/{name}", json={"retention": {"runs": "1ms", "archive": True}})
    assert kept.status_code == 200, kept.text
    await _accepted(api, "/retention/run", {})
    await millrace.container.retention.run_once()
    assert (await api.get(f"{API}/runs/{run['id']}")).status_code == 404
    assert (await api.get(f"{API}/archive/runs/{run['id']}")).status_code == 200
    return str(run["id"])


async def people(api: httpx2.AsyncClient, workflow: str) -> dict[str, str]:
    """An API key of a service account of each role, and of restricted ones with each grant on the workflow."""
    keys = {role: await _key(api, {"name": f"a-{role}", "kind": "service", "role": role}) for role in ROLES}
    for name, given in GRANTS.items():
        body = {"name": f"with-{name}", "kind": "service", "role": "developer", "access": "granted"}
        keys[name] = await _key(api, body)
        if given:
            path = f"{API}/workflows/{workflow}/grants/with-{name}"
            assert (await api.put(path, json={"grants": given})).status_code == 200
    return keys


async def world(millrace: Installation, api: httpx2.AsyncClient) -> World:
    ids = await everything(api, "known")
    ids["archived"] = await archived(millrace, api, "known")
    operation = await _accepted(api, "/runs/bulk", {"action": "resume", "filter": {"workflow": "known"}})
    victim = await _made(api, "/users", {"name": "victim", "kind": "service", "role": "viewer"})
    key = await _made(api, "/api-keys", {"name": "of the victim", "user": "victim"})
    event = await api.post(f"{API}/events", json={"type": PUBLISHED, "source": "tests"})
    further = {"operation": operation["id"], "user": victim["id"], "key": key["id"], "event": event.json()["id"]}
    return World(
        {**ids, **further, "session": "none", "name": "none", "agent": "none"}, await people(api, ids["workflow"])
    )


async def _key(api: httpx2.AsyncClient, body: dict[str, Any]) -> str:
    await _made(api, "/users", body)
    return str((await _made(api, "/api-keys", {"name": "test", "user": body["name"]}))["key"])


async def _made(api: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await api.post(f"{API}{path}", json=body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


async def _accepted(api: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await api.post(f"{API}{path}", json=body)
    assert response.status_code == 202, response.text
    made: dict[str, Any] = response.json()
    return made


async def _canary(api: httpx2.AsyncClient, name: str) -> str:
    changed = await api.patch(f"{API}/workflows/{name}", json={"timeout": "2h", "deploy": False})
    assert changed.status_code == 200, changed.text
    shown = await api.put(f"{API}/workflows/{name}/canary", json={"version": 2, "share": 10})
    assert shown.status_code == 200, shown.text
    (canary,) = (await api.get(f"{API}/workflows/{name}/canaries")).json()["items"]
    return str(canary["id"])


def _definition(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "tasks": [
            {"id": "file", "type": "write", "config": {"value": {f"{name}.txt": "text"}}},
            {"id": "ask", "type": "approval", "config": {"message": f"{name}?"}, "depends_on": ["file"]},
        ],
        "triggers": [
            {"id": f"{name}_timed", "type": "cron", "enabled": True, "config": {"expression": "0 0 * * *"}},
            {"id": f"{name}_heard", "type": "event", "config": {"event_type": PUBLISHED}},
        ],
    }
