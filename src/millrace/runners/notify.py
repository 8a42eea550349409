"""`notify`: a short message to a chat by its incoming webhook.

Who knows the URL of such a hook may write to the channel, so the URL is treated as a secret: no log line, failure or
output of this task type has it in it, whatever the HTTP client or the other side say.
"""

import json
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject, JsonValue
from millrace.net.reasons import reason_of
from millrace.ports.connections import ConnectionUnavailable
from millrace.ports.http import HttpFailed, HttpRequest, HttpTimedOut
from millrace.ports.network import AddressRefused
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext, RunnerServices
from millrace.ports.secrets import SecretSpans, SecretUse, beginning
from millrace.ports.sendable import NotSendable, check_url
from millrace.runners.commands import as_text
from millrace.runners.task_config import TaskConfig

SILENCE = 30.0
LARGEST_ANSWER = 64 * 1024
EXCERPT = 300
LONGEST_TEXT = 3000
LONGEST_TITLE = 150
LONGEST_VALUE = 1000
MOST_FIELDS = 20
CONNECTION_TYPES = frozenset({"http"})

Level: TypeAlias = Literal["info", "success", "warning", "error"]
COLOURS = {"info": "#439fe0", "success": "good", "warning": "warning", "error": "danger"}


class NotifyConfig(TaskConfig):
    url: str | None = Field(
        default=None,
        description="Address of the incoming webhook. Keep it as a secret: who knows it may write to the channel.",
        examples=["{{ secrets.team_chat }}"],
    )
    connection: str | None = Field(default=None, description="Name of a connection of the type http, instead of `url`.")
    text: Any = Field(
        description=f"What to say; a value that is not text becomes JSON. Cut after {LONGEST_TEXT} characters."
    )
    title: str | None = Field(default=None, description=f"A line above it; cut after {LONGEST_TITLE} characters.")
    level: Level = Field(default="info", description="How serious it is; shown as a colour.")
    fields: dict[str, Any] = Field(
        default_factory=dict, max_length=MOST_FIELDS, description="Names and values, shown as a small table."
    )
    format: Literal["slack", "json"] = Field(
        default="slack",
        description="`slack`: what Slack, Mattermost and others that take its messages expect. "
        "`json`: title, text, level, fields, run and task as they are.",
    )

    @field_validator("url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        """The message must not repeat the value."""
        if url is not None and not is_hook(url):
            raise ValueError("this is no address of a webhook; write https://…")
        return url

    @model_validator(mode="after")
    def _one_of_them(self) -> "NotifyConfig":
        if (self.url is None) == (self.connection is None):
            raise ValueError("give either url or connection")
        return self


class NotifyRunner:
    type: ClassVar[str] = "notify"
    summary: ClassVar[str] = "Sends a message to a chat by a webhook."
    config_model: ClassVar[ConfigModel] = NotifyConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()
    keeps_to_hosts: ClassVar[Literal[True]] = True

    def __init__(self, services: RunnerServices) -> None:
        self._http = services.http
        self._connections = services.connections

    async def close(self) -> None:
        """The client belongs to the installation."""

    async def run(self, config: NotifyConfig, context: RunnerContext) -> Outcome:
        try:
            url = config.url or await self._url_of(config.connection or "", context.use)
        except ConnectionUnavailable as error:
            return Failed.because(str(error), kind=FailureKind.REFUSED)
        content = json.dumps(_payload(config, context), ensure_ascii=False).encode(errors="replace")
        headers = {"content-type": "application/json"}
        request = HttpRequest("POST", url, headers, content, timeout=SILENCE, hosts=context.hosts)
        try:
            async with self._http.send(request) as answer:
                body = b"".join([part async for part in answer.body(LARGEST_ANSWER)])
                status, told = answer.status, answer.headers
        except AddressRefused as error:
            return Failed.because(_without(str(error), url), kind=FailureKind.REFUSED)
        except HttpTimedOut:
            return Failed.because("the webhook did not answer in time", kind=FailureKind.TIMEOUT)
        except HttpFailed as error:
            # The client's own message names the address; what it was raised from does not.
            reason = reason_of(error.__cause__) if error.__cause__ is not None else "the answer cannot be used"
            return Failed.because(_without(f"the webhook cannot be reached: {reason}", url))
        if 200 <= status <= 299:
            context.log(f"the webhook answered {status}")
            return Completed({"status": status})
        return _refused(status, told.get("retry-after"), _without(_excerpt(body, context.secrets), url))

    async def _url_of(self, name: str, use: SecretUse) -> str:
        if self._connections is None:
            raise ConnectionUnavailable("this worker has no connections")
        found = await self._connections.resolve(name, types=CONNECTION_TYPES, use=use)
        url = found.config.get("url")
        if not isinstance(url, str) or not is_hook(url):
            raise ConnectionUnavailable(f"the connection {name!r} has no url of a webhook")
        if found.config.get("auth") is not None:
            raise ConnectionUnavailable(f"the connection {name!r} has `auth`, which webhooks have not; use a task http")
        return url


def is_hook(url: str) -> bool:
    try:
        check_url(url)
    except NotSendable:
        return False
    return url.isprintable()


def _refused(status: int, retry_after: str | None, excerpt: str) -> Failed:
    details: JsonObject = {"status": status, "body": excerpt}
    if retry_after is not None:
        details["retry_after"] = retry_after
    hint = f", to be asked again after {retry_after}" if retry_after is not None else ""
    message = f"the webhook answered {status}{hint}: {excerpt}".rstrip(": ")
    return Failed.because(message, details=details)


def _payload(config: NotifyConfig, context: RunnerContext) -> JsonValue:
    text = as_text(config.text)
    if config.format == "json":
        return {
            "title": config.title,
            "text": text,
            "level": config.level,
            "fields": config.fields,
            "run": context.run_id,
            "task": context.task_id,
        }
    title, shown = _escaped(config.title or "", LONGEST_TITLE), _escaped(text, LONGEST_TEXT)
    fields: list[JsonValue] = [
        {
            "title": _escaped(name, LONGEST_TITLE),
            "value": _escaped(as_text(value), LONGEST_VALUE),
            "short": len(as_text(value)) <= 40,
        }
        for name, value in config.fields.items()
    ]
    return {
        "attachments": [
            {
                "fallback": f"{title}: {shown}" if title else shown,
                "color": COLOURS[config.level],
                "title": title,
                "text": shown,
                "fields": fields,
            }
        ]
    }


def _escaped(text: str, longest: int) -> str:
    """For Slack, where `&`, `<` and `>` make links and call people. Cut before, so that no entity is cut through."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _excerpt(body: bytes, secrets: SecretSpans) -> str:
    text = " ".join(body.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}").split())
    return beginning(text, EXCERPT, secrets)


def _without(text: str, url: str) -> str:
    """The text without the URL, and without the parts of it that are the secret."""
    parts = urlsplit(url)
    tail = url.partition(parts.netloc)[2]
    for secret in sorted((url, tail, parts.path, parts.query, *parts.path.split("/")), key=len, reverse=True):
        if len(secret.strip("/")) >= 6:
            text = text.replace(secret, "***")
    return text
