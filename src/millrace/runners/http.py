"""`http`: one request, and the answer as the task's output."""

import asyncio
import base64
import codecs
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError

from millrace.core.failures import FailureKind
from millrace.core.values import JsonObject, JsonValue
from millrace.ports.connections import ConnectionUnavailable
from millrace.ports.http import HttpAnswer, HttpFailed, HttpRequest, HttpTimedOut, StreamedContent
from millrace.ports.network import AddressRefused
from millrace.ports.runner import Completed, ConfigModel, Failed, Outcome, RunnerContext, RunnerServices
from millrace.ports.secrets import SecretSpans, SecretUse, beginning
from millrace.runners.http_auth import Auth, Authorizer
from millrace.runners.http_connection import TYPES, address_of, auth_of, is_relative
from millrace.runners.http_fields import HeaderName, HeaderValue, checked_path, checked_url
from millrace.runners.http_files import content_of, kept
from millrace.runners.task_config import TaskConfig

MOST_REDIRECTS = 10
LARGEST_ANSWER = 4 * 1024 * 1024
LARGE = 256 * 1024
"""Bytes from which an answer is read in a thread, so that its size holds up nothing else."""
EXCERPT = 1000
"""Characters of an unexpected answer that the details of the failure show."""
SHORT_EXCERPT = 300
"""Those that its message shows."""
SILENCE = 60.0
"""Seconds without a byte from the other side before the request is given up; the task's `timeout` limits the whole."""

UNAUTHORIZED = 401

CHARSETS = (
    "utf",
    "ascii",
    "iso8859",
    "cp",
    "koi8",
    "mac",
    "gb",
    "big5",
    "shift_jis",
    "euc_",
    "iso2022",
    "tis",
    "johab",
)
"""Codecs of text by the beginnings of their names. Python has others that take minutes over a few megabytes."""

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
METHOD_SCHEMA = {"type": "string", "enum": [word for name in get_args(Method) for word in (name, name.lower())]}
BODY_SCHEMA = {"type": ["object", "array", "string", "null"], "examples": [{"json": {"day": "2026-01-01"}}]}


class Body(TaskConfig):
    """The content of a request: exactly one of these."""

    json_: Any = Field(default=None, alias="json", description="Any value, sent as JSON.")
    form: dict[str, Any] | None = Field(default=None, description="Fields, sent as a web form.")
    text: str | None = Field(default=None, description="Text, sent as it is.")
    file: Any = Field(default=None, description="A reference to an artifact, whose content is sent as it is.")

    @model_validator(mode="after")
    def _one_of_them(self) -> "Body":
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of json, form, text and file")
        if "json_" not in self.model_fields_set and self.form is None and self.text is None and self.file is None:
            raise ValueError("form, text and file cannot be null; leave `body` out to send none, or send null as json")
        return self


class HttpConfig(TaskConfig):
    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["url"]}, {"required": ["connection"]}]})

    connection: str | None = Field(
        default=None, min_length=1, description="Name of a connection that has the address and how to sign in."
    )
    url: str = Field(
        default="",
        validate_default=True,
        description="http:// or https:// address; with `connection` what comes behind its address, such as /orders.",
        examples=["https://api.example.com/v1"],
    )
    method: Annotated[Method, WithJsonSchema(METHOD_SCHEMA)] = Field(default="GET", description="GET, POST, …")
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, description="Headers of the request.")
    query: dict[str, Any] = Field(default_factory=dict, description="Added to the address; a list repeats its name.")
    body: Annotated[Body | None, WithJsonSchema(BODY_SCHEMA)] = Field(
        default=None,
        description="One of {json: …}, {form: {…}}, {text: …}, {file: reference}; a value with such a key alone "
        "must be written as {json: {text: …}}. A plain text is sent as text, a list or another mapping as JSON.",
    )
    auth: Auth | None = Field(default=None, description="How the request signs in.")
    expected_status: list[int | str] = Field(
        default=["200-299"],
        min_length=1,
        description="Statuses that are no failure: numbers, and ranges such as 200-299.",
    )
    response: Literal["auto", "json", "text", "base64", "file"] = Field(
        default="auto",
        description="What the body becomes; auto goes by its content type, and file makes it an artifact and `body` "
        "the reference to it.",
    )
    file_name: str | None = Field(
        default=None, min_length=1, description="For `response: file`; otherwise what the answer or its address says."
    )
    follow_redirects: bool = Field(default=True, description=f"Up to {MOST_REDIRECTS} redirects are followed.")
    verify_tls: bool = Field(default=True, description="Whether the other side must prove who it is.")
    max_bytes: int | None = Field(
        default=None,
        ge=1,
        description=f"A longer answer is a failure. At most {LARGEST_ANSWER}, which is the default; for "
        "`response: file` what this installation allows, MILLRACE_MAX_ARTIFACT_BYTES.",
    )

    @field_validator("method", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("body", mode="before")
    @classmethod
    def _plain_body(cls, value: object) -> object:
        if isinstance(value, str):
            return {"text": value}
        if isinstance(value, list) or (isinstance(value, dict) and not _names_a_form(value)):
            return {"json": value}
        return value

    @field_validator("expected_status", mode="before")
    @classmethod
    def _one_status(cls, value: object) -> object:
        return [value] if isinstance(value, int | str) else value

    @field_validator("expected_status", mode="after")
    @classmethod
    def _statuses(cls, value: list[int | str]) -> list[int | str]:
        for entry in value:
            low, high = _range(entry)
            if not 100 <= low <= high <= 599:
                raise ValueError(f"{entry} is no status; write a number from 100 to 599 or a range such as 200-299")
        return value

    @model_validator(mode="after")
    def _only_files_are_larger(self) -> "HttpConfig":
        if self.response != "file" and (self.max_bytes or 0) > LARGEST_ANSWER:
            raise ValueError(f"max_bytes is at most {LARGEST_ANSWER} unless the response is a file")
        return self

    @field_validator("url")
    @classmethod
    def _some_server(cls, url: str, info: ValidationInfo) -> str:
        # A connection that is faulty itself is told by itself.
        if not url and "connection" in info.data and info.data["connection"] is None:
            raise PydanticCustomError("missing", "Field required")
        if url and "connection" in info.data:
            return checked_path(url) if info.data["connection"] else checked_url(url)
        return url

    @model_validator(mode="after")
    def _one_server(self) -> "HttpConfig":
        if self.connection is not None and not is_relative(self.url):
            raise ValueError("with connection the url names no server: write the path that comes behind its address")
        if self.connection is not None and self.auth is not None:
            raise ValueError("give auth or connection, which has its own")
        return self

    def expects(self, status: int) -> bool:
        return any(low <= status <= high for low, high in map(_range, self.expected_status))


@dataclass(frozen=True, slots=True)
class Received:
    """An answer with its body: in memory, or kept as a file."""

    answer: HttpAnswer
    content: bytes = b""
    file: JsonObject | None = None

    @property
    def size(self) -> JsonValue:
        return len(self.content) if self.file is None else self.file["size"]


class HttpRunner:
    type: ClassVar[str] = "http"
    summary: ClassVar[str] = "Sends an HTTP request."
    config_model: ClassVar[ConfigModel] = HttpConfig
    instant: ClassVar[bool] = False
    literal_fields: ClassVar[frozenset[str]] = frozenset()
    keeps_to_hosts: ClassVar[Literal[True]] = True

    def __init__(self, services: RunnerServices, *, silence: float = SILENCE) -> None:
        """`silence`: seconds without a byte from the other side before a request is given up."""
        self._silence = silence
        self._http = services.http
        self._authorizer = Authorizer(services.http)
        self._connections = services.connections

    async def close(self) -> None:
        """The client belongs to the installation."""

    async def run(self, config: HttpConfig, context: RunnerContext) -> Outcome:
        try:
            received = await self._answered(await self._named(config, context.use), context)
        except (AddressRefused, ConnectionUnavailable) as error:
            return Failed.because(str(error), kind=FailureKind.REFUSED)
        except HttpTimedOut as error:
            return Failed.because(str(error), kind=FailureKind.TIMEOUT)
        except HttpFailed as error:
            return Failed.because(str(error))
        if len(received.content) > LARGE:
            return await asyncio.to_thread(_outcome, config, received, context.secrets)
        return _outcome(config, received, context.secrets)

    async def _named(self, config: HttpConfig, use: SecretUse) -> HttpConfig:
        """The config with what its connection says."""
        if config.connection is None:
            return config
        if self._connections is None:
            raise ConnectionUnavailable("this worker has no connections")
        found = await self._connections.resolve(config.connection, types=TYPES, use=use)
        return config.model_copy(update={"url": address_of(found, config.url), "auth": auth_of(found)})

    async def _answered(self, config: HttpConfig, context: RunnerContext) -> Received:
        received = await self._asked(config, context)
        if received.answer.status == UNAUTHORIZED and config.auth is not None and self._authorizer.forget(config.auth):
            # The token was taken back before its time; nothing was done yet, so asking again does it once.
            received = await self._asked(config, context)
        return received

    async def _asked(self, config: HttpConfig, context: RunnerContext) -> Received:
        began = time.monotonic()
        async with self._http.send(await self._request(config, context)) as answer:
            received = await _received(config, answer, context)
        took = (time.monotonic() - began) * 1000
        context.log(
            f"{config.method} {_without_query(answer.url)}: {answer.status}, {received.size} bytes, {took:.0f} ms"
        )
        return received

    async def _request(self, config: HttpConfig, context: RunnerContext) -> HttpRequest:
        headers = {name.lower(): _text(value) for name, value in config.headers.items() if value is not None}
        content, content_type = await _content(config.body, context)
        if content_type is not None:
            headers.setdefault("content-type", content_type)
        query = dict(config.query)
        if config.auth is not None:
            await self._authorizer.apply(config.auth, headers, query, verify_tls=config.verify_tls, hosts=context.hosts)
        return HttpRequest(
            method=config.method,
            url=_with_query(config.url, query),
            headers=headers,
            content=content,
            timeout=self._silence,
            max_redirects=MOST_REDIRECTS if config.follow_redirects else 0,
            verify_tls=config.verify_tls,
            hosts=context.hosts,
        )


async def _received(config: HttpConfig, answer: HttpAnswer, context: RunnerContext) -> Received:
    if config.response == "file" and config.expects(answer.status):
        return Received(answer, file=await kept(answer, context, name=config.file_name, limit=config.max_bytes))
    limit = LARGEST_ANSWER if config.response == "file" else config.max_bytes or LARGEST_ANSWER
    return Received(answer, b"".join([part async for part in answer.body(limit)]))


def _outcome(config: HttpConfig, received: Received, secrets: SecretSpans) -> Outcome:
    answer, content = received.answer, received.content
    headers: JsonObject = dict(answer.headers)
    if not config.expects(answer.status):
        excerpt = _excerpt(content, secrets)
        message = f"the answer has the status {answer.status}, which is not expected"
        said = beginning(excerpt, SHORT_EXCERPT, secrets)
        return Failed.because(
            f"{message}: {said}".rstrip(": "),
            details={"status": answer.status, "headers": headers, "body": excerpt, **_advice(answer)},
        )
    if received.file is not None:
        return Completed({"status": answer.status, "headers": headers, "body": received.file})
    try:
        body = _body(config.response, answer.headers.get("content-type", ""), content)
    except (ValueError, RecursionError) as error:
        wanted = "json" if config.response == "auto" else config.response
        details: JsonObject = {"status": answer.status, "headers": headers, "body": _excerpt(content, secrets)}
        return Failed.because(f"the answer cannot be read as {wanted}: {error}", details=details)
    return Completed({"status": answer.status, "headers": headers, "body": body})


def _excerpt(content: bytes, secrets: SecretSpans) -> str:
    begun = content[: (EXCERPT + secrets.longest) * 4].decode(errors="replace")
    return beginning(begun.replace("\0", "\N{REPLACEMENT CHARACTER}"), EXCERPT, secrets)


def _advice(answer: HttpAnswer) -> JsonObject:
    """When the other side says that it may be asked again."""
    after = answer.headers.get("retry-after")
    return {} if after is None else {"retry_after": after}


def _body(wanted: str, content_type: str, content: bytes) -> JsonValue:
    """The body as a value. Raises `ValueError` or `RecursionError` when it is not the JSON that it should be."""
    media_type = content_type.partition(";")[0].strip().lower()
    if wanted == "auto":
        if not content:
            return None
        if media_type == "application/json" or media_type.endswith("+json"):
            wanted = "json"
        else:
            wanted = "text" if _is_text(media_type) else "base64"
    match wanted:
        case "json":
            value: JsonValue = json.loads(content) if content else None
            return value
        case "text":
            text = content.decode(_charset(content_type), errors="replace")
            return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        case _:
            return base64.b64encode(content).decode()


def _is_text(media_type: str) -> bool:
    named = ("application/xml", "application/javascript", "application/x-www-form-urlencoded", "application/yaml", "")
    return media_type.startswith("text/") or media_type in named or media_type.endswith("+xml")


def _charset(content_type: str) -> str:
    """The name of the codec for the text, UTF-8 if the answer names none that a text of the web is written in."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            with suppress(LookupError, ValueError):
                codec = codecs.lookup(value.strip().strip('"')).name
                return codec if codec.startswith(CHARSETS) else "utf-8"
    return "utf-8"


async def _content(body: Body | None, context: RunnerContext) -> tuple[bytes | StreamedContent | None, str | None]:
    if body is None:
        return None, None
    if body.file is not None:
        return await content_of(body.file, context)
    if body.text is not None:
        return body.text.encode(), "text/plain; charset=utf-8"
    if body.form is not None:
        return urlencode(_pairs(body.form)).encode(), "application/x-www-form-urlencoded"
    return json.dumps(body.json_, ensure_ascii=False).encode(), "application/json"


def _with_query(url: str, query: Mapping[str, Any]) -> str:
    added = urlencode(_pairs(query))
    if not added:
        return url
    address = url.partition("#")[0]
    _, mark, present = address.partition("?")
    return f"{address}{'&' if present else '' if mark else '?'}{added}"


def _pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, _text(item))
        for name, value in fields.items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]


def _names_a_form(value: Mapping[str, Any]) -> bool:
    return bool(value) and value.keys() <= {"json", "form", "text", "file"}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _range(entry: int | str) -> tuple[int, int]:
    """The bounds of `204` or `200-299`; of anything else bounds that nothing is between."""
    low, _, high = str(entry).partition("-")
    try:
        return int(low), int(high or low)
    except ValueError:
        return 0, -1


def _without_query(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))
