"""What has to be there before bad input is sent: something of each kind that it could damage."""

import time
from dataclasses import replace
from typing import Any

from tests.corpus.reading import definition
from tests.corpus.sending import Server

API = "/api/v1"

TARGET = definition(
    name="target",
    variables={"region": "eu"},
    tasks=[
        {"id": "a", "type": "transform", "config": {"output": 1}},
        {"id": "b", "type": "log", "config": {"message": "{{ tasks.a.output }}"}},
    ],
    triggers=[
        # It must not fire while the corpus is sent, on no day of the year.
        {"id": "yearly", "type": "cron", "enabled": False, "config": {"expression": "0 0 1 1 *"}},
        {"id": "byhand", "type": "manual"},
    ],
)
TYPED = definition(
    name="typed",
    input={
        "type": "object",
        "required": ["count"],
        "additionalProperties": False,
        "properties": {
            "count": {"type": "integer", "minimum": 1, "maximum": 10},
            "name": {"type": "string", "maxLength": 10, "pattern": "^[a-z]*$"},
            "kind": {"enum": ["small", "large"]},
        },
    },
)
CONFIRMED = definition(
    name="confirmed", triggers=[{"id": "m", "type": "manual", "config": {"require_confirmation": True}}]
)
ASKING = definition(
    name="asking",
    tasks=[
        {
            "id": "ask",
            "type": "approval",
            "config": {
                "message": "publish?",
                "form": {
                    "type": "object",
                    "required": ["copies"],
                    "additionalProperties": False,
                    "properties": {"copies": {"type": "integer", "minimum": 1, "maximum": 9}},
                },
            },
        },
        {"id": "plain", "type": "approval", "config": {"message": "really?"}, "depends_on": []},
        {"id": "signal", "type": "wait_for_event", "config": {"signal": "go_on"}, "depends_on": []},
        {"id": "after", "type": "noop"},
    ],
)
ASKING_ONCE = definition(name="asking once", tasks=[{"id": "ask", "type": "approval", "config": {"message": "?"}}])


def prepare(port: int, key: str) -> Server:
    """Make it all; answers the server with the names that cases may use."""
    server = Server(port, {"key": key})
    target = _made(server, "POST", "/workflows", TARGET)
    for other in (TYPED, CONFIRMED, definition(name="closed", status="inactive"), definition(name="draft")):
        _made(server, "POST", "/workflows", other)
    taken = {"input": {"n": 1}, "idempotency_key": "taken", "wait": True}
    run = _made(server, "POST", "/workflows/target/execute", taken)
    artifact = _made(server, "POST", "/artifacts?name=corpus.json", {"kept": True})
    _made(server, "PUT", "/secrets/corpus_secret", {"value": "not to be seen"})
    _made(server, "PUT", "/connections/corpus_db", CONNECTION)
    _made(server, "POST", "/agents", AGENT)
    names = {
        "key": key,
        "run": run["id"],
        "target": target["id"],
        "task": target["tasks"][0]["uid"],
        "artifact": artifact["id"],
    }
    return replace(server, names=names | _asked(server))


def _asked(server: Server) -> dict[str, str]:
    """A run that waits for decisions, one that was decided, and links of all kinds."""
    for workflow in (ASKING, ASKING_ONCE):
        _made(server, "POST", "/workflows", workflow)
    waiting, decided = (_waiting(server, name) for name in ("asking", "asking-once"))
    used = _link(server, decided)
    decision = {"decision": "approve", "idempotency_key": "taken"}
    _made(server, "POST", f"/runs/{decided}/tasks/ask/decision", decision)
    _until(server, decided, "completed")
    link, expired = _link(server, waiting), _link(server, waiting, expires_in="1ms")
    return {
        "waiting": waiting,
        "decided": decided,
        "link": link,
        "link_without_end": link[:-1],
        "link_expired": expired,
        "link_used": used,
        "link_to_reject": _link(server, waiting, decision="reject"),
    }


def _link(server: Server, run: str, **body: str) -> str:
    url: str = _made(server, "POST", f"/runs/{run}/tasks/ask/approval-link", body)["url"]
    return url.rpartition("/")[2]


def _waiting(server: Server, workflow: str) -> str:
    run: str = _made(server, "POST", f"/workflows/{workflow}/execute", {})["id"]
    _until(server, run, "waiting")
    return run


def _until(server: Server, run: str, status: str) -> None:
    for _ in range(500):
        if server.ask("GET", f"{API}/runs/{run}").json()["status"] == status:
            return
        time.sleep(0.02)
    raise RuntimeError(f"the run {run} does not become {status}")


CONNECTION = {
    "type": "postgresql",
    "config": {"host": "db.invalid", "database": "d", "user": "u", "password": "not to be seen"},
}

AGENT = {
    "name": "corpus_agent",
    "url": "https://1.1.1.1",
    "auth_type": "bearer",
    "auth_config": {"token": "not to be seen"},
    "status": "inactive",
}
"""Nobody looks at the health of one that is not active."""


def _made(server: Server, method: str, path: str, body: Any) -> dict[str, Any]:
    answer = server.ask(method, API + path, body)
    if answer.status not in (200, 201, 202):
        raise RuntimeError(f"{method} {path}: {answer.status} {answer.body.decode()}")
    made: dict[str, Any] = answer.json()
    return made
