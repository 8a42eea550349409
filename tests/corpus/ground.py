"""What has to be there before bad input is sent: something of each kind that it could damage."""

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
    names = {
        "key": key,
        "run": run["id"],
        "target": target["id"],
        "task": target["tasks"][0]["uid"],
        "artifact": artifact["id"],
    }
    return replace(server, names=names)


CONNECTION = {
    "type": "postgresql",
    "config": {"host": "db.invalid", "database": "d", "user": "u", "password": "not to be seen"},
}


def _made(server: Server, method: str, path: str, body: Any) -> dict[str, Any]:
    answer = server.ask(method, API + path, body)
    if answer.status not in (200, 201, 202):
        raise RuntimeError(f"{method} {path}: {answer.status} {answer.body.decode()}")
    made: dict[str, Any] = answer.json()
    return made
