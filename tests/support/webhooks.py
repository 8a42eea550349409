"""Webhooks as their senders see them: signed, with a key, or with nothing; and the runs that come of them."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx2

from tests.support.api import create
from tests.support.installation import Installation

SECRET = "the secret of the hook, long enough for everything that signs with it"
HOOK = {"id": "hook", "type": "webhook"}
ECHO = {"id": "a", "type": "echo", "config": {"value": "{{ trigger }}"}}


def with_hook(name: str = "hooked", /, *, tasks: list[dict[str, Any]] | None = None, **config: Any) -> dict[str, Any]:
    trigger = {**HOOK, **{key: config.pop(key) for key in ("if", "input", "enabled") if key in config}}
    triggers = [{**trigger, "config": config}]
    return {"name": name, "triggers": triggers, "tasks": tasks or [ECHO], "output": "{{ tasks.a.output }}"}


def hmac_by(preset: str, **options: Any) -> dict[str, Any]:
    return {"type": "hmac", "preset": preset, "secret": "{{ secrets.hook }}", **options}


async def set_secret(api: httpx2.AsyncClient, name: str = "hook", value: str = SECRET) -> None:
    response = await api.put(f"/api/v1/secrets/{name}", json={"value": value})
    assert response.status_code in (200, 201), response.text


async def hooked(api: httpx2.AsyncClient, **config: Any) -> str:
    """A workflow with a webhook of this config, and the path of that."""
    await create(api, with_hook(**config))
    (trigger,) = (await api.get("/api/v1/workflows/hooked/triggers")).json()["items"]
    path: str = trigger["webhook"]["paths"][0]
    return path


async def trigger_of(api: httpx2.AsyncClient, workflow: str = "hooked") -> dict[str, Any]:
    (trigger,) = (await api.get(f"/api/v1/workflows/{workflow}/triggers")).json()["items"]
    shown: dict[str, Any] = trigger
    return shown


async def runs_of(api: httpx2.AsyncClient, workflow: str = "hooked") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.get(f"/api/v1/workflows/{workflow}/runs")).json()["items"]
    return items


async def finished(millrace: Installation, api: httpx2.AsyncClient, response: httpx2.Response) -> dict[str, Any]:
    """The run that a request has started, once it has finished."""
    assert response.status_code == 202, response.text
    run_id = response.json()["run_id"]
    assert await millrace.container.run_starter.wait(run_id, 60)
    run: dict[str, Any] = (await api.get(f"/api/v1/runs/{run_id}")).json()
    return run


def stranger(millrace: Installation) -> httpx2.AsyncClient:
    """Somebody who has no key of the API."""
    return millrace.client("")


# --- what senders add -------------------------------------------------------------------------------------------------


def digest(text: bytes, algorithm: str = "sha256", secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), text, algorithm).digest()


def github(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={digest(body, secret=secret).hex()}"}


def stripe(body: bytes, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    moment = int(time.time() if at is None else at)
    return {"Stripe-Signature": f"t={moment},v1={digest(b'%d.' % moment + body, secret=secret).hex()}"}


def slack(body: bytes, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    moment = int(time.time() if at is None else at)
    signature = digest(b"v0:%d:" % moment + body, secret=secret).hex()
    return {"X-Slack-Request-Timestamp": str(moment), "X-Slack-Signature": f"v0={signature}"}


def generic(body: bytes, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    moment = int(time.time() if at is None else at)
    return {"X-Time": str(moment), "X-Signature": digest(b"%d." % moment + body, secret=secret).hex()}


def basic(user: str, password: str = SECRET) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> dict[str, str]:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    made = {"exp": int(time.time()) + 60, **claims}
    signed = f"{part(json.dumps({'alg': algorithm}).encode())}.{part(json.dumps(made).encode())}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return {"Authorization": f"Bearer {signed}.{part(signature)}"}
