"""Webhooks in a definition: what their config takes, and where a fault is. Secrets are named there, never written."""

from typing import Any

import pytest

from tests.unit.definition.example import accepted, only, workflow

CONFIG = "triggers[0].config"
SECRET = "{{ secrets.hook }}"


def hook(**config: Any) -> dict[str, Any]:
    return workflow(triggers=[{"type": "webhook", "config": config}])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"path": "orders"},
        {"path": "/webhook/shop/orders.v1~x-y_z/"},
        {"methods": ["GET", "post"], "event_type": "order", "raw": True, "max_body": 10_485_760},
        {"respond": "output", "wait": 60},
        {"headers": {"X-Event": "push"}, "dedupe": {"header": "X-Delivery"}},
        {"dedupe": {"body": "event.id"}},
        {"auth": {"type": "hmac", "preset": "generic", "secret": SECRET}},
        {
            "authentication": {
                "type": "hmac",
                "secret": "{{secrets.hook}}",
                "timestamp_header": "X-T",
                "tolerance": "1h",
            }
        },
        {"authentication": {"type": "api_key", "value": SECRET}},
        {"authentication": {"type": "basic", "username": "shop", "password": SECRET}},
        {"authentication": {"type": "jwt", "algorithms": ["HS256", "HS512"], "secret": SECRET, "leeway": "1m"}},
        {"authentication": {"type": "jwt", "algorithms": ["RS256"], "public_key": SECRET}},
        {"authentication": {"type": "jwt", "algorithms": ["ES256"], "public_key": "-----BEGIN PUBLIC KEY-----\n…"}},
        {"authentication": {"type": "none"}},
    ],
)
def test_what_a_webhook_takes(config: dict[str, Any]) -> None:
    made = accepted(hook(**config))
    assert made.warnings == ()
    assert made.canonical["triggers"] == [{"id": "webhook", "type": "webhook", "config": config}]


def test_its_expressions_read_all_that_a_request_says() -> None:
    fields = ("id", "type", "time", "method", "path", "headers", "query", "body", "event_type", "files", "raw")
    given = {field: f"{{{{ trigger.{field} }}}}" for field in fields}
    accepted(workflow(triggers=[{"type": "webhook", "if": "{{ trigger.body.a == 1 }}", "input": given}]))
    fault = only(workflow(triggers=[{"type": "webhook", "input": {"a": "{{ trigger.header }}"}}]))
    assert "did you mean 'headers'" in fault.message


@pytest.mark.parametrize(
    ("config", "path", "says", "remedy"),
    [
        ({"path": "a b"}, "path", "cannot be the path of a webhook", "shop/orders"),
        ({"path": "a/../b"}, "path", "cannot be the path of a webhook", ""),
        ({"path": "{{ variables.a }}"}, "path", "is not replaced", "the value itself"),
        ({"methods": ["HEAD"]}, "methods[0]", "cannot be 'HEAD'", "GET, POST"),
        ({"methods": "POST"}, "methods", "must be a list", "[POST]"),
        ({"auth": {"type": "hmac", "secret": "abc"}}, "auth.secret", "does not stand in a definition", "secrets set"),
        ({"auth": {"type": "hmac", "secret": "x{{ secrets.a }}"}}, "auth.secret", "is a secret", "nothing else"),
        ({"auth": {"type": "hmac", "secret": "{{ input.a }}"}}, "auth.secret", "is a secret", "nothing else"),
        ({"auth": {"type": "hmac", "secret": "{{ secrets['a'] }}"}}, "auth.secret", "is a secret", "nothing else"),
        ({"auth": {"type": "basic", "username": SECRET, "password": SECRET}}, "auth.username", "not replaced", ""),
        ({"auth": {"type": "hmac"}}, "auth.secret", "secret is missing", "add secret"),
        ({"auth": {"type": "hmac", "preset": "gitlab", "secret": SECRET}}, "auth.preset", "'gitlab'", "github, stripe"),
        ({"auth": {"secret": SECRET}}, "auth.type", "type is missing", ""),
        ({"auth": {"type": "digest"}}, "auth.type", "cannot be 'digest'", "hmac"),
        ({"auth": {"type": "none"}, "authentication": {"type": "none"}}, "auth", "are the same", "one of them"),
        ({"auth": {"type": "hmac", "secret": SECRET}, "dedupe": {"header": "X"}}, "auth", "does not cover headers", ""),
        (
            {"auth": {"type": "jwt", "algorithms": ["RS256"], "secret": SECRET}},
            "auth", "needs a public_key and no secret", "leave out secret",
        ),
        (
            {"authentication": {"type": "hmac", "preset": "slack", "secret": SECRET, "header": "X"}},
            "authentication.header", "the preset slack says this already", "preset: generic",
        ),
        ({"dedupe": {"body": "a..b"}}, "dedupe.body", "", ""),
        ({"wait": "2m"}, "wait", "60s at most", ""),
        ({"headers": {"X-A": "{{ secrets.a }}"}}, "headers['X-A']", "is not replaced", ""),
        ({"url_path": "orders"}, "url_path", "there is no field 'url_path'", "path"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(config: dict[str, Any], path: str, says: str, remedy: str) -> None:
    fault = only(hook(**config))
    assert fault.path.replace('"', "'") == f"{CONFIG}.{path}"
    assert says in fault.message
    assert remedy in fault.remedy
