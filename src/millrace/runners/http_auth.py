"""How an `http` task signs in. Tokens of OAuth2 client credentials are kept until shortly before they expire."""

import asyncio
import base64
import hashlib
import json
import math
import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, assert_never
from urllib.parse import urlencode
from weakref import WeakValueDictionary

from pydantic import Field, ValidationInfo, field_validator

from millrace.ports.hosts import HostLimit
from millrace.ports.http import HttpClient, HttpFailed, HttpRequest
from millrace.runners.http_fields import HeaderText, Url, checked_header_name, checked_header_value
from millrace.runners.task_config import TaskConfig

EXPIRES_EARLY = 30.0
"""Seconds before its end from which a token is not used any more."""
WITHOUT_EXPIRY = 300.0
"""Seconds that a token is used for when its issuer does not say how long it is valid."""
LARGEST_ANSWER = 64 * 1024
MOST_TOKENS = 1000


class Basic(TaskConfig):
    type: Literal["basic"] = Field(description="User name and password.")
    username: str = Field(description="The user's name.")
    password: str = Field(description="Use {{ secrets.NAME }}.")


class Bearer(TaskConfig):
    type: Literal["bearer"] = Field(description="A token.")
    token: HeaderText = Field(description="Use {{ secrets.NAME }}.")


class ApiKey(TaskConfig):
    type: Literal["api_key"] = Field(description="A key in a header or parameter.")
    place: Literal["header", "query"] = Field(default="header", alias="in", description="Where the key goes.")
    key: str = Field(description="Use {{ secrets.NAME }}.")
    name: str = Field(default="X-API-Key", description="Name of the header or parameter.")

    @field_validator("key", "name")
    @classmethod
    def _of_a_header(cls, text: str, info: ValidationInfo) -> str:
        if info.data.get("place") != "header":
            return text
        if info.field_name == "name":
            return checked_header_name(text, subject="name ")
        return str(checked_header_value(text))


class ClientCredentials(TaskConfig):
    type: Literal["oauth2_client_credentials"] = Field(description="A token of OAuth2, asked for and kept.")
    token_url: Url = Field(description="Where tokens are given out.")
    client_id: str = Field(description="Name of this client.")
    client_secret: str = Field(description="Use {{ secrets.NAME }}.")
    scope: str | None = Field(default=None, description="What the token is for, with blanks between.")
    audience: str | None = Field(default=None, description="Whom the token is for, where the issuer asks for it.")


Auth: TypeAlias = Annotated[Basic | Bearer | ApiKey | ClientCredentials, Field(discriminator="type")]


@dataclass(slots=True)
class Token:
    text: str
    usable_until: float
    uses: int = 0


class Authorizer:
    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._tokens: dict[str, Token] = {}
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One lock a token: an issuer that is slow holds up nobody else."""

    async def apply(
        self,
        auth: Auth,
        headers: dict[str, str],
        query: dict[str, Any],
        *,
        verify_tls: bool,
        hosts: HostLimit,
    ) -> None:
        """Put what proves the caller into `headers` or `query`. Raises `HttpFailed` if no token can be had, and
        `HostRefused` if the issuer is none of `hosts`."""
        match auth:
            case Basic():
                pair = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
                headers["authorization"] = f"Basic {pair}"
            case Bearer():
                headers["authorization"] = f"Bearer {auth.token}"
            case ApiKey() if auth.place == "header":
                headers[auth.name.lower()] = auth.key
            case ApiKey():
                query[auth.name] = auth.key
            case ClientCredentials():
                headers["authorization"] = f"Bearer {await self._token(auth, verify_tls, hosts)}"
            case _:
                assert_never(auth)

    def forget(self, auth: Auth) -> bool:
        """Drop a token that was refused; answers whether it had been used before, so that a new one may help."""
        if not isinstance(auth, ClientCredentials):
            return False
        token = self._tokens.get(_key(auth))
        if token is None or token.uses < 2:
            return False
        del self._tokens[_key(auth)]
        return True

    async def _token(self, auth: ClientCredentials, verify_tls: bool, hosts: HostLimit) -> str:
        key = _key(auth)
        async with self._asking.setdefault(key, asyncio.Lock()):
            known = self._tokens.get(key)
            if known is None or known.usable_until < time.monotonic():
                if len(self._tokens) >= MOST_TOKENS:
                    self._tokens.clear()
                known = self._tokens[key] = await self._ask(auth, verify_tls, hosts)
        known.uses += 1
        return known.text

    async def _ask(self, auth: ClientCredentials, verify_tls: bool, hosts: HostLimit) -> Token:
        """RFC 6749, section 4.4."""
        fields = {"grant_type": "client_credentials", "scope": auth.scope, "audience": auth.audience}
        pair = base64.b64encode(f"{auth.client_id}:{auth.client_secret}".encode()).decode()
        request = HttpRequest(
            method="POST",
            url=auth.token_url,
            headers={
                "authorization": f"Basic {pair}",
                "content-type": "application/x-www-form-urlencoded",
                "accept": "application/json",
            },
            content=urlencode({name: value for name, value in fields.items() if value is not None}).encode(),
            verify_tls=verify_tls,
            hosts=hosts,
        )
        async with self._http.send(request) as answer:
            content = b"".join([part async for part in answer.body(LARGEST_ANSWER)])
        if answer.status != 200:
            raise HttpFailed(f"{_place(auth)} gives no token: it answers {answer.status}{_reason_in(content)}")
        return _token_in(content, _place(auth))


def _key(auth: ClientCredentials) -> str:
    return hashlib.sha256(auth.model_dump_json().encode()).hexdigest()


def _place(auth: ClientCredentials) -> str:
    return auth.token_url.partition("?")[0]


def _reason_in(content: bytes) -> str:
    """The issuer's `error` (RFC 6749, section 5.2), such as `invalid_client`."""
    try:
        return f" ({json.loads(content)['error']!s:.100})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _token_in(content: bytes, url: str) -> Token:
    try:
        given = json.loads(content)
        text, lifetime = given["access_token"], float(given.get("expires_in") or WITHOUT_EXPIRY)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text, lifetime = None, 0.0
    if not isinstance(text, str) or not text or not math.isfinite(lifetime):
        raise HttpFailed(f"{url} gives no token: its answer is not that of RFC 6749")
    return Token(text, time.monotonic() + max(0.0, lifetime - EXPIRES_EARLY))
