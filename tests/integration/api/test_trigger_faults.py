"""What is wrong with triggers and events, as the API says it: where, in plain words, and what would be right.

The same mistake in a definition, in a request for a webhook and in an event is told alike, never in pydantic's words.
"""

from typing import Any

import httpx2
import pytest

from tests.support.api import create, definition, problem
from tests.support.databases import ON_SQLITE

pytestmark = ON_SQLITE

SECRET = "{{ secrets.hook }}"
KEY = {"type": "api_key", "value": SECRET}
BASIC = {"type": "basic", "username": "shop", "password": SECRET}
JWT = {"type": "jwt", "algorithms": ["HS256"], "secret": SECRET}

WEBHOOKS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"authentication": "api_key"}, "authentication", "must be a mapping, not text", "api_key"),
    ({"authentication": "secret"}, "authentication", "must be a mapping, not text", "one of none, api_key, basic"),
    ({"authentication": ["api_key"]}, "authentication", "must be a mapping, not a list", "type"),
    ({"authentication": {}}, "authentication.type", "type is missing", "api_key"),
    ({"authentication": {"type": "apikey"}}, "authentication.type", "did you mean 'api_key'?", "hmac"),
    ({"authentication": {"type": "api_key"}}, "authentication.value", "value is missing", "The key"),
    ({"authentication": {**KEY, "value": 5}}, "authentication.value", "must be text, not a number", SECRET[:10]),
    ({"authentication": {**KEY, "value": ""}}, "authentication.value", "no secret is named", "secrets set NAME"),
    ({"authentication": {**KEY, "value": "x" * 300}}, "authentication.value", "a secret does not stand", "secrets set"),
    ({"authentication": {**KEY, "header": ""}}, "authentication.header", "cannot be the name of a header", "X-"),
    ({"authentication": {**KEY, "header": "x" * 101}}, "authentication.header", "cannot be the name", "at most 100"),
    ({"authentication": {**KEY, "heder": "X"}}, "authentication.heder", "did you mean 'header'?", "value"),
    ({"authentication": {**BASIC, "username": ""}}, "authentication.username", "is not empty", "such as shop"),
    ({"authentication": {**BASIC, "username": "a:b"}}, "authentication.username", "no colon", "such as shop"),
    ({"authentication": {**BASIC, "username": "x" * 256}}, "authentication.username", "at most 255 characters", ""),
    ({"authentication": {**JWT, "algorithms": "HS256"}}, "authentication.algorithms", "a list, not text", "a list"),
    ({"authentication": {**JWT, "algorithms": []}}, "authentication.algorithms", "must not be empty", "1 entry"),
    ({"authentication": {**JWT, "issuer": ""}}, "authentication.issuer", "must not be empty", "or leave it out"),
    (
        {"authentication": {"type": "hmac", "secret": SECRET, "prefix": "sha 256"}},
        "authentication.prefix", "without blanks", "such as sha256=",
    ),
    ({"headers": "X-Event"}, "headers", "must be a mapping, not text", "write a mapping"),
    ({"headers": {"X-Event": 5}}, "headers['X-Event']", "must be text, not a number", "write text"),
    ({"headers": {"": "push"}}, "headers['']", "cannot be the name of a header", "X-Signature"),
    ({"headers": {"X": "x" * 1001}}, "headers.X", "at most 1000 characters", "at most 1000"),
    ({"headers": {f"X-{n}": "" for n in range(21)}}, "headers", "at most 20 entries", "at most 20"),
    ({"event_type": ""}, "event_type", "must not be empty", "or leave it out"),
    ({"event_type": ["order"]}, "event_type", "must be text, not a list", "write text"),
    ({"event_type": "x" * 256}, "event_type", "at most 255 characters", "at most 255"),
    ({"dedupe": "X-Id"}, "dedupe", "must be a mapping, not text", "header"),
    ({"dedupe": {"body": ""}}, "dedupe.body", "names nothing in a body", "such as event.id"),
    ({"dedupe": {"body": 5}}, "dedupe.body", "must be text, not a number", "write text"),
    ({"methods": "POST"}, "methods", "must be a list, not text", "write a list"),
    ({"methods": []}, "methods", "must not be empty", "or leave it out"),
    ({"methods": [5]}, "methods[0]", "5", "GET"),
    ({"respond": "later"}, "respond", "", "output"),
    ({"max_body": "1 MB"}, "max_body", "must be a whole number, not text", "a whole number"),
    ({"max_body": 20_000_000}, "max_body", "must be at most 10485760", "at most 10485760"),
    ({"raw": "yes"}, "raw", "must be true or false, not text", "true or false"),
]  # fmt: skip


def told(faults: list[dict[str, Any]], path: str, says: str, remedy: str) -> None:
    (fault,) = faults
    assert fault["path"] == path, fault
    assert says in fault["message"], fault
    assert fault["remedy"], fault
    assert remedy in fault["remedy"], fault
    for words in ("nput should", "Value should", "should have", "after validation", "required", "pattern", "/docs"):
        assert words not in f"{fault['message']} {fault['remedy']}", fault


async def validated(api: httpx2.AsyncClient, kind: str, config: Any) -> list[dict[str, Any]]:
    body = {**definition("orders"), "triggers": [{"type": kind, "config": config}]}
    refused = problem(await api.post("/api/v1/workflows/validate", json=body), 422, "invalid_definition")
    found: list[dict[str, Any]] = refused["faults"]
    return found


@pytest.mark.parametrize(("config", "path", "says", "remedy"), WEBHOOKS)
async def test_webhooks_of_a_definition(
    api: httpx2.AsyncClient, config: dict[str, Any], path: str, says: str, remedy: str
) -> None:
    told(await validated(api, "webhook", config), f"triggers[0].config.{path}", says, remedy)


@pytest.mark.parametrize(("config", "path", "says", "remedy"), WEBHOOKS)
async def test_webhooks_that_are_made_by_requests(
    api: httpx2.AsyncClient, config: dict[str, Any], path: str, says: str, remedy: str
) -> None:
    """In the same words, but that no value is repeated."""
    await create(api, definition("shop"))
    refused = problem(
        await api.post("/api/v1/webhooks", json={"workflow_id": "shop", **config}), 422, "invalid_request"
    )
    told(refused["faults"], path, "not a number" if says == "5" else says, remedy)


@pytest.mark.parametrize(("given", "shown"), [("api_key", '{"type": "api_key", "value": …}'), ("none", '"none"}')])
async def test_who_writes_the_word_alone_is_shown_the_mapping(api: httpx2.AsyncClient, given: str, shown: str) -> None:
    await create(api, definition("shop"))
    body = {"workflow_id": "shop", "authentication": given}
    refused = problem(await api.post("/api/v1/webhooks", json=body), 422, "invalid_request")
    assert shown in refused["faults"][0]["remedy"]
    (fault,) = await validated(api, "webhook", {"authentication": given})
    assert shown.replace('"', "") in fault["remedy"]


LINE = "a line break or another control character"
EVENTS: list[tuple[dict[str, Any], str, str, str]] = [
    ({}, "type", "type is missing", "What kind of thing happened"),
    ({"type": ""}, "type", "type must not be empty", "such as orders.imported"),
    ({"type": 5}, "type", "type must be text, not a number", "such as orders.imported"),
    ({"type": " a"}, "type", "neither begins nor ends with a blank", "orders.imported"),
    ({"type": "a\nb"}, "type", LINE, "one line"),
    ({"type": "x" * 256}, "type", "at most 255 characters", "at most 255"),
    ({"type": "a", "subject": ""}, "subject", "subject must not be empty", "or leave it out"),
    ({"type": "a", "subject": {"day": 7}}, "subject", "subject must be text, not a mapping", "write text"),
    ({"type": "a", "subject": ["day"]}, "subject", "subject must be text, not a list", "write text"),
    ({"type": "a", "subject": "a\nb"}, "subject", LINE, "one line"),
    ({"type": "a", "subject": "x" * 256}, "subject", "at most 255 characters", "at most 255"),
    ({"type": "a", "source": ""}, "source", "source must not be empty", "such as shops/berlin"),
    ({"type": "a", "id": ""}, "id", "id must not be empty", "at least 1 character"),
    ({"type": "a", "id": 7}, "id", "id must be text, not a number", "write text"),
    ({"type": "a", "time": "yesterday"}, "time", "time is not a time", "with its zone"),
    ({"type": "a", "time": "2026-03-29T01:00:00"}, "time", "a time without a zone", "add the zone"),
    ({"type": "a", "time": "1960-03-29T01:00:00Z"}, "time", "must not be before 1970", "at or after 1970"),
]


@pytest.mark.parametrize(("event", "path", "says", "remedy"), EVENTS)
async def test_events(api: httpx2.AsyncClient, event: dict[str, Any], path: str, says: str, remedy: str) -> None:
    told(problem(await api.post("/api/v1/events", json=event), 422, "invalid_event")["faults"], path, says, remedy)


@pytest.mark.parametrize(("event", "path", "says", "remedy"), EVENTS)
async def test_cloud_events_in_a_batch(
    api: httpx2.AsyncClient, event: dict[str, Any], path: str, says: str, remedy: str
) -> None:
    whole = {"specversion": "1.0", "id": "1", "source": "/shop", **event}
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    refused = await api.post("/api/v1/events", json=[whole], headers=headers)
    optional = "" if path in ("source", "id") else remedy
    told(problem(refused, 422, "invalid_event")["faults"], f"[0].{path}", says, optional)


@pytest.mark.parametrize(
    ("config", "path", "says", "remedy"),
    [
        ({}, "event_type", "event_type is missing", "The type of the events"),
        ({"event_type": ""}, "event_type", "this is no type of events", "such as orders.imported"),
        ({"event_type": 5}, "event_type", "must be text or a list, not a number", "text or a list"),
        ({"event_type": {}}, "event_type", "must be text or a list, not a mapping", "text or a list"),
        ({"event_type": []}, "event_type", "event_type must not be empty", "at least 1 entry"),
        ({"event_type": ["a"] * 51}, "event_type", "at most 50 entries", "at most 50 entries"),
        ({"event_type": ["a", ""]}, "event_type[1]", "this is no type of events", "such as orders.imported"),
        ({"event_type": ["a", 5]}, "event_type[1]", "event_type[1] must be text, not a number", "write text"),
        ({"event_type": "x" * 256}, "event_type", "event_type must have at most 255 characters", "at most 255"),
        ({"event_type": "a", "subject": ""}, "subject", "subject must not be empty", "such as order/*, or leave it"),
        ({"event_type": "a", "subject": 5}, "subject", "subject must be text or a list, not a number", "text or a"),
        ({"event_type": "a", "subject": []}, "subject", "subject must not be empty", "or leave it out"),
        ({"event_type": "a", "subject": [""]}, "subject[0]", "subject[0] must not be empty", "at least 1 character"),
        ({"event_type": "a", "subject": "a\nb"}, "subject", LINE, "one line"),
        ({"event_type": "a", "subject": "x" * 256}, "subject", "at most 255 characters", "at most 255 characters"),
        ({"event_type": "a", "source": ""}, "source", "source must not be empty", "or leave it out"),
    ],
)
async def test_event_triggers(
    api: httpx2.AsyncClient, config: dict[str, Any], path: str, says: str, remedy: str
) -> None:
    told(await validated(api, "event", config), f"triggers[0].config.{path}", says, remedy)


async def test_no_fault_of_a_request_repeats_a_value(api: httpx2.AsyncClient) -> None:
    await create(api, definition("shop"))
    for given in ("swordfish", ["swordfish"], {"type": "swordfish"}, {"type": "api_key", "value": "swordfish"}):
        body = {"workflow_id": "shop", "authentication": given}
        refused = await api.post("/api/v1/webhooks", json=body)
        problem(refused, 422, "invalid_request")
        assert "swordfish" not in refused.text
